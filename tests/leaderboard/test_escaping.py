"""Special characters in names are shown and not interpreted."""

import csv
import io
from pathlib import Path

import pytest

from sigma_bench.leaderboard.escaping import csv_cell, figure_text, markdown_text
from sigma_bench.leaderboard.exports import table_files
from sigma_bench.leaderboard.figures import score_dots
from sigma_bench.leaderboard.fill import fill
from sigma_bench.records.store import Store
from sigma_bench.specs.untrusted import with_visible_controls
from tests.leaderboard.samples import tiny_board
from tests.records.filled import add, predictions


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("mini_sigma-mlp.v2@8x112", "mini_sigma-mlp.v2@8x112"),
        ("<script>alert(1)</script>", "\\<script\\>alert(1)\\</script\\>"),
        ("[click](javascript:alert(1))", "\\[click\\](javascript:alert(1))"),
        ("a|b`c", "a\\|b\\`c"),
        ("$\\frac$", "\\$\\\\frac\\$"),
        ("**x** _y_ &lt;", "\\*\\*x\\*\\* \\_y\\_ \\&lt;"),
        ("a\nb\x1b[31m", "a b\\\\x1b\\[31m"),  # the escape character by its number, whose backslash is one
    ],
)
def test_markdown_is_obeyed_by_no_name(name: str, shown: str) -> None:
    assert markdown_text(name) == shown


@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0", "@SUM(1)", "+1", "-1+1", "＝1"])  # noqa: RUF001
def test_a_spreadsheet_takes_no_name_for_a_formula_and_numbers_for_numbers(name: str) -> None:
    assert csv_cell(name) == f"'{name}"
    assert csv_cell(-0.5) == -0.5
    assert csv_cell("plain=x") == "plain=x"


def test_figures_show_a_name_without_formulas_and_in_a_bearable_length() -> None:
    assert figure_text("$\\frac$") == "$\\frac$"
    assert figure_text("_hidden") == " _hidden"
    assert len(figure_text("x" * 5000)) == 60


def test_control_and_formatting_characters_are_shown_by_number() -> None:
    assert with_visible_controls("a\x1b[31m\u202eb\x9b\ud800\n") == "a\\x1b[31m\\u202eb\\x9b\\ud800\n"
    assert with_visible_controls("Müller 日本 😀") == "Müller 日本 😀"


@pytest.mark.parametrize("name", ["$\\frac$", "=cmd|' /C calc'!A0", "\x1b[31m<b>x</b>", "\u202eevil", "_x"])
def test_a_table_and_its_figure_come_out_for_every_name(tmp_path: Path, name: str) -> None:
    store = Store(tmp_path)
    add(store, predictions(0.9), model=name)
    table = fill(tiny_board(), store, store.records()).table
    files = table_files(table, "t")
    rows = list(csv.DictReader(io.StringIO(files["t.csv"])))
    assert rows[0]["model"] == csv_cell(name) and float(rows[0]["low"]) > 0
    assert all("\x1b" not in text and "\u202e" not in text for text in files.values())
    assert "<b>" not in files["t.md"]
    assert score_dots(table).startswith("<?xml")
