"""The verbs that read records, as a user meets them: table, compare, verify, import, export."""

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sigma_bench.cli.main import app_main
from sigma_bench.cli.table import show_boards
from sigma_bench.leaderboard.training_figure import training_histories
from sigma_bench.records.store import Store
from sigma_bench.resources import INCLUDE_VARIABLE
from sigma_bench.specs.fingerprint import digest
from tests.factories import make_record
from tests.leaderboard.custom_records import add_custom
from tests.leaderboard.samples import RESULTS
from tests.records.filled import add, predictions

Run = Callable[..., tuple[int, str]]
HEADER = (
    "source,table,method,backbone,pretrain_data,pretrain_epochs,extra_data,motion_guided,task,dataset,metric,value\n"
)
ROW = "A blog,frozen,Theirs,vit_b,k400,,,,linear_probe,ucf101,top1,90.1\n"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["sigma-bench", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            app_main()
        captured = capsys.readouterr()
        return int(caught.value.code or 0), " ".join((captured.out + captured.err).split())

    return call


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Records of two models on one task."""
    store = Store(tmp_path / "runs")
    add(store, predictions(0.9), model="good")
    add(store, predictions(0.3, seed=1), model="bad")
    return store.root


def test_compare_says_who_is_better_and_where(run: Run, folder: Path) -> None:
    code, words = run("compare", "good", "bad", "--output", folder, "--samples", 3)
    assert code == 0
    assert re.search(r"ucf101/knn top1 [\d.]+ [\d.]+ \+[\d.]+ \+[\d.]+ to \+[\d.]+ 20 good", words)
    assert re.search(r"mean over tasks \+[\d.]+ \+[\d.]+ to \+[\d.]+ 20 good", words)
    assert words.count("clip0") == 3
    assert "20 neither" in run("compare", "good", "good", "--output", folder)[1]
    code, words = run("compare", "good", "baad", "--output", folder)
    assert code == 2 and "no record of a model 'baad' here. Did you mean 'bad'?" in words


def test_compare_shows_names_in_brackets_as_they_are(run: Run, folder: Path) -> None:
    add(Store(folder), predictions(0.9), model="mine[v2]")
    add(Store(folder), predictions(0.4, seed=2), model="mine[/v1]")
    code, words = run("compare", "mine[v2]", "mine[/v1]", "--output", folder)
    assert code == 0 and "20 mine[v2]" in words and "sample mine[v2] mine[/v1] clip" in words


def test_long_names_are_printed_whole_above_the_table(run: Run, folder: Path) -> None:
    names = ["good_model_of_forty_letters_and_no_blank", "other_model_of_forty_letters_and_no_blan"]
    for seed, (name, share) in enumerate(zip(names, (0.9, 0.3), strict=True)):
        add(Store(folder), predictions(share, seed=seed), model=name)
    words = run("compare", *names, "--output", folder)[1]
    assert words.startswith(f"first: {names[0]} second: {names[1]} task metric first second difference")
    assert "20 first" in words and "sample first second clip" in words


def test_verify_ends_with_1_when_something_is_wrong(run: Run, folder: Path) -> None:
    code, words = run("verify", folder)
    assert code == 0 and "2 records, 4 scores computed again" in words
    path = Store(folder).paths()[0]
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 5'))
    code, words = run("verify", folder)
    assert code == 1 and "was changed after it was written" in words
    assert run("verify", folder / "nothing")[0] == 2


def test_committed_tables_are_checked_without_being_written(run: Run, folder: Path, tmp_path: Path) -> None:
    tables = tmp_path / "tables"
    measured = ("table", "mini", "--output", folder, "--tables", tables)
    assert run(*measured, "--check")[0] == 1 and not tables.exists()
    assert run(*measured)[0] == 0
    assert sorted(path.name for path in tables.iterdir()) == ["mini.csv", "mini.md", "mini.tex"]
    assert run(*measured, "--check")[0] == 0
    text = (tables / "mini.md").read_text()
    (tables / "mini.md").write_text(text.replace("UCF101", "UCF102", 1))
    code, words = run(*measured, "--check")
    assert code == 1 and "mini.md: not what the records" in words and "mini.csv" not in words
    add(Store(folder), predictions(0.5, seed=3), model="new")
    assert "mini.csv: not what the records" in run(*measured, "--check")[1]
    assert run("table", "mini", "--check")[0] == 2


def test_kept_records_do_not_tell_the_folders_of_a_machine(run: Run, folder: Path, tmp_path: Path) -> None:
    store, kept = Store(folder), tmp_path / "kept"
    (path, record), *_ = store.records()
    provenance = record.provenance.model_copy(update={"command": ("sigma-bench", "demo", "--output", "/home/me/runs")})
    path.unlink()
    store.add(record.model_copy(update={"provenance": provenance}))
    run("table", "mini", "--output", folder, "--tables", tmp_path / "tables", "--records", kept)
    assert ("sigma-bench", "demo", "--output", "runs") in {one.provenance.command for _, one in Store(kept).records()}


def test_kept_records_give_the_same_tables_and_verify(run: Run, folder: Path, tmp_path: Path) -> None:
    """The records behind a committed table are committed too, with the part of their predictions that scores need."""
    big = {"maps": np.random.default_rng(0).integers(0, 255, (60, 50, 50), np.uint8)}
    add(Store(folder), predictions(0.8, seed=5) | big, model="with_maps")
    tables, kept = tmp_path / "tables", tmp_path / "kept"
    code, words = run("table", "mini", "--output", folder, "--tables", tables, "--records", kept)
    assert code == 0 and "3 records in" in words
    assert run("table", "mini", "--output", kept, "--tables", tables, "--check")[0] == 0
    files = sorted((kept / "predictions").iterdir())
    assert len(files) == 3 and max(path.stat().st_size for path in files) < 5_000
    code, words = run("verify", kept)
    assert code == 0 and "6 scores computed again" in words and "reduced to what its scores need" in words
    assert run("export", tmp_path / "paper", "--output", kept, "--board", "mini")[0] == 0
    again = ("table", "mini", "--output", kept, "--tables", tmp_path / "again", "--records", tmp_path / "kept_again")
    assert run(*again)[0] == 0
    assert (tmp_path / "again/mini.csv").read_bytes() == (tables / "mini.csv").read_bytes()

    with np.load(files[0]) as stored:
        arrays = dict(stored)
    np.savez_compressed(files[0], **(arrays | {"predicted": (arrays["predicted"] + 1) % 4}))
    code, words = run("table", "mini", "--output", kept, "--tables", tables, "--check")
    assert code == 1 and "when computed from their predictions" in words and "1 of 3 records were left out" in words
    assert run("verify", kept)[0] == 1
    np.savez_compressed(files[0], **(arrays | {"truth": arrays["truth"][:7]}))
    code, words = run("table", "mini", "--output", kept, "--tables", tables, "--check")
    assert code == 1 and "top1 cannot be computed from the predictions" in words
    files[0].write_bytes(b"half a file")
    assert "not a file of predictions" in run("verify", kept)[1]


def test_a_board_of_ones_own_is_written_under_its_name(run: Run, folder: Path, tmp_path: Path) -> None:
    boards, tables = tmp_path / "boards", tmp_path / "tables"
    boards.mkdir()
    text = (RESULTS / "boards" / "mini.yaml").read_text().replace("name: mini", "name: mine")
    (boards / "file.yaml").write_text(text)
    code, words = run("table", boards / "file.yaml", "--output", folder, "--tables", tables)
    assert code == 0 and f"tables: {tables / 'mine.md'} (also as .csv and .tex)" in words
    assert "page:" not in words
    assert {path.name for path in tables.iterdir()} == {"mine.md", "mine.csv", "mine.tex"}
    assert [path.name for path in boards.iterdir()] == ["file.yaml"]


def test_a_short_table_in_the_terminal_leaves_the_files_whole(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    add(Store(folder), predictions(0.8, seed=2), model="good", pretraining_seed=1)
    show_boards(["mini"], folder, data=None, details=False)
    shown = capsys.readouterr().out
    assert "good" in shown and "Percent with 95 % intervals" in shown and f"page: {folder / 'report.html'}" in shown
    assert "±" not in shown and "n=2" not in shown and "SIGMA-DINO" not in shown
    whole = (folder / "table.md").read_text()
    assert "n=2" in whole and "SIGMA-DINO" in whole and "expected 100, found 100" in whole


def test_a_history_that_is_none_is_named(run: Run, folder: Path) -> None:
    (folder / "run-seed0").mkdir()
    (folder / "run-seed0" / "history.json").write_text('[{"step": 1')
    code, words = run("table", "mini", "--output", folder)
    assert code == 2 and "run-seed0/history.json: not a training history" in words


def test_two_runs_of_one_name_are_two_curves(tmp_path: Path) -> None:
    for place, loss in (("a/run", 1.0), ("b/run", 2.0), ("other", 3.0)):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "history.json").write_text(json.dumps([{"step": 1, "loss": loss}]))
    losses = {name: history[0]["loss"] for name, (history,) in training_histories(tmp_path).items()}
    assert losses == {"a/run": 1.0, "b/run": 2.0, "other": 3.0}


def test_an_option_that_would_be_ignored_is_refused(run: Run, folder: Path, tmp_path: Path) -> None:
    code, words = run("table", "mini", "--output", folder, "--tables", tmp_path / "tables", "--data", tmp_path)
    assert code == 2 and "--data is for the pictures of a page" in words


def test_records_are_kept_beside_written_tables_only(run: Run, folder: Path, tmp_path: Path) -> None:
    code, words = run("table", "mini", "--output", folder, "--records", tmp_path / "kept")
    assert code == 2 and "give --tables" in words


def test_several_boards_are_one_page(run: Run, folder: Path) -> None:
    code, words = run("table", "mini", "severe", "--output", folder)
    assert code == 0 and "fits the board 'severe'; boards that one fits: mini, mini_protocols, quick" in words
    assert {path.stem for path in folder.glob("*.csv")} == {"mini", "severe"}
    page = (folder / "report.html").read_text()
    assert f"page: {folder / 'report.html'}; tables: {folder / 'mini.md'}, {folder / 'severe.md'} (also" in words
    for title in ("Mini world", "SEVERE generalisation benchmark", "Confusion matrices"):
        assert re.search(f"<h2[^>]*>{title}</h2>", page), title


def test_custom_data_reach_a_table_a_page_and_a_folder_for_a_paper(run: Run, tmp_path: Path) -> None:
    store = Store(tmp_path / "runs")
    for size, share in ((64, 0.9), (112, 0.4)):
        add_custom(store, "gait", share, model="mine", image_size=size)
    add_custom(store, "hands", 0.5, model="mine")
    code, words = run("table", "--output", store.root)
    assert code == 0 and "mine (image_size=64)" in words and "hands (custom data): expected 100" in words
    assert "no --data" not in words
    page = (store.root / "report.html").read_text()
    assert all(re.search(f"<h2[^>]*>{title}</h2>", page) for title in ("gait", "hands"))
    assert {path.name for path in store.root.glob("*.csv")} == {"gait.csv", "hands.csv"}
    code, words = run("export", tmp_path / "paper", "--output", store.root)
    assert code == 0 and "of the boards gait, hands in" in words
    assert run("verify", tmp_path / "paper")[0] == 0
    tables = ("--output", store.root, "--tables", tmp_path / "tables")
    assert run("table", *tables, "--where", "image_size=112", "--by-dataset")[0] == 0
    assert {path.name for path in (tmp_path / "tables").iterdir()} == {"gait.md", "gait.csv", "gait.tex"}
    assert run("table", *tables, "--where", "image_size=112", "--check")[0] == 0


def test_a_table_of_segmentation_without_data_says_that_pictures_are_missing(run: Run, tmp_path: Path) -> None:
    Store(tmp_path).add(make_record(task="davis2017/clustering"))
    code, words = run("table", "--output", tmp_path, "--by-dataset")
    assert code == 0 and "no --data, so the report has no segmentation pictures" in words


def test_compare_names_the_settings_that_differ_and_takes_a_choice(run: Run, tmp_path: Path) -> None:
    store = Store(tmp_path)
    for size, share in ((64, 0.9), (112, 0.3)):
        add_custom(store, "gait", share, model="mine", image_size=size)
    add_custom(store, "gait", 0.6, model="other")
    code, words = run("compare", "mine", "other", "--output", tmp_path)
    assert code == 2 and "which differ in image_size (64, 112); choose with --where image_size=" in words
    code, words = run("compare", "mine", "other", "--where", "image_size=112", "--output", tmp_path)
    assert code == 0 and "+ means that mine (image_size=112) is better" in words and "20 other" in words
    code, words = run("compare", "mine (image_size=64)", "mine (image_size=112)", "--output", tmp_path)
    assert code == 0 and "first: mine (image_size=64) second: mine (image_size=112)" in words and "20 first" in words
    for pair, said in (("image_size", "expected key=value"), ("image_size=5", "its values here: 64, 112")):
        code, words = run("compare", "mine", "other", "--where", pair, "--output", tmp_path)
        assert code == 2 and said in words
    twice = ("--where", "image_size=64", "--where", "image_size=112")
    assert "was given as 64 before" in run("compare", "mine", "other", *twice, "--output", tmp_path)[1]


def test_a_new_board_is_written_once_and_found(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(INCLUDE_VARIABLE, "")
    store = Store(tmp_path / "runs")
    add_custom(store, "gait", model="mine")
    new = ("board", "new", "own", "--output", store.root, "--folder", tmp_path)
    code, words = run(*new)
    assert code == 0 and f"--include {tmp_path} table own --output {store.root}" in words
    code, words = run("--include", tmp_path, "table", "own", "--output", store.root)
    assert code == 0 and "mine" in words and "own" in words
    monkeypatch.setenv(INCLUDE_VARIABLE, "")
    code, words = run(*new)
    assert code == 2 and "exists already and is not overwritten" in words
    code, words = run(
        "board", "new", "named", "--task", "ssv2/knn", "--output", tmp_path / "none", "--folder", tmp_path
    )
    assert code == 0 and "task: ssv2/knn" in (tmp_path / "boards" / "named.yaml").read_text()


def test_options_of_a_table_that_exclude_each_other_are_refused(run: Run, folder: Path) -> None:
    for options in (("mini", "--by-dataset"), ("--published-only",), ("mini", "--published-only", "--where", "seed=0")):
        code, words = run("table", *options, "--output", folder)
        assert code == 2 and ("leave it out" in words or "give no other choice" in words)


def test_published_tables_need_no_records(run: Run, tmp_path: Path) -> None:
    code, words = run("table", "severe", "--published-only", "--tables", tmp_path)
    assert code == 0 and "printed as 52.1; its numbers give 52.025" in words
    assert "no records here yet" in run("table", "severe", "--output", tmp_path)[1]


def test_imported_numbers_are_marked_and_never_replaced(run: Run, folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "blog.csv"
    file.write_text(HEADER + ROW)
    assert run("import", file, "--output", folder) == (0, f"1 numbers of 1 sources in {folder}/imported/blog.csv")
    tables = tmp_path / "tables"
    assert run("table", "mini", "--output", folder, "--tables", tables)[0] == 0
    text = (tables / "mini.md").read_text()
    assert "| _Imported_ |" in text and "| Theirs ViT-B ‡ |" in text and "90.1‡" in text
    assert "‡ imported by the user; neither measured here nor checked" in text and "‡ Theirs ViT-B: A blog" in text
    assert ",imported,Theirs ViT-B (k400),ucf101/linear,top1,0.901," in (tables / "mini.csv").read_text()
    file.write_text(HEADER + ROW.replace("90.1", "95.0"))
    code, words = run("import", file, "--output", folder)
    assert code == 2 and "other numbers of this name were imported before" in words
    file.write_text(HEADER + ROW.replace("90.1", "190.1"))
    assert run("import", file, "--output", folder)[0] == 2


def test_numbers_that_no_board_shows_are_named(run: Run, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "blog.csv").write_text(HEADER + ROW + ROW.replace("linear_probe", "linear"))
    code, words = run("import", tmp_path / "blog.csv", "--output", folder)
    assert (
        code == 0 and words.count("no board of") == 1 and "task linear, dataset ucf101, metric top1 (Theirs)" in words
    )


def test_what_was_imported_breaks_no_board(run: Run, folder: Path, tmp_path: Path) -> None:
    """Two pretrainings of a method are two rows, and one number is taken from one file only."""
    (tmp_path / "blog.csv").write_text(HEADER + ROW + ROW.replace("k400", "ssv2").replace("90.1", "80.2"))
    assert run("import", tmp_path / "blog.csv", "--output", folder)[0] == 0
    (tmp_path / "again.csv").write_text(HEADER + ROW.replace("90.1", "95.0"))
    code, words = run("import", tmp_path / "again.csv", "--output", folder)
    assert code == 2 and "was imported before, in" in words and "blog.csv; keep one" in words
    assert run("table", "mini", "--output", folder, "--tables", tmp_path)[0] == 0
    text = (tmp_path / "mini.md").read_text()
    assert re.search(r"Theirs ViT-B \(K400\) ‡ .*90\.1‡", text) and re.search(r"\(SSv2\) ‡ .*80\.2‡", text)


def test_export_writes_a_folder_that_verifies(run: Run, folder: Path, tmp_path: Path) -> None:
    code, words = run("export", tmp_path / "paper", "--output", folder, "--board", "mini")
    assert code == 0 and "of the boards mini" in words
    assert run("verify", tmp_path / "paper")[0] == 0
    assert run("export", tmp_path / "paper", "--output", folder)[0] == 2
    code, words = run("export", tmp_path / "paper/manifest.json", "--output", folder, "--board", "mini")
    assert code == 2 and "manifest.json: a file; choose a new folder" in words


def forged(path: Path, edit: Callable[[Any], None]) -> Path:
    """A record file with other content, under the name that belongs to it; the old one is gone."""
    content = json.loads(path.read_bytes())
    edit(content)
    path.unlink()
    new = path.with_name(f"{digest(content)[:12]}.json")
    new.write_text(json.dumps(content))
    return new


@pytest.mark.parametrize(
    "edit",
    [
        lambda r: r["predictions"].update(file="../evil.npz"),
        lambda r: r["predictions"].update(file="/evil.npz"),
        lambda r: r["predictions"].update(sha256="../evil", file="predictions/../evil.npz"),
        lambda r: r["scores"][0]["interval"].update(level=5.0),
        lambda r: r["scores"][0]["interval"].update(replicates=-5),
        lambda r: r["scores"][0]["interval"].update(low=0.9, high=0.1),
        lambda r: r["scores"][0].update(value="Infinity"),
        lambda r: r.update(scores=[]),
        lambda r: r["task"]["protocol"]["uncertainty"].update(replicates=10**9),
        lambda r: r["data"].update(num_classes=10**9),
        lambda r: r["data"]["splits"]["test"].update(scored=-1),
        lambda r: r["data"].update(splits={}),
        lambda r: r["model"].update(model="x" * 5000),
        lambda r: r["task"].update(task="ucf101/" + "x" * 5000),
        lambda r: r["provenance"].update(command=[["x"]]),
    ],
)  # fmt: skip
def test_one_bad_record_is_named_and_stops_no_other(
    run: Run, folder: Path, tmp_path: Path, edit: Callable[[Any], None]
) -> None:
    """Its name fits its content, so nothing but the content itself can tell."""
    outside = tmp_path / "evil.npz"
    outside.write_bytes(b"not to be read")
    bad = forged(next(path for path in Store(folder).paths() if "bad" in path.parts), edit)
    code, words = run("verify", folder)
    assert code == 1 and bad.name in words and "1 records, 2 scores computed again" in words
    code, words = run("table", "mini", "--output", folder, "--tables", tmp_path / "tables")
    assert code == 1 and bad.name in words and "1 of 2 records were left out" in words
    assert "good" in (tmp_path / "tables/mini.csv").read_text()
    code, words = run("export", tmp_path / "paper", "--output", folder, "--board", "mini")
    assert code == 1 and "1 of 2 records were left out" in words
    assert run("verify", tmp_path / "paper")[0] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evil.npz", "paper", "runs", "tables"]


@pytest.mark.parametrize("content", [b"", b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 900 + b"1" + b"}" * 900, b"[]"])
def test_a_file_that_is_no_record_stops_no_other(run: Run, folder: Path, tmp_path: Path, content: bytes) -> None:
    (folder / "records/odd.json").write_bytes(content)
    os.mkfifo(folder / "records/pipe.json")
    code, words = run("verify", folder)
    assert code == 1 and "wrong (2)" in words and "2 records, 4 scores computed again" in words
    code, words = run("table", "mini", "--output", folder, "--tables", tmp_path / "tables")
    assert code == 1 and "2 of 4 records were left out" in words and "pipe.json: cannot be read (not a file)" in words
