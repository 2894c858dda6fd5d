"""Tables and numbers of the README are those of the committed files and declarations.

The commands and scripts of the README are tested with those of the documentation, in ``tests/docs/test_pages.py``.
"""

import csv
import re
from pathlib import Path

import pandas as pd
import pytest

import sigma_bench as sb
from sigma_bench.leaderboard.model_names import BASELINES
from sigma_bench.specs.board import load_board

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
KINDS = {
    "kNN, linear": {"knn", "linear"},
    "clustering": {"clustering", "segmentation"},
    "attentive probe": {"attentive"},
    "fine-tuning": {"finetune"},
}
"""Columns of the matrix of datasets, and the protocols that they stand for."""


def rows_after(mark: str) -> list[list[str]]:
    """Cells of the first Markdown table after a text, without the header."""
    text = README.split(mark)[1]
    table = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert table is not None
    return [[cell.strip() for cell in line.strip("|\n").split("|")] for line in table[0].splitlines()][2:]


def short_table(file: Path) -> str:
    """The measured values of the board mini in percent, one row per model; bold where a value is among the best."""
    names = {**BASELINES, **load_board("mini").names}
    with file.open() as lines:
        measured = [row for row in csv.DictReader(lines) if row["origin"] == "measured"]
    tasks = list(dict.fromkeys(row["task"] for row in measured))
    cells: dict[str, list[str]] = {}
    for row in measured:
        value = f"{100 * float(row['value']):.1f}"
        cells.setdefault(names[row["model"]], []).append(f"**{value}**" if row["among_best"] == "true" else value)
    lines = [["model", *tasks], ["---", *("---:" for _ in tasks)], *([model, *row] for model, row in cells.items())]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def test_it_is_short() -> None:
    assert len(README.splitlines()) <= 200


def test_the_short_table_is_that_of_the_committed_board() -> None:
    shown = README.split("<!-- short table: results/tables/mini.csv -->")[1].split("<!-- /short table -->")[0]
    assert shown.strip() == short_table(ROOT / "results" / "tables" / "mini.csv")


def test_published_numbers_are_those_of_the_committed_board() -> None:
    board = pd.read_csv(ROOT / "results" / "tables" / "frozen.csv")
    for model, *shown in rows_after("## Published numbers"):
        expected = board[board["model"] == f"{model.removesuffix(' †')} (vit_b, k400)"]["value"]
        assert [float(value) for value in shown] == pytest.approx([100 * value for value in expected], abs=1e-6)


def test_the_number_of_published_numbers() -> None:
    files = (ROOT / "results" / "published").glob("*.csv")
    assert f"holds {sum(len(pd.read_csv(file)) for file in files):,} numbers" in README


def test_the_matrix_of_datasets_is_that_of_the_tasks() -> None:
    """A tick for every kind of protocol that a dataset has, and none for the others."""
    tasks = sb.tasks()
    for name, *ticks, _ in rows_after("## What it covers"):
        stem = name.split(" (")[0].split(", ")[0]
        protocols = tasks[tasks["dataset"].str.startswith(stem)]["protocol"]
        found = {protocol.split("@")[0] for protocol in protocols}
        assert found, name
        expected = ["✓" if wanted & found else "" for wanted in KINDS.values()]
        assert ticks == expected, name
