"""Renderers: exact Markdown, a terminal table in 100 columns, CSV in full precision."""

import csv
import io
import re
from pathlib import Path
from typing import Literal

import pytest
from rich.console import Console

from sigma_bench.leaderboard.aggregate import aggregate
from sigma_bench.leaderboard.board_table import BoardTable
from sigma_bench.leaderboard.exports import csv_text
from sigma_bench.leaderboard.notes import footnotes
from sigma_bench.leaderboard.render import markdown, terminal_table
from sigma_bench.leaderboard.select import select
from sigma_bench.leaderboard.table_layout import layout
from tests.factories import make_record
from tests.leaderboard.samples import mini_board, mini_records, published, tiny_board

BEST = make_record("mini_sigma_mlp", value=0.7384, low=0.7012, high=0.7719)
WORSE = make_record("mini_videomae", value=0.5, low=0.45, high=0.55, controls={"chance": 0.1})


@pytest.fixture
def tiny() -> BoardTable:
    board = tiny_board()
    records = [(record.id, record) for record in (BEST, WORSE)]
    return aggregate(board, select(records, board), published())


def mini_text(width: int, color_system: Literal["truecolor"] | None = None, *, details: bool = True) -> str:
    board = mini_board()
    console = Console(width=width, file=io.StringIO(), color_system=color_system, force_terminal=True)
    console.print(terminal_table(aggregate(board, select(mini_records(), board), published()), details=details))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_markdown(tiny: BoardTable) -> None:
    assert markdown(tiny) == (
        "## Tiny\n"
        "\n"
        "| Model | UCF101 (appearance) kNN | UCF101 (appearance) linear | covered |\n"
        "| --- | ---: | ---: | ---: |\n"
        "| mini_sigma_mlp | **73.8** [70.1, 77.2] | – | 1/2 |\n"
        "| mini_videomae | 50.0 [45.0, 55.0] | – | 1/2 |\n"
        "| _chance_ | 10.0 | – |  |\n"
        "| _† published, not comparable_ |  |  |  |\n"
        "| SIGMA-MLP ViT-B † | – | 73.8† |  |\n"
        "\n"
        "- A note.\n"
        "- Percent with 95 % bootstrap intervals over test units. Bold: not separable from the best of its column "
        "(the intervals overlap); underlined: not separable from the best of the others.\n"
        "- – not measured. The fraction beside a model counts its measured columns.\n"
        "- Measured numbers: mini world, not comparable with the published ones.\n"
        "- ucf101 (mini world): expected 100, found 100, scored 100.\n"
        "- † published, not comparable\n"
        "- Published rows: bold the best, underlined the second best of a section and backbone.\n"
        "- † SIGMA-MLP ViT-B: SIGMA, ECCV 2024, arXiv 2407.15447: table frozen (pretrained on k400)\n"
    )


def test_the_terminal_shows_fractions_only_together_with_their_note() -> None:
    board = tiny_board()
    complete = [BEST, make_record("mini_sigma_mlp", "ucf101/linear")]
    for records, fractions in (([], []), (complete, []), ([*complete, WORSE], ["2/2", "1/2"])):
        table = aggregate(board, select([(record.id, record) for record in records], board), published())
        console = Console(width=120, file=io.StringIO())
        console.print(terminal_table(table))
        assert isinstance(console.file, io.StringIO)
        text = console.file.getvalue()
        assert re.findall(r"\d/2\b", text) == fractions
        assert ("The fraction beside a model" in text) == bool(fractions)


def test_an_empty_board_says_so() -> None:
    board = tiny_board()
    table = aggregate(board, select([], board))
    assert "No record fits this board yet." in footnotes(table)
    assert "mini_sigma_mlp | – | – | 0/2" in markdown(table)
    assert not any("published" in note for note in footnotes(table))


