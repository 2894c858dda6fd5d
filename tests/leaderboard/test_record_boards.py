"""Boards without a name: what fits a declared board is on it, and the rest is on one board per dataset."""

import json
import re
from pathlib import Path

import pytest

import sigma_bench as sb
from sigma_bench.leaderboard.notes import footnotes
from sigma_bench.records.store import Store
from sigma_bench.specs.board import Board, BoardColumn, board_names
from sigma_bench.specs.board_file import board_text
from sigma_bench.specs.strict import load_spec
from tests.leaderboard.custom_records import add_custom
from tests.records.filled import add, predictions

NAMES = (
    *("$\\frac$", "<script>alert(1)</script>", "[click](javascript:alert(1))", "=cmd|' /C calc'!A0", "@SUM(1)", ".."),
    *("%s{x}#&_~^", "\x1b[31mred", "Ünïcode 模型", "a|b`c", "\u202eevil", "mini", "a\x85%b", "no"),
)
"""Names of a dataset, a task and a model, none of which may be obeyed."""

BY_SAMPLE = {"method": "bootstrap", "unit": "sample", "level": 0.95, "replicates": 200}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


def named(boards: list[sb.Leaderboard]) -> dict[str, sb.Leaderboard]:
    return {one.table.name: one for one in boards}


def test_custom_data_have_one_board_per_dataset(store: Store) -> None:
    for dataset in ("gait", "hands"):
        for model, share in (("good", 0.9), ("bad", 0.3)):
            add_custom(store, dataset, share, model=model)
    record = add_custom(store, "gait", 0.8, model="good", task="linear")
    boards = named(sb.boards(store.root))
    assert list(boards) == ["gait", "hands"]
    gait = boards["gait"].table
    assert [(c.task, c.metric, c.heading) for c in gait.columns] == [
        ("gait/knn", "top1", "gait"),
        ("gait/linear", "top1", "gait"),
    ]
    assert {row.model: row.coverage for row in gait.rows} == {"good": "2/2", "bad": "1/2"}
    assert (gait.data_sources, gait.published) == (("user",), ())
    (cell,) = [row.cells[1] for row in gait.rows if row.model == "good"]
    assert cell is not None and cell.value == record.scores[0].value and cell.low < cell.value < cell.high
    assert [reference.values for reference in gait.references] == [(0.25, 0.25)]


def test_what_fits_a_declared_board_is_on_it_and_on_no_other(store: Store) -> None:
    add(store, predictions(0.9), model="a", task="ucf101/knn")
    add_custom(store, "gait")
    boards = named(sb.boards(store.root))
    assert "mini" in boards and set(boards) - set(board_names()) == {"gait"}
    by_dataset = named(sb.boards(store.root, by_dataset=True))
    assert set(by_dataset) == {"gait", "ucf101_mini"}
    assert by_dataset["ucf101_mini"].table.title == "UCF101 (mini world)"


def test_custom_data_named_as_a_dataset_are_not_beside_published_numbers(store: Store) -> None:
    add_custom(store, "ucf101", model="mine")
    (only,) = sb.boards(store.root)
    assert only.table.name == "ucf101" and only.table.published == ()
    assert "mine" in set(sb.board("quick", store.root).frame()["model"])  # it was asked for


def test_notes_state_how_custom_data_are_divided_and_that_few_units_are_few(store: Store) -> None:
    add_custom(store, "hands", folds="leave_one_group_out")
    add_custom(store, "signs", folds="leave_one_group_out", num_samples=9)
    whole = add_custom(Store(store.root.parent / "other"), "words")
    splits = {"all": whole.data.splits["test"]}
    Store(store.root).add(whole.model_copy(update={"data": whole.data.model_copy(update={"splits": splits})}))
    add_custom(store, "gait")
    add_custom(store, "gait", task="linear", folds="5", overrides={"uncertainty": BY_SAMPLE})
    add(store, predictions(0.9), model="m", task="ucf101/knn")
    notes = {name: footnotes(one.table) for name, one in named(sb.boards(store.root, by_dataset=True)).items()}
    assert "hands: leave_one_group_out, 20 folds of whole groups; intervals over 20 groups." in notes["hands"]
    few = "leave_one_group_out, 3 folds of whole groups; intervals over 3 groups. Intervals from 3 groups are rough."
    assert f"signs: {few}" in notes["signs"]
    assert "words: not divided; intervals over 20 groups." in notes["words"]
    assert "gait/knn: the split of the data; intervals over 20 groups." in notes["gait"]
    five = "5 folds of whole groups, classes balanced as far as groups permit, seed 0; intervals over 60 samples."
    assert f"gait/linear: {five}" in notes["gait"]
    assert not any("; intervals over" in note for note in notes["ucf101_mini"])


