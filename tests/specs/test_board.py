"""Boards: the shipped board, and errors for typos."""

from pathlib import Path
from typing import Any

import pytest

from sigma_bench.resources import INCLUDE_VARIABLE
from sigma_bench.specs.board import Board, board_names, load_board
from sigma_bench.specs.board_file import board_text
from sigma_bench.specs.strict import load_spec, parse_spec

BOARDS = Path(__file__).resolve().parents[2] / "results" / "boards"
MINI = (BOARDS / "mini.yaml").read_text(encoding="utf-8")


def content(**changes: Any) -> dict[str, Any]:
    column = {"task": "ucf101/knn", "metric": "top1", "label": "kNN", "group": "UCF101"}
    base = {"name": "b", "title": "B", "rows": ["a"], "columns": [column], "published": None, "note": ""}
    return base | changes


NUMBER = {"table": "t", "task": "linear_probe", "dataset": "ucf101", "metric": "top1"}
PUBLISHED = {
    "file": "f",
    "identity": ["method"],
    "sections": [{"title": "", "where": {}}],
    "within_points": 1.0,
    "note": "n",
}


def refuse(**changes: Any) -> str:
    with pytest.raises(ValueError) as caught:
        parse_spec(Board, content(**changes), where="board.yaml")
    assert str(caught.value).startswith("board.yaml: ")
    return str(caught.value)


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An included folder with one board, a copy of the shipped one under the name 'mine'."""
    (tmp_path / "boards").mkdir()
    (tmp_path / "boards" / "mine.yaml").write_text(MINI.replace("name: mini", "name: mine"), encoding="utf-8")
    monkeypatch.setenv(INCLUDE_VARIABLE, str(tmp_path))
    return tmp_path


def test_the_mini_board() -> None:
    board = load_spec(Board, BOARDS / "mini.yaml")
    assert [(column.task, column.metric) for column in board.columns] == [
        *((f"{dataset}/{kind}", "top1") for dataset in ("ucf101", "ssv2", "cifar100") for kind in ("knn", "linear")),
        *((f"davis2017/{kind}", "miou") for kind in ("clustering", "overclustering")),
    ]
    assert board.published is not None and "not comparable" in board.published.note
    assert [column.task for column in board.columns if column.published] == [
        *("ucf101/linear", "ssv2/linear", "cifar100/linear", "davis2017/clustering", "davis2017/overclustering"),
    ]


def test_every_shipped_board_loads() -> None:
    assert "mini" in board_names()
    for name in board_names():
        assert load_board(name).name == name


def test_boards_are_found_by_name(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"mini", "mine"} <= set(board_names())
    assert load_board("mine").name == "mine"
    assert load_board(str(BOARDS / "mini.yaml")).name == "mini"
    for name in ("here.yaml", "here.yml"):
        (house / name).write_bytes((BOARDS / "mini.yaml").read_bytes())
        monkeypatch.chdir(house)
        assert load_board(name).name == "mini"
    with pytest.raises(ValueError, match=r"there is no board 'minee'\. Did you mean 'mine' or 'mini'"):
        load_board("minee")


def test_a_board_must_carry_its_files_name(house: Path) -> None:
    (house / "boards" / "maxi.yaml").write_bytes((BOARDS / "mini.yaml").read_bytes())
    with pytest.raises(ValueError, match=r"maxi.yaml: key 'name' is 'mini'"):
        load_board("maxi")


def test_a_column_must_be_a_task_of_the_catalogue(house: Path) -> None:
    path = house / "boards" / "mine.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("ssv2/knn", "ssv2/kn"), encoding="utf-8")
    with pytest.raises(ValueError, match=r"mine.yaml: there is no task 'ssv2/kn'\. Did you mean 'ssv2/knn'"):
        load_board("mine")


def test_a_metric_must_be_one_of_the_tasks_protocol(house: Path) -> None:
    path = house / "boards" / "mine.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("ssv2/knn, metric: top1", "ssv2/knn, metric: top-1"))
    with pytest.raises(ValueError, match=r"task 'ssv2/knn' has no 'top-1'\. Did you mean 'top1'"):
        load_board("mine")


def test_typos_and_doubles_are_named() -> None:
    column = content()["columns"][0]
    assert "unknown key 'row'. Did you mean 'rows'" in refuse(row=[])
    assert "the column 'ucf101/knn top1' is given twice" in refuse(columns=[column, column])
    assert "the row 'a' is given twice" in refuse(rows=["a", {"model": "a", "name": "A"}])
    assert "the name 'A' is given twice" in refuse(rows=[{"model": model, "name": "A"} for model in "ab"])
    assert "unknown key 'rows.0.label'" in refuse(rows=[{"model": "a", "label": "A"}])
    assert "columns" in refuse(columns=[])


def test_a_row_is_a_name_in_records_with_or_without_a_name_in_tables(tmp_path: Path) -> None:
    board = parse_spec(Board, content(rows=["a", {"model": "b", "name": "B: b"}, {"model": "c"}]), where="x")
    assert board.labels == ("a", "b", "c") and board.names == {"b": "B: b"}
    (tmp_path / "b.yaml").write_text(board_text(board), encoding="utf-8")
    assert "  - a\n" in (tmp_path / "b.yaml").read_text()
    assert load_spec(Board, tmp_path / "b.yaml") == board


def test_a_column_is_measured_or_published_or_both() -> None:
    empty = {"label": "kNN", "group": "UCF101"}
    assert "has neither a task nor published numbers" in refuse(columns=[empty])
    assert "needs both a task and a metric" in refuse(columns=[empty | {"task": "ucf101/knn"}])
    assert "does not name their file" in refuse(columns=[empty | {"published": NUMBER}])
    board = parse_spec(Board, content(columns=[empty | {"published": NUMBER}], published=PUBLISHED), where="x")
    assert board.columns[0].task is None


def test_a_number_stands_in_one_column() -> None:
    columns = [{"label": name, "group": "UCF101", "published": NUMBER} for name in ("a", "b")]
    assert "published column 't linear_probe ucf101 top1' is given twice" in refuse(
        columns=columns, published=PUBLISHED
    )
