"""Records in a notebook: a sequence, a frame, tables, comparisons; what is damaged is named and left out."""

import json
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pandas as pd
import pytest

import sigma_bench as sb
from sigma_bench.records.store import Store
from sigma_bench.specs.catalogue import load_task, resolve
from sigma_bench.specs.fingerprint import task_fingerprint
from tests.leaderboard.samples import RESULTS
from tests.records.filled import add, filed, predictions

TAGS = {"table", "caption", "thead", "tbody", "tr", "th", "td", "b", "u", "span", "br", "small", "ul", "li"}
HOSTILE = "<img src=x onerror=alert(1)>\u202e|`&\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Records of two models on one task, and of one of them on another."""
    store = Store(tmp_path / "runs")
    add(store, predictions(0.9), model="good")
    add(store, predictions(0.3, seed=1), model="bad")
    filed(store, "ssv2/knn", 40, model="good")
    return store.root


def test_records_are_a_sequence(folder: Path) -> None:
    records = sb.Records(folder)
    assert len(records) == 3 and all(isinstance(record, sb.Record) for record in records)
    assert records[-1] == list(records)[-1] and records[1:] == list(records)[1:]
    assert records[0] in records and records.left_out == {}
    assert repr(records) == f"<3 records of 2 models on 2 tasks in {folder}>"


def test_only_some_files_are_opened(folder: Path) -> None:
    """As after an evaluation that found other records in its folder."""
    paths = [path for path in Store(folder).paths() if "bad" in path.parts]
    assert [record.model.model for record in sb.Records(folder, files=paths)] == ["bad"]
    assert list(sb.Records(folder, files=())) == []
    with pytest.raises(ValueError, match="there are no records to make a table of"):
        sb.Records(folder, files=()).table()


def test_the_frame_has_a_row_per_score_with_documented_columns(folder: Path) -> None:
    records = sb.Records(folder)
    frame = records.frame()
    assert list(frame.columns)[:7] == ["model", "task", "metric", "value", "low", "high", "seed"]
    documented = re.findall(r"``(\w+)``", sb.Records.frame.__doc__ or "")
    assert set(documented) == set(frame.columns)
    scores = [(r.model.model, r.task.task, s.metric, s.value) for r in records for s in r.scores]
    assert list(frame[["model", "task", "metric", "value"]].itertuples(index=False, name=None)) == scores
    assert (frame["low"] <= frame["value"]).all() and set(frame["data_source"]) == {"mini"}


def test_a_table_of_all_tasks_and_one_of_a_board(folder: Path) -> None:
    records = sb.Records(folder)
    every, board = records.table(), sb.board("mini", records)
    assert [column.task for column in every.table.columns] == ["ssv2/knn", "ucf101/knn"]
    assert {row.model for row in every.table.rows if row.num_covered} == {"good", "bad"}
    measured = board.frame().query("origin == 'measured'")
    assert {"good", "bad"} <= set(measured["model"]) and board.table.name == "mini"
    assert records.table("mini").table == board.table == sb.board("mini", folder).table
    assert str(board).startswith("## Mini world")


def test_a_board_is_saved_in_four_forms(folder: Path, tmp_path: Path) -> None:
    board = sb.board(RESULTS / "boards" / "mini.yaml", folder)
    for ending, word in (
        (".html", "<!DOCTYPE html>"),
        (".md", "## Mini world"),
        (".csv", "board,origin"),
        (".tex", "tabular"),
    ):
        path = board.save(tmp_path / "new" / f"board{ending}")
        assert word in path.read_text()
    assert "Confusion matrices" in (tmp_path / "new" / "board.html").read_text()
    frame = pd.read_csv(tmp_path / "new" / "board.csv")
    assert list(frame["value"]) == list(board.frame()["value"])
    with pytest.raises(ValueError, match=r"board\.pdf: a board is written as \.html, \.md, \.csv, \.tex"):
        board.save(tmp_path / "board.pdf")


def test_published_numbers_need_no_records(tmp_path: Path) -> None:
    board = sb.board("severe")
    assert set(board.frame()["origin"]) <= {"published", "computed"}
    assert "<!DOCTYPE html>" in board.save(tmp_path / "severe.html").read_text()
    assert "52.1" in board._repr_html_()


def test_two_models_are_compared(folder: Path) -> None:
    records = sb.Records(folder)
    result = sb.compare(records, "good", "bad", samples=2)
    assert result == records.compare("good", "bad", samples=2) == sb.compare(folder, "good", "bad", samples=2)
    frame = result.frame()
    assert list(frame["task"]) == ["ucf101/knn", "mean over tasks"] and list(frame["better"]) == ["good", "good"]
    assert frame["low"][0] <= frame["difference"][0] == pytest.approx(frame["first"][0] - frame["second"][0])
    assert len(result.tasks[0].differing) == 2 and result.left_out == ("ssv2/knn: no record of bad",)
    assert "1 evaluations are not compared" in result._repr_html_()
    with pytest.raises(ValueError, match=r"no record of a model 'goood' here\. Did you mean 'good'\?"):
        sb.compare(records, "goood", "bad")


