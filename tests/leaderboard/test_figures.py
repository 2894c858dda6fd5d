"""Figures: the same bytes twice, the right colours, clear refusals."""

import itertools
from dataclasses import replace
from pathlib import Path

import matplotlib
import pytest

from sigma_bench.leaderboard.aggregate import aggregate
from sigma_bench.leaderboard.board_table import Reference
from sigma_bench.leaderboard.figures import draw_axes, draw_scores, has_axes, score_dots
from sigma_bench.leaderboard.fill import fill_published
from sigma_bench.leaderboard.model_styles import model_styles
from sigma_bench.leaderboard.select import select
from sigma_bench.leaderboard.training_figure import draw_training, training_curves
from sigma_bench.specs.board import load_board
from tests.factories import make_record
from tests.leaderboard.samples import mini_board, mini_records
from tests.leaderboard.test_aggregate import TASKS as SEVERE_TASKS
from tests.leaderboard.test_aggregate import tiny_severe

SIGMA = [
    {"step": s, "loss": 5 / (s + 1), "lr": 1e-3, "usage_entropy": 0.8 + s / 50, "feature_std": 0.5} for s in range(5)
]
MAE = [{"step": s, "loss": 1 / (s + 1), "lr": 1e-3} for s in range(5)]


def test_curves_are_svg_and_come_out_the_same_twice_whatever_the_users_settings() -> None:
    curves = {"mini_sigma_mlp": [SIGMA], "mini_videomae": [MAE]}
    first = training_curves(curves)
    with matplotlib.rc_context({"font.size": 20, "svg.hashsalt": "mine"}):
        assert training_curves(curves) == first
        assert matplotlib.rcParams["font.size"] == 20
    assert first.startswith("<?xml") and "<dc:date>" not in first
    assert "entropy of prototype usage" in first and "spread of features" in first


@pytest.mark.parametrize(("losses", "label"), [((6.3, 5.5), "5.9"), ((9.0, 0.5), "0.5"), ((20.0, 0.001), "0.01")])
def test_labels_of_the_loss_are_plain_numbers(losses: tuple[float, ...], label: str) -> None:
    svg = training_curves({"m": [[{"step": step, "loss": loss} for step, loss in enumerate(losses)]]})
    assert f"<!-- {label} -->" in svg and "$" not in svg


def test_what_no_log_holds_gets_no_panel() -> None:
    first = training_curves({"mini_sigma_mlp": [SIGMA], "mini_videomae": [MAE]})
    assert "entropy of the teacher" not in first
    assert "entropy of prototype usage" not in training_curves({"mini_videomae": [MAE]})


@pytest.mark.parametrize("curves", [{}, {"m": []}, {"m": [[]]}, {"m": [[{"step": 1.0}]]}])
def test_curves_refuse_what_is_no_log(curves: dict[str, list[list[dict[str, float]]]]) -> None:
    with pytest.raises(ValueError):
        training_curves(curves)


def test_dots_show_models_columns_and_chance() -> None:
    board = mini_board()
    table = aggregate(board, select(mini_records(), board))
    svg = score_dots(table)
    assert svg == score_dots(table)
    for words in ("SIGMA-MLP", "mini_random_init", "UCF101 (appearance) kNN, top1", "chance", "all background"):
        assert words in svg
    with pytest.raises(ValueError, match="nothing to draw"):
        score_dots(aggregate(board, select([], board)))


def test_a_model_has_one_name_colour_and_dash_in_all_figures_whatever_the_order_of_rows() -> None:
    board = mini_board()
    table = aggregate(board, select(mini_records(), board))
    styles = model_styles([table, replace(table, rows=table.rows[::-1])], ["new", "mini_sigma_mlp_long"])
    training = draw_training({"new": [MAE], "mini_sigma_mlp_long": [SIGMA, SIGMA], "mini_videomae_long": [MAE]}, styles)
    (legend,) = training.legends
    assert [words.get_text() for words in legend.get_texts()] == ["SIGMA-MLP, 2 runs", "VideoMAE", "new"]
    looks = [(line.get_color(), line.get_linestyle()) for line in legend.get_lines()]
    assert len(set(looks)) == 3 and [panel.get_legend() for panel in training.axes] == [None] * 4
    drawn = [(line.get_color(), line.get_linestyle()) for line in training.axes[0].lines]
    assert drawn == [looks[0], *looks]
    colours = {"SIGMA-MLP": looks[0][0], "VideoMAE": looks[1][0]}
    for shown in (table, replace(table, rows=table.rows[::-1])):
        panel = draw_scores(shown, styles).axes[0]
        names = [label.get_text() for label in panel.get_yticklabels()]
        assert names == [row.name for row in shown.rows if row.num_covered]
        dots = {names[int(line.get_ydata()[0])]: line.get_color() for line in panel.lines if line.get_marker() == "o"}
        assert dots == colours  # the third model has no score in this column