@pytest.mark.parametrize(("width", "is_said"), [(0.2, True), (0.02, False)])
def test_a_note_says_why_a_worse_score_is_bold(width: float, is_said: bool) -> None:
    """The wide interval of the worst model reaches that of the best one; the narrow one of the second does not."""
    board = tiny_board()
    scores = {"best": (0.5, 0.02), "second": (0.45, 0.01), "worst": (0.4, width)}
    records = [
        (model, make_record(model, value=value, low=value - half, high=value + half))
        for model, (value, half) in scores.items()
    ]
    table = aggregate(board, select(records, board))
    assert [cell.among_best for row in table.rows[1:] for cell in row.cells if cell] == [True, False, is_said]
    assert any("A worse score can be bold while a better one is not" in note for note in footnotes(table)) == is_said


def test_several_seeds_show_their_spread_and_say_what_it_is() -> None:
    board = tiny_board()
    records = [(str(seed), make_record(value=value, seed=seed)) for seed, value in enumerate((0.5, 0.7))]
    table = aggregate(board, select(records, board))
    assert "**60.0** [55.0, 65.0] ±14.1, n=2" in markdown(table)
    assert any("± is the standard deviation over seeds" in note for note in footnotes(table))


def test_a_protocols_own_spread_stands_apart_from_that_over_seeds() -> None:
    board = tiny_board()
    records = [(str(seed), make_record(value=value, seed=seed)) for seed, value in enumerate((0.5, 0.7))]
    spread = [
        (path, r.model_copy(update={"scores": tuple(s.model_copy(update={"spread": 0.012}) for s in r.scores)}))
        for path, r in records
    ]
    table = aggregate(board, select(spread, board))
    assert "**60.0** [55.0, 65.0] ±14.1, n=2, ±1.2 repeats |" in markdown(table)
    assert any(note.startswith("± repeats: the standard deviation over a protocol's own") for note in footnotes(table))
    (row,) = csv.DictReader(io.StringIO(csv_text(table)))
    assert (float(row["seed_std"]), float(row["repeat_std"])) == (pytest.approx(0.141421, abs=1e-6), 0.012)


def test_counts_name_the_models_where_they_differ() -> None:
    board = tiny_board()
    partial = make_record("mini_videomae", scored=98, failed_ids=("a", "b"))
    table = aggregate(board, select([("0", BEST), ("1", partial)], board))
    assert (
        "ucf101 (mini world): expected 100, found 100, scored 100 (mini_sigma_mlp); "
        "expected 100, found 100, scored 98, 2 not decoded (mini_videomae)."
    ) in footnotes(table)


def test_a_declared_list_and_groups_on_both_sides_are_facts_below_the_table() -> None:
    record = make_record()
    test = record.data.splits["test"].model_copy(update={"official": 120})
    data = record.data.model_copy(update={"splits": {**record.data.splits, "test": test}, "shared_groups": 3})
    table = aggregate(tiny_board(), select([("0", record.model_copy(update={"data": data}))], tiny_board()))
    assert (
        "ucf101 (mini world): expected 100 (list declared complete; officially 120), found 100, scored 100, "
        "3 of its groups also in train."
    ) in footnotes(table)


@pytest.mark.parametrize(
    ("family", "words"), [("timm", "pretraining data unknown"), ("random init", "not pretrained"), ("DINO", "unknown")]
)
def test_weights_of_unknown_origin_are_not_called_untrained(family: str, words: str) -> None:
    record = make_record("m", "ucf101/knn", family=family, pretraining_data=())
    table = aggregate(tiny_board(), select([(Path("0.json"), record)], tiny_board()))
    line = next(line for line in layout(table).sections[0].lines if line.label.endswith("m"))
    assert line.model.endswith(words)


def test_markdown_cells_cannot_break_the_table() -> None:
    board = tiny_board()
    assert "a\\|b" in markdown(aggregate(board, select([("0", make_record("a|b"))], board)))


