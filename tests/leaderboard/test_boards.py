"""The boards of the paper: every printed number in its cell, once, and the committed tables are what comes out."""

import csv
import re
from decimal import Decimal
from functools import cache
from pathlib import Path

import pytest

from sigma_bench.leaderboard.board_table import BoardTable, mean_of_columns
from sigma_bench.leaderboard.exports import table_files
from sigma_bench.leaderboard.fill import fill, fill_published
from sigma_bench.leaderboard.latex import latex
from sigma_bench.leaderboard.notes import footnotes
from sigma_bench.leaderboard.render import markdown
from sigma_bench.leaderboard.table_layout import layout
from sigma_bench.records.store import Store
from sigma_bench.specs.board import PublishedColumn, load_board

RESULTS = Path(__file__).resolve().parents[2] / "results"
PAPER = ("frozen", "finetune_ssv2", "finetune_k400", "segmentation", "severe")
IDENTITY = ("method", "backbone", "pretrain_data", "pretrain_epochs", "extra_data", "motion_guided")
Place = tuple[str, ...]


@cache
def paper(name: str) -> BoardTable:
    """A board from published numbers alone."""
    return fill_published(load_board(name))


@cache
def in_file() -> dict[Place, str]:
    """Every number as the file prints it, by the cells that say what it is."""
    with (RESULTS / "published" / "sigma_eccv2024.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    found = {place(row, row): row["value"] for row in rows}
    assert len(found) == len(rows) == 157
    return found


def place(identity: dict[str, str], column: dict[str, str]) -> Place:
    return (*(identity[key] for key in IDENTITY), *(column[key] for key in ("table", "task", "dataset", "metric")))


def shown(name: str, lines: list[list[str]]) -> list[tuple[Place, str]]:
    """Place and text of every published number of a board, from the cells of its rendered rows."""
    board, table = load_board(name), paper(name)
    columns: list[PublishedColumn] = [column.published for column in board.columns if column.published]
    columns += [board.mean.published] if board.mean and board.mean.published else []
    found = []
    for row, cells in zip(table.published, lines, strict=True):
        numbers = cells[len(cells) - len(columns) - len(table.axes) :]
        del numbers[len(board.columns) : len(board.columns) + len(table.axes)]
        found += [(place(row.cells, c.model_dump()), text) for c, text in zip(columns, numbers, strict=True)]
    return found


def markdown_cells(table: BoardTable) -> list[list[str]]:
    lines = [line.strip("| ").split(" | ") for line in markdown(table).splitlines() if line.startswith("| ")]
    return [[re.sub(r"\*\*|</?ins>", "", cell) for cell in cells] for cells in lines if cells[0].endswith("†")]


def latex_cells(table: BoardTable) -> list[list[str]]:
    lines = [line.removesuffix(r" \\").split(" & ") for line in latex(table).splitlines() if line.endswith(r"\\")]
    plain = [[re.sub(r"\\(?:textbf|underline)\{([^}]*)\}", r"\1", cell) for cell in cells] for cells in lines]
    return [cells for cells in plain if "dagger" in cells[0]]


@pytest.mark.parametrize("cells_of", [markdown_cells, latex_cells])
def test_the_157_printed_numbers_stand_in_exactly_one_cell_each(cells_of) -> None:
    boards = [shown(name, cells_of(paper(name))) for name in PAPER]
    cells = [cell for board in boards for cell in board]
    assert len(cells) == len(dict(cells)) == 157
    assert dict(cells) == in_file()


@pytest.mark.parametrize("name", PAPER)
def test_a_board_holds_one_table_of_the_paper_and_all_of_it(name: str) -> None:
    cells = dict(shown(name, markdown_cells(paper(name))))
    assert cells == {key: value for key, value in in_file().items() if key[len(IDENTITY)] == name}


def test_csv_exports_hold_the_same_numbers_as_fractions() -> None:
    values = []
    for name in PAPER:
        rows = csv.DictReader(table_files(paper(name), name)[f"{name}.csv"].splitlines())
        values += [(row["metric"], Decimal(row["value"])) for row in rows if row["origin"] == "published"]
    printed = [(key[-1], Decimal(value)) for key, value in in_file().items()]
    expected = [(m, value if m == "counting_error" else value / 100) for m, value in printed]
    assert sorted(values) == sorted(expected)


def test_the_overview_repeats_numbers_of_the_other_boards() -> None:
    board, table = load_board("overview"), paper("overview")
    printed = {(key[0], key[1], *key[len(IDENTITY) :]): value for key, value in in_file().items() if key[5] == ""}
    assert len({row.label for row in table.published}) == len(table.published) == 7
    for row, cells in zip(table.published, markdown_cells(table), strict=True):
        for column, text in zip(board.columns, cells[1:], strict=True):
            assert column.published is not None
            key = (row.cells["method"], "vit_b", *column.published.model_dump().values())
            assert text == printed.get(key, "–")


def test_printed_means_are_recomputed_and_only_mvds_differs() -> None:
    table = paper("severe")
    means = {row.label: (row.mean, row.recomputed_mean) for row in table.published}
    assert means == {
        "SIGMA-DINO": (0.643, pytest.approx(0.642625, abs=1e-11)),
        "SIGMA-MLP": (0.615, pytest.approx(0.61525, abs=1e-11)),
        "MGMAE": (0.588, pytest.approx(0.587875, abs=1e-11)),
        "VideoMAE": (0.574, pytest.approx(0.574, abs=1e-11)),
        "MVD": (0.521, pytest.approx(0.52025, abs=1e-12)),
        "SVT": (0.510, pytest.approx(0.510125, abs=1e-11)),
    }
    notes = [note for note in footnotes(table) if "printed as" in note]
    assert notes == ["MVD: the Mean is printed as 52.1; its numbers give 52.025."]


def test_an_incomplete_row_has_no_mean_and_an_error_counts_as_its_distance_from_one() -> None:
    assert mean_of_columns([(0.421, False), (0.355, True)]) == pytest.approx((1 - 0.421 + 0.355) / 2)
    assert mean_of_columns([(0.421, False), None]) is None


def test_axis_means_are_computed_from_the_printed_numbers_and_marked() -> None:
    table = paper("severe")
    row = next(cells for cells in markdown_cells(table) if cells[0].startswith("SVT"))
    # printed: 59.5 62.3 | 83.9 18.5 | 35.4 55.1 | 0.421 35.5; an error e counts as 1 - e
    assert row[-5:] == ["60.9*", "51.2*", "45.2*", "46.7*", "51.0"]
    assert any(note.startswith("*: computed here") for note in footnotes(table))
    assert not any(note.startswith("*") for note in footnotes(paper("frozen")))
    rows = csv.DictReader(table_files(table, "severe")["severe.csv"].splitlines())
    computed = [(row["model"], row["task"], float(row["value"])) for row in rows if row["origin"] == "computed"]
    assert len(computed) == 24 and computed[3] == ("SVT (vit_b, k400)", "Task shift", pytest.approx(0.467))


def test_sections_and_headers_are_those_of_the_paper() -> None:
    tuned = paper("finetune_ssv2")
    assert [(section.title, len(section.rows)) for section in tuned.sections] == [
        ("Supervised pretraining", 4),
        ("Self-supervised pretraining on K400", 6),
        ("Self-supervised pretraining on SSv2", 7),
        ("Self-supervised pretraining on SSv2, with motion guidance", 5),
    ]
    assert layout(tuned).about == ("Backbone", "Epochs", "Extra data", "Motion guided")
    severe = layout(paper("severe"))
    assert severe.groups == (
        *(("Domain shift", 2), ("Sample efficiency", 2), ("Action granularity", 2), ("Task shift", 2)),
        *(("Axis means", 4), ("", 1)),
    )
    assert severe.labels[-1] == "Mean" and severe.about == ("Backbone",)


def test_marks_are_the_best_and_the_second_best_of_a_section_and_backbone() -> None:
    frozen = paper("frozen")
    assert [row.marks for row in frozen.published[-2:]] == [("second",) * 6, ("best",) * 6]
    assert all(mark is None for row in frozen.published[:-2] for mark in row.marks)
    severe = {row.label: (*row.marks, row.mean_mark) for row in paper("severe").published}
    assert severe["SVT"] == (None, None, "second", None, None, None, None, "best", None)
    assert severe["VideoMAE"][6] == "second"  # a counting error of 0.172 is second to 0.169: lower is better
    tuned = paper("finetune_ssv2").sections
    assert [row.label for row in tuned[3].rows if row.marks == ("best",)] == ["SIGMA-MLP", "SIGMA-DINO"]  # both 71.2
    assert [(row.about["backbone"], row.marks[0]) for row in tuned[1].rows if row.label == "SIGMA-DINO"] == [
        ("ViT-S", None),  # alone with its backbone
        ("ViT-B", "best"),
    ]
    assert all(row.marks == (None,) for row in tuned[0].rows)


@pytest.mark.parametrize("name", [*PAPER, "overview"])
def test_committed_tables_are_up_to_date(name: str) -> None:
    for file, text in table_files(paper(name), name).items():
        committed = RESULTS / "tables" / file
        assert committed.is_file() and committed.read_text(encoding="utf-8") == text, (
            f"{committed} is stale; sigma-bench table {name} --published-only --tables results/tables"
        )


@pytest.mark.parametrize("name", ["mini", "mini_protocols", "severe_mini"])
def test_committed_tables_of_measured_numbers_are_what_the_committed_records_give(name: str) -> None:
    store, board = Store(RESULTS / "records"), load_board(name)
    records = list(store.records())
    filled = fill(board, store, records)
    assert filled.records, f"results/records has no record of the board {name}"
    for file, text in table_files(filled.table, name).items():
        committed = RESULTS / "tables" / file
        assert committed.is_file() and committed.read_text(encoding="utf-8") == text, (
            f"{committed} is stale; sigma-bench table {name} --output results/records --tables results/tables"
        )