def test_data_sources_do_not_share_a_board(store: Store) -> None:
    for world in ("mini", "official"):
        add(store, predictions(0.9), model=f"of_{world}", world=world)
        add_custom(store, "other", world=world)
    boards = named(sb.boards(store.root))
    assert {"quick_mini", "quick_official", "other_mini", "other_official", "mini"} <= set(boards)
    for one in boards.values():
        assert len(one.table.data_sources) == 1
    assert {row.model for row in boards["quick_official"].table.rows} == {"of_official"}
    with pytest.raises(ValueError, match=r"several data sources \(mini, official\)"):
        sb.board(records=store.root)
    assert len(sb.Records(store.root).where({"data_source": "mini"})) == 2


def test_several_encoders_of_one_name_are_rows_with_the_settings_that_differ(store: Store) -> None:
    for size in (64, 112):
        add_custom(store, "gait", model="mine", image_size=size)
    for seed in range(2):
        add_custom(store, "gait", model="seeds", pretraining_seed=seed)
    for checkpoint in ("a" * 64, "b" * 64):
        add_custom(store, "gait", model="same", checkpoint=checkpoint)
    (board,) = sb.boards(store.root)
    assert [(row.model, row.cells[0].num_seeds) for row in board.table.rows if row.cells[0]] == [
        ("mine (image_size=112)", 1),
        ("mine (image_size=64)", 1),
        ("same (checkpoint=aaaaaaaa)", 1),
        ("same (checkpoint=bbbbbbbb)", 1),
        ("seeds", 2),
    ]
    (chosen,) = sb.Records(store.root).where({"image_size": 112}).boards()
    assert [row.model for row in chosen.table.rows] == ["mine"]


def test_a_task_under_several_settings_has_a_column_for_each(store: Store) -> None:
    kept = [add_custom(store, "gait", share, overrides={"neighbours": n}) for n, share in ((5, 0.9), (20, 0.4))]
    (board,) = sb.boards(store.root)
    assert [column.task for column in board.table.columns] == ["gait/knn (neighbours=5)", "gait/knn (neighbours=20)"]
    (row,) = board.table.rows
    assert [cell.value for cell in row.cells if cell] == [record.scores[0].value for record in kept]
    (chosen,) = sb.Records(store.root).where({"neighbours": 20}).boards()
    assert [column.task for column in chosen.table.columns] == ["gait/knn"]


def test_a_dataset_that_was_changed_between_two_evaluations_of_a_model_has_two_columns(store: Store) -> None:
    for files in ("before", "after"):
        add_custom(store, "gait", files=files)
    (board,) = sb.boards(store.root)
    first, second = (str(column.task) for column in board.table.columns)
    assert first.startswith("gait/knn (data=") and first != second