def test_a_terminal_without_styles_gets_no_notes_on_bold_and_underlined_numbers() -> None:
    plain, styled = mini_text(200), mini_text(200, "truecolor")
    assert "Bold: not separable" in styled and "underlined" in styled and "\x1b[1m" in styled
    assert "bootstrap intervals over test units." in plain
    assert not any(word in plain.lower() for word in ("bold", "underlined", "\x1b"))


def test_terminal_table_is_readable_in_100_columns() -> None:
    text = mini_text(100)
    assert max(len(line) for line in text.splitlines()) <= 100
    for words in ("UCF101", "motion", "over-", "73.8", "68.8–78.8", "73.8†", "chance", "8/8", "7/8", "bootstrap"):
        assert words in text
    assert "…" not in text and "VideoMAE " in text


def test_a_table_without_details_holds_scores_intervals_floors_and_two_notes() -> None:
    text = mini_text(100, details=False)
    lines = [line.rstrip() for line in text.splitlines()]
    assert text.count("Mini world") == 1 and max(map(len, lines)) <= 100
    for words in ("73.8", "68.8–78.8", "SIGMA-MLP", "VideoMAE", "chance", "all background"):
        assert words in text
    assert not any(words in text for words in ("±", "n=3", "†", "/8", "ucf101 (mini world)", "SIGMA-DINO"))  # no record
    assert lines[-2:] == ["Percent with 95 % intervals.", "The page has all notes and published numbers."]
    styled = mini_text(100, "truecolor", details=False)
    assert "bold: not separable from the best, underlined: from the next best" in styled
    assert len(re.sub(r"\x1b\[[\d;]*m", "", styled).splitlines()) == len(lines)


def test_a_table_without_details_and_records_says_so() -> None:
    console = Console(width=100, file=io.StringIO())
    console.print(terminal_table(aggregate(tiny_board(), select([], tiny_board())), details=False))
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().endswith("No record fits this board yet.\n")


@pytest.mark.parametrize("width", [60, 80])
def test_a_narrow_terminal_gets_several_tables_and_no_number_is_cut(width: int) -> None:
    text = mini_text(width)
    assert max(map(len, text.splitlines())) <= width and "…" not in text
    tables = text.split("Mini world")[1:]
    assert len(tables) == 2
    assert all(table.startswith(", continued") for table in tables[1:])
    for table in tables:
        assert table.index("Model") < table.index("VideoMAE") < table.index("chance")
    words = text.split()
    board = mini_board()
    shown = aggregate(board, select(mini_records(), board), published())
    for row in shown.rows:
        for cell in row.cells:
            if cell is not None:
                assert f"{100 * cell.value:.1f}" in words and f"{100 * cell.low:.1f}–{100 * cell.high:.1f}" in words
    assert "73.8†" in words and text.count("8/8") == 2 and text.count("7/8") == 1


def test_terminal_table_takes_labels_literally() -> None:
    board = tiny_board()
    console = Console(width=100, file=io.StringIO(), color_system=None)
    console.print(terminal_table(aggregate(board, select([("0", make_record("[bold]x[/bold]"))], board))))
    assert isinstance(console.file, io.StringIO)
    assert "[bold]x[/bold]" in console.file.getvalue()


def test_csv_is_long_and_exact(tiny: BoardTable) -> None:
    rows = list(csv.DictReader(io.StringIO(csv_text(tiny))))
    assert [(row["origin"], row["model"], row["task"]) for row in rows] == [
        ("measured", "mini_sigma_mlp", "ucf101/knn"),
        ("measured", "mini_videomae", "ucf101/knn"),
        ("published", "SIGMA-MLP ViT-B", "ucf101/linear"),
    ]
    assert [rows[0][key] for key in ("value", "low", "high", "num_seeds", "among_best", "record_ids")] == [
        *("0.7384", "0.7012", "0.7719", "1", "true"),
        BEST.id,
    ]
    assert (rows[2]["value"], rows[2]["low"], rows[2]["record_ids"]) == ("0.738", "", "")