def test_names_are_shown_and_not_interpreted(tmp_path: Path) -> None:
    store = Store(tmp_path)
    add(store, predictions(0.9), model=HOSTILE)
    add(store, predictions(0.5, seed=2), model="plain")
    records = sb.Records(tmp_path)
    for shown in (records, records.table(), records.compare(HOSTILE, "plain")):
        html = shown._repr_html_()
        assert "<img" not in html and "&lt;img src=x onerror=alert(1)&gt;\\u202e|`&amp;" in html
        assert html.isprintable()
        assert set(re.findall(r"</?(\w+)", html)) <= TAGS
    page = records.table().save(tmp_path / "page.html").read_text()
    assert "<img src=x" not in page


def test_what_is_damaged_is_named_and_left_out(folder: Path) -> None:
    bad = next(path for path in Store(folder).paths() if "bad" in path.parts)
    bad.write_text(bad.read_text().replace('"seed": 0', '"seed": 5'))
    (folder / "records" / "odd.json").write_text("[")
    with pytest.warns(sb.LeftOutWarning) as caught:
        records = sb.Records(folder)
    assert [str(one.message).split(":")[0] for one in caught] == [str(path) for path in records.left_out]
    assert set(records.left_out) == {bad, folder / "records" / "odd.json"} and len(records) == 2
    problems = records.verify().problems
    assert len(problems) == 2 and any("was changed after it was written" in problem for problem in problems)
    for path in Store(folder).paths():
        path.write_text("{}")
    with (
        pytest.warns(sb.LeftOutWarning),
        pytest.raises(ValueError, match="no record here can be used; 4 were left out"),
    ):
        sb.Records(folder)


def test_damaged_predictions_are_found_by_the_table_that_needs_them(folder: Path) -> None:
    records = sb.Records(folder)
    (record,) = [r for r in records if (r.model.model, r.task.task) == ("good", "ucf101/knn")]
    stored = folder / record.predictions.file
    stored.rename(stored.with_suffix(".reduced.npz")).write_bytes(b"half a file")
    with pytest.warns(sb.LeftOutWarning, match="top1 cannot be computed from the predictions"):
        board = records.table("mini")
    assert record.id not in board.table.record_ids and len(board.table.record_ids) == 2
    assert len(records) == 2 and len(records.left_out) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it is named once
        records.table("mini")


def test_a_folder_without_records_is_one_sentence(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "absent"):
        for act in (sb.Records, lambda folder: sb.board("mini", folder), lambda folder: sb.compare(folder, "a", "b")):
            with pytest.raises(ValueError, match="no records here yet; run 'sigma-bench evaluate'"):
                act(place)
    with pytest.raises(ValueError, match=r"there is no board 'minni'\. Did you mean 'mini'"):
        sb.board("minni")


def test_a_board_of_another_data_source_holds_none_of_these_records(tmp_path: Path) -> None:
    store = Store(tmp_path)
    add(store, predictions(0.9), model="official_model", world="official")
    board = sb.board("mini", tmp_path)
    assert "official_model" not in set(board.frame()["model"]) and "No record fits this board" in str(board)
    add(store, predictions(0.9), model="mini_model", world="mini")
    with pytest.raises(
        ValueError, match=r"several data sources \(mini, official\), which do not share a table; choose one"
    ):
        sb.Records(tmp_path).table()
    assert set(sb.Records(tmp_path).frame()["data_source"]) == {"official", "mini"}


def test_tasks_say_what_they_are() -> None:
    tasks = sb.tasks().set_index("task")
    row = tasks.loc["ssv2/knn"].to_dict()
    assert row.pop("fingerprint") == task_fingerprint(resolve(load_task("ssv2/knn")))
    about = {"dataset": "Something-Something v2", "protocol": "knn@1", "asks": "motion"}
    assert row == about | {"metrics": ["top1", "top5", "mean_class_accuracy"]}
    motion = sb.tasks(["ssv2/*", "*/knn"], asks="motion")
    assert set(motion["asks"]) == {"motion"} and not {"ssv2/knn", "ssv2/linear", "finegym_gym99/knn"} - set(
        motion["task"]
    )


def test_records_boards_and_comparisons_need_no_torch(folder: Path, tmp_path: Path) -> None:
    code = (
        "import json, sys\nimport sigma_bench as sb\n"
        "print(json.dumps([name for name in ('torch', 'pandas', 'numpy', 'pydantic') if name in sys.modules]))\n"
        "records = sb.Records(sys.argv[1])\nrecords.frame()\nrecords.table().save(sys.argv[2])\n"
        "sb.compare(records, 'good', 'bad')\nrecords.verify()\nsb.tasks()\nprint('torch' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), str(tmp_path / "board.html")],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, last = done.stdout.split("\n")[:2]
    assert json.loads(first) == [] and last == "False"
