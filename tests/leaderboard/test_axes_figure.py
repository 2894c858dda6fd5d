"""The axes of SEVERE against the printed numbers."""

import pytest

from sigma_bench.leaderboard.axes_figure import draw_axes, has_axes
from sigma_bench.leaderboard.fill import fill_published
from sigma_bench.specs.board import load_board


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