def test_long_names_of_many_runs_lie_within_the_figure_of_training() -> None:
    figure = draw_training({f"{'long_name_' * 4}{number}": [MAE] for number in range(9)})
    figure.draw_without_rendering()
    (legend,) = figure.legends
    width, height = figure.get_size_inches() * figure.dpi
    places = [words.get_window_extent() for words in legend.get_texts()]
    assert all(place.x0 >= 0 and place.x1 <= width and place.y0 >= 0 and place.y1 <= height for place in places)
    assert not any(place.overlaps(figure.axes[0].get_window_extent()) for place in places)


def test_axes_have_the_colours_of_the_measured_models_and_published_rows_are_hollow() -> None:
    records = [(Path(f"{model}{task}"), make_record(model, task, 0.5)) for model in ("b", "a") for task in SEVERE_TASKS]
    shown = tiny_severe()
    table = replace(aggregate(shown, select(records, shown)), sections=fill_published(load_board("severe")).sections)
    table = replace(table, sections=tuple(replace(s, rows=s.rows[:1]) for s in table.sections))
    styles = model_styles([], ["other", "b", "a"])
    for panel in draw_axes(table, styles).axes:
        assert [line.get_color() for line in panel.lines[:2]] == [styles["a"].colour, styles["b"].colour]
        assert [line.get_markerfacecolor() == "white" for line in panel.lines] == [False, False, True]


def test_names_of_floors_and_ceilings_lie_apart_and_within_their_panel() -> None:
    """Two of them are nearly equal, as the ceilings of two grids are."""
    board = mini_board()
    table = aggregate(board, select(mini_records(), board))
    values = {"all background": 0.24, "first oracle of tubes": 0.622, "second oracle of tubes": 0.623}
    column = next(i for i in range(len(table.columns)) if any(row.cells[i] for row in table.rows))
    floors = tuple(
        Reference(
            name=name, kind="floor", values=tuple(value if i == column else None for i in range(len(table.columns)))
        )
        for name, value in values.items()
    )
    figure = draw_scores(replace(table, references=floors))
    figure.canvas.draw()
    panel = figure.axes[0]
    places = {text.get_text(): text.get_window_extent() for text in panel.texts}
    assert places.keys() == values.keys()
    assert not any(a.overlaps(b) for a, b in itertools.combinations(places.values(), 2))
    for place in places.values():
        assert panel.get_window_extent().x0 <= place.x0 and place.x1 <= panel.get_window_extent().x1


def test_axes_are_means_of_their_columns_with_errors_turned_round() -> None:
    table = fill_published(load_board("severe"))
    row = next(row for row in table.published if row.label == "SIGMA-DINO")
    # printed: 70.9 89.7 | 84.1 28.0 | 55.1 79.9 | 0.169 23.3
    expected = {"Domain shift": 0.803, "Sample efficiency": 0.5605, "Action granularity": 0.675, "Task shift": 0.532}
    assert dict(zip(table.axes, row.axis_means, strict=True)) == pytest.approx(expected)


def test_every_row_stands_in_every_panel() -> None:
    table = fill_published(load_board("severe"))
    panels = draw_axes(table).axes
    assert [panel.get_title(loc="left") for panel in panels] == list(dict.fromkeys(c.group for c in table.columns))
    assert [len(panel.lines) for panel in panels] == [len(table.published)] * 4


def test_a_board_without_a_mean_has_no_axes() -> None:
    assert has_axes(fill_published(load_board("severe"))) and not has_axes(fill_published(load_board("frozen")))