def test_partial_records_are_named_and_enter_no_board(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    add_custom(store, "gait")
    plain = add_custom(store, "smoke")
    store.paths()[-1].unlink() if "smoke" in str(store.paths()[-1]) else store.paths()[0].unlink()
    store.add(plain.model_copy(update={"data": plain.data.model_copy(update={"limit": 5})}))
    assert list(named(sb.boards(store.root))) == ["gait"]
    assert "left out of every board, since it is partial (limit 5); evaluate smoke/knn without a limit" in caplog.text


def test_names_are_shown_and_not_interpreted_in_every_form(store: Store, tmp_path: Path) -> None:
    """As datasets, whose names hold no slash, as tasks and as models."""
    for name in NAMES:
        add_custom(store, re.sub(r"[/\\]", "_", name), model=name, task=name)
    boards = sb.boards(store.root)
    assert len({one.table.name for one in boards} - set(board_names())) == len(NAMES)
    page = boards[0].save(tmp_path / "page.html").read_text()
    assert "<script>alert" not in page
    for one in boards:
        texts = [one.save(tmp_path / f"{one.table.name}.{kind}").read_text() for kind in ("md", "csv", "tex")]
        assert not {"\x1b", "\u202e", "\x85"} & set("".join(texts))
        assert "<script>" not in texts[0] and "\\frac" not in texts[2]
        assert not re.search(r"(?<!\\)\]\(java", texts[0]) and not re.search(r"(^|,)[=@]", texts[1], re.MULTILINE)
    assert {path.parent for path in tmp_path.rglob("*") if path.suffix in (".md", ".csv", ".tex")} == {tmp_path}


def test_a_folder_for_a_paper_needs_no_name_of_a_board(store: Store, tmp_path: Path) -> None:
    """Two encoders of one name are two models in every form, and the folder verifies."""
    for size in (64, 112):
        add_custom(store, "%s{x}#&_~^", model="$\\frac$", image_size=size)
    names, files = sb.export(store.root, tmp_path / "paper")
    (name,) = names
    assert name.startswith("s_x_") and sb.Records(tmp_path / "paper").verify().problems == ()
    kinds = [f"tables/{name}.{kind}" for kind in ("tex", "md", "csv")] + [f"figures/{name}_scores.pdf"]
    assert {*kinds, f"tables/{name}_long.jsonl", "manifest.json"} <= set(files)
    lines = [json.loads(line) for line in (tmp_path / "paper" / f"tables/{name}_long.jsonl").read_text().splitlines()]
    labels = {f"$\\frac$ (image_size={size})" for size in (64, 112)}
    assert {line["model"] for line in lines} == labels
    metas = [json.loads(path.read_text()) for path in (tmp_path / "paper" / "mteb").rglob("model_meta.json")]
    assert {meta["name"] for meta in metas} == labels


@pytest.mark.parametrize("name", NAMES)
def test_the_file_of_a_board_loads_as_the_same_board(tmp_path: Path, name: str) -> None:
    columns = (
        BoardColumn(group=name, label=name, task=f"{name}/knn", metric="top1", where={"neighbours": 5, "data": name}),
        BoardColumn(group="", label="x" * 500, task=f"{name}/linear", metric="top1"),
    )
    board = Board(
        name="b", title=name, rows=(name,), columns=columns, published=None, note=f"{name}\n%x", data_source="user"
    )
    (tmp_path / "b.yaml").write_text(board_text(board), encoding="utf-8")
    assert load_spec(Board, tmp_path / "b.yaml") == board


def test_a_new_board_is_edited_and_found(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGMA_BENCH_INCLUDE", "")
    add_custom(store, "gait", model="b")
    add_custom(store, "gait", model="a", task="linear")
    path = sb.new_board("mine", store.root, folder=tmp_path / "own")
    assert path == tmp_path / "own" / "boards" / "mine.yaml"
    text = path.read_text()
    path.write_text(text.replace("title: mine", "title: My gaits").replace("rows: []", "rows: [b]"))
    sb.include(tmp_path / "own")
    board = sb.board("mine", store.root).table
    assert (board.title, [row.model for row in board.rows]) == ("My gaits", ["b", "a"])
    assert "mine" in named(sb.boards(store.root)) and "gait" not in named(sb.boards(store.root))
    path.write_text(text.replace("task: gait/knn", "task: ucf101/nothing"))
    with pytest.raises(ValueError, match=r"mine\.yaml: there is no task 'ucf101/nothing'"):
        sb.board("mine", store.root)


def test_a_new_board_of_named_tasks(store: Store, tmp_path: Path) -> None:
    path = sb.new_board("some", tasks=["ssv2/knn", "ucf101/kn*"], folder=tmp_path)
    board = load_spec(Board, path)
    assert [column.task for column in board.columns][:2] == ["ssv2/knn", "ucf101/knn"] and board.data_source is None
    for arguments, words in (
        ({"name": "some"}, r"some\.yaml: exists already and is not overwritten"),
        ({"name": "mini"}, "there is a board 'mini' already"),
        ({"name": "../x"}, r"'\.\./x' cannot be the name of a board"),
        ({"name": "new", "tasks": ["ssv2/kn"]}, "no task 'ssv2/kn'"),
        ({"name": "new", "tasks": ()}, "neither records nor tasks"),
    ):
        with pytest.raises(ValueError, match=words):
            sb.new_board(**({"tasks": ["ssv2/knn"], "folder": tmp_path} | arguments))
    assert [file.name for file in (tmp_path / "boards").iterdir()] == ["some.yaml"]


def test_models_with_several_settings_are_compared_after_a_choice(store: Store) -> None:
    for size, share in ((64, 0.9), (112, 0.4)):
        add_custom(store, "gait", share, model="mine", image_size=size)
    add_custom(store, "gait", 0.6, model="other")
    records = sb.Records(store.root)
    words = r"mine stands for several encoders, which differ in image_size \(64, 112\); choose with --where image_size="
    with pytest.raises(ValueError, match=words):
        records.compare("mine", "other")
    by_setting = records.compare("mine", "other", where={"image_size": 112})
    assert (by_setting.first, by_setting.second) == ("mine (image_size=112)", "other")
    assert by_setting.tasks == records.compare("mine (image_size=112)", "other").tasks
    both = records.compare("mine (image_size=64)", "mine (image_size=112)")
    (task,) = both.tasks
    values = {r.model.image_size: r.scores[0].value for r in records if r.model.model == "mine"}
    assert (task.first, task.second) == (values[64], values[112]) and task.difference.value > 0
    for where, said in (
        ({"image_size": 63}, "no record of the model 'mine' has image_size=63; its values here: 64, 112"),
        ({"imge_size": 64}, r"has a setting 'imge_size'\. Did you mean 'image_size'"),
        ({"folds": "none"}, "no record of the two models has folds=none; its values here: official"),
    ):
        with pytest.raises(ValueError, match=said):
            records.compare("mine", "other", where=where)


def test_settings_are_read_as_on_the_command_line(store: Store) -> None:
    record = add_custom(store, "gait", overrides={"temperature": 0.5})
    records = sb.Records(store.root)
    fitting = (
        {"temperature": "0.50"},
        {"clip.sampling.sampler": "uniform"},
        {"checkpoint": record.model.checkpoint_sha256[:6]},
        {"mean": (0.5, 0.5, 0.5)},
        {"num_frames": 16, "protocol": "knn@1"},
    )
    assert all(list(records.where(settings)) == [record] for settings in fitting)
    with pytest.raises(ValueError, match=r"no record has checkpoint=abc; its values here: \w{8}$"):
        records.where({"checkpoint": "abc"})
