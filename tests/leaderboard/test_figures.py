"""Figures: the same bytes twice, the right colours, clear refusals."""

import io
import itertools
from dataclasses import replace

import matplotlib
import numpy as np
import pytest
from matplotlib.image import imread

from sigma_bench.leaderboard.aggregate import aggregate
from sigma_bench.leaderboard.board_table import Reference
from sigma_bench.leaderboard.figures import draw_scores, score_dots, segmentation_overlay, training_curves
from sigma_bench.leaderboard.select import select
from sigma_bench.palette import tint, voc_palette
from tests.leaderboard.samples import mini_board, mini_records

SIGMA = [
    {"step": s, "loss": 5 / (s + 1), "lr": 1e-3, "usage_entropy": 0.8 + s / 50, "feature_std": 0.5} for s in range(5)
]
MAE = [{"step": s, "loss": 1 / (s + 1), "lr": 1e-3} for s in range(5)]


def test_curves_are_svg_and_come_out_the_same_twice_whatever_the_users_settings() -> None:
    curves = {"mini_sigma_mlp": SIGMA, "mini_videomae": MAE}
    first = training_curves(curves)
    with matplotlib.rc_context({"font.size": 20, "svg.hashsalt": "mine"}):
        assert training_curves(curves) == first
        assert matplotlib.rcParams["font.size"] == 20
    assert first.startswith("<?xml") and "<dc:date>" not in first
    assert "entropy of prototype usage" in first and "spread of features" in first


def test_what_no_log_holds_gets_no_panel() -> None:
    first = training_curves({"mini_sigma_mlp": SIGMA, "mini_videomae": MAE})
    assert "entropy of the teacher" not in first
    assert "entropy of prototype usage" not in training_curves({"mini_videomae": MAE})


@pytest.mark.parametrize("curves", [{}, {"m": []}, {"m": [{"step": 1.0}]}])
def test_curves_refuse_what_is_no_log(curves: dict[str, list[dict[str, float]]]) -> None:
    with pytest.raises(ValueError):
        training_curves(curves)


def test_dots_show_models_columns_and_chance() -> None:
    board = mini_board()
    table = aggregate(board, select(mini_records(), board))
    svg = score_dots(table)
    assert svg == score_dots(table)
    for words in ("mini_sigma_mlp", "UCF101 (appearance) kNN, top1", "chance", "all background"):
        assert words in svg
    with pytest.raises(ValueError, match="nothing to draw"):
        score_dots(aggregate(board, select([], board)))


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


def test_voc_palette_is_the_devkits() -> None:
    palette = voc_palette()
    assert palette.shape == (256, 3) and len(np.unique(palette, axis=0)) == 256
    expected = {
        0: (0, 0, 0),
        1: (128, 0, 0),
        2: (0, 128, 0),
        3: (128, 128, 0),
        15: (192, 128, 128),
        255: (224, 224, 192),
    }
    assert {label: tuple(palette[label].tolist()) for label in expected} == expected


def test_tint_blends_labels_and_leaves_zero_alone() -> None:
    frame = np.full((1, 1, 2, 3), 100, dtype=np.uint8)
    label = np.array([[[0, 1]]], dtype=np.uint8)
    assert tint(frame, label, 0.5)[0, 0].tolist() == [[100, 100, 100], [114, 50, 50]]


def test_overlay_is_a_png_and_comes_out_the_same_twice() -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (3, 24, 32, 3), dtype=np.uint8)
    truth = np.zeros((3, 24, 32), dtype=np.uint8)
    truth[:, 5:15, 5:15] = 1
    png = segmentation_overlay(frames, truth, {"mini_sigma_mlp": truth, "mini_videomae": 1 - truth})
    assert png == segmentation_overlay(frames, truth, {"mini_sigma_mlp": truth, "mini_videomae": 1 - truth})
    height, width = imread(io.BytesIO(png), format="png").shape[:2]
    assert png.startswith(b"\x89PNG") and width > 400 and height > 400


def test_overlay_refuses_wrong_shapes_and_types() -> None:
    frames, truth = np.zeros((2, 8, 8, 3), dtype=np.uint8), np.zeros((2, 8, 8), dtype=np.uint8)
    with pytest.raises(ValueError, match=r"mini_x: expected uint8 of shape \(2, 8, 8\), got uint8 of .*4"):
        segmentation_overlay(frames, truth, {"mini_x": truth[..., :4]})
    with pytest.raises(ValueError, match="frames: expected uint8"):
        segmentation_overlay(frames.astype(np.float32), truth, {})
