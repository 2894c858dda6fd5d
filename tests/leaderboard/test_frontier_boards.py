"""Boards of recent models: every published number in one cell, under its source and protocol, and never ranked."""

import csv
import json
import re
from decimal import Decimal
from pathlib import Path

import pytest

from sigma_bench.leaderboard.aggregate import aggregate
from sigma_bench.leaderboard.exports import table_files
from sigma_bench.leaderboard.fill import fill_published, numbers_for
from sigma_bench.leaderboard.render import markdown
from sigma_bench.leaderboard.select import select
from sigma_bench.specs.board import Board, load_board
from tests.factories import make_record

RESULTS = Path(__file__).resolve().parents[2] / "results"
BOARDS = ("frontier_attentive", "frontier_propagation", "frontier_finetune", "severe_plus_plus")
Quantity = tuple[str, ...]


def in_file() -> dict[Quantity, Decimal]:
    """Every number as the file prints it, by table, place, method, size and pretraining."""
    with (RESULTS / "published" / "frontier.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    identity = ("source", "table", "task", "dataset", "metric", "method", "backbone", "pretrain_data", "extra_data")
    found = {tuple(row[key] for key in identity): Decimal(row["value"]) for row in rows}
    assert len(found) == len(rows) == 989
    return found


def rendered(name: str) -> list[list[str]]:
    lines = [line.strip("| ").split(" | ") for line in markdown(fill_published(load_board(name))).splitlines()]
    return [[re.sub(r"\*\*|</?ins>", "", cell) for cell in cells] for cells in lines if cells[0].endswith("†")]


def places(board: Board) -> list[tuple[str, str, list[tuple[str, str, str] | None]]]:
    """For every section: source, table, and task, dataset and metric of every column."""
    if board.published is not None:
        columns = [column.published for column in board.columns]
        return [("", column.table, []) for column in columns if column]
    return [
        (
            section.source,
            section.table,
            [
                (place.task, place.dataset, place.metric) if (place := section.columns.get(column.label)) else None
                for column in board.columns
            ],
        )
        for section in board.context
    ]


def shown_in_context(name: str) -> dict[Quantity, Decimal]:
    """Every number of the context sections of a board, from the cells of its rendered rows."""
    board, table = load_board(name), fill_published(load_board(name))
    lines, found = iter(rendered(name)), {}
    for section, (source, number, columns) in zip(table.sections, places(board), strict=True):
        for row in section.rows:
            own = tuple(row.cells[key] for key in ("method", "backbone", "pretrain_data", "extra_data"))
            for place, text in zip(columns, next(lines)[-len(columns) :], strict=True):
                if text != "–":
                    assert place is not None
                    quantity = (source, number, *place, *own)
                    assert quantity not in found
                    found[quantity] = Decimal(text)
    return found


def test_the_989_printed_numbers_stand_in_exactly_one_cell_each() -> None:
    context = [item for name in BOARDS[:3] for item in shown_in_context(name).items()]
    board, table = load_board("severe_plus_plus"), fill_published(load_board("severe_plus_plus"))
    own = []
    for row, cells in zip(table.published, rendered("severe_plus_plus"), strict=True):
        for column, text in zip(board.columns, cells[-len(board.columns) :], strict=True):
            place = column.published
            assert place is not None
            key = (place.table, place.task, place.dataset, place.metric)
            told = tuple(row.cells[name] for name in ("method", "backbone", "pretrain_data", "extra_data"))
            if text != "–":
                own.append((("SEVERE++", *key, *told), Decimal(text)))
    shown = [*context, *own]
    expected = {
        ("SEVERE++" if key[0].startswith("SEVERE++") else key[0], *key[1:]): value for key, value in in_file().items()
    }
    assert len(shown) == len(dict(shown)) == 989
    assert dict(shown) == expected


@pytest.mark.parametrize("name", BOARDS)
def test_committed_tables_are_up_to_date(name: str) -> None:
    for file, text in table_files(fill_published(load_board(name)), name).items():
        assert (RESULTS / "tables" / file).read_text(encoding="utf-8") == text, f"{file} is stale"


@pytest.mark.parametrize("name", BOARDS[:3])
def test_context_is_neither_ranked_nor_anonymous(name: str) -> None:
    table = fill_published(load_board(name))
    text = markdown(table)
    for section in table.sections:
        assert section.is_context and f"_{section.title}_" in text
        assert all(mark is None for row in section.rows for mark in row.marks)
    assert "not comparable with other sections" in text


def test_a_measured_number_is_shown_beside_context_without_a_difference() -> None:
    board = load_board("frontier_finetune")
    linear = board.columns[0].model_copy(update={"task": "ssv2/linear"})
    board = board.model_copy(update={"columns": (linear, *board.columns[1:])})
    record = make_record(
        "ours", "ssv2/linear", 0.737, family="V-JEPA", world="official", pretraining_data=("videomix2m",)
    )
    record = record.model_copy(update={"model": record.model.model_copy(update={"feature_width": 1024})})
    table = aggregate(board, select([(Path("0.json"), record)], board), numbers_for(board, None))
    assert [row.model for row in table.rows] == ["ours"] and table.deltas == ()
    assert "Measured" not in "".join(section.title for section in table.sections)
    assert "73.7" in markdown(table)


def test_context_names_columns_of_the_board_and_numbers_of_the_file() -> None:
    board = load_board("frontier_finetune")
    content = board.model_dump(mode="json")
    content["context"][0]["columns"] = {"SSv3": content["context"][0]["columns"]["SSv2"]}
    with pytest.raises(ValueError, match="'SSv3' is the label of 0 columns, not of one"):
        Board.model_validate_json(json.dumps(content))
    wrong = board.context[0].model_copy(update={"table": "fine_tuned"})
    with pytest.raises(ValueError, match=r"frontier has no number of VideoMAE V2.*table fine_tuned"):
        fill_published(board.model_copy(update={"context": (wrong,)}))
