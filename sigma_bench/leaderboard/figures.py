"""Figures: training curves, scores with intervals, segmentation overlays.

The same input gives the same bytes: Matplotlib's own defaults (not the user's), a fixed hash salt, no dates, no pyplot.
Lines and dots use the Okabe-Ito colours, which readers with any colour vision can tell apart, and differ in
dash or place as well.  Masks use the VOC palette, as segmentation papers do.

Shapes: T frames, H x W pixels.
"""

import io
import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal

import matplotlib
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from sigma_bench.leaderboard.board_table import BoardTable, Cell, Column
from sigma_bench.leaderboard.escaping import figure_text
from sigma_bench.palette import tint

OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Without the yellow, which is too light for lines on white."""
OPACITY = 0.6
"""Of masks over frames."""
_DASHES = ("-", "--", "-.", ":")
_GREY = "#5F5F5F"
_NAME_ROWS = 0.5
"""Height of the name of a floor or ceiling, of that of a model."""


MONITORS = {
    "feature_std": "spread of features (0 = collapsed)",
    "usage_entropy": "entropy of prototype usage (1 = even)",
    "code_agreement": "branches choose the same prototype",
    "teacher_entropy": "entropy of the teacher (DINO)",
}
"""What a training log may hold besides its loss, all between 0 and about 1."""


def training_curves(curves: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Loss over steps per model, then one panel per monitor that any of them has; SVG text.

    Arguments and errors: as for ``draw_training``.
    """
    return saved(lambda: draw_training(curves), "svg").decode()


def score_dots(table: BoardTable) -> str:
    """The picture of ``draw_scores`` as SVG text."""
    return saved(lambda: draw_scores(table), "svg").decode()


def saved(draw: Callable[[], Figure], kind: Literal["svg", "pdf", "png"]) -> bytes:
    """A figure as the bytes of a file, the same each time."""
    stream = io.BytesIO()
    metadata = {"svg": {"Date": None, "Creator": None}, "pdf": {"CreationDate": None}, "png": {"Software": None}}
    with _own_style():
        draw().savefig(stream, format=kind, dpi=200, metadata=metadata[kind])
    return stream.getvalue()


def draw_training(curves: Mapping[str, Sequence[Mapping[str, float]]]) -> Figure:
    """Loss over steps per model, then one panel per monitor that any of them has.

    Args:
        curves: per model the lines of its training log, each with ``step`` and ``loss`` and any of ``MONITORS``;
            other keys are not drawn.

    Raises:
        ValueError: no curve, an empty one, or a line without step or loss.
    """
    _require_curves(curves)
    panels = {"loss": "loss, each model its own objective"} | {
        key: title for key, title in MONITORS.items() if any(key in line for log in curves.values() for line in log)
    }
    across = min(2, len(panels))
    down = math.ceil(len(panels) / across)
    figure = Figure(figsize=(4.6 * across, 2.9 * down), layout="constrained")
    axes = figure.subplots(down, across, squeeze=False).flat
    for panel in axes[len(panels) :]:
        panel.set_visible(False)
    for panel, (key, title) in zip(axes, panels.items(), strict=False):
        for index, (name, log) in enumerate(curves.items()):
            known = [line for line in log if key in line]
            look = {"color": OKABE_ITO[index % len(OKABE_ITO)], "ls": _DASHES[index % len(_DASHES)], "lw": 1.4}
            if known:
                panel.plot(
                    [line["step"] for line in known], [line[key] for line in known], label=figure_text(name), **look
                )
        _label(panel, title)
        panel.set_yscale("log" if key == "loss" else "linear")
        if key != "loss":
            panel.set_ylim(0, None)
    return figure


def draw_scores(table: BoardTable) -> Figure:
    """One panel per measured column: dots are scores in percent, bars their intervals, dashes floors and ceilings.

    Raises:
        ValueError: the table holds no measured number.
    """
    measured = [index for index in range(len(table.columns)) if any(row.cells[index] for row in table.rows)]
    if not measured:
        raise ValueError("there is nothing to draw: the table holds no measured number")
    shown = [row for row in table.rows if row.num_covered]
    across = min(2, len(measured))
    down = math.ceil(len(measured) / across)
    references = {index: _references(table, index) for index in measured}
    most = max(len(named) for named in references.values())
    size = (4.6 * across, down * (0.9 + 0.26 * len(shown) + 0.26 * _NAME_ROWS * most))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(down, across, squeeze=False, sharey=True)
    for panel in panels.flat[len(measured) :]:
        panel.set_visible(False)
    for panel, index in zip(panels.flat, measured, strict=False):
        _draw_dots(panel, [row.cells[index] for row in shown], table.columns[index])
        panel.set_yticks(range(len(shown)), [figure_text(row.model) for row in shown])
        _draw_references(panel, references[index])
        panel.set_ylim(len(shown) - 0.4, -0.6 - _NAME_ROWS * most)
    return figure


def segmentation_overlay(frame_THWC: np.ndarray, truth_THW: np.ndarray, cluster_THW: Mapping[str, np.ndarray]) -> bytes:
    """Columns are frames; rows are the input, the ground truth and one per model; PNG bytes.

    Args:
        frame_THWC: uint8 (T, H, W, 3).
        truth_THW: uint8 (T, H, W): 0 is background and stays as it is, 255 is void.
        cluster_THW: per model uint8 (T, H, W), numbered like the objects they were matched to; 0 stays as it is.

    Raises:
        ValueError: another type or shape.
    """
    _require_uint8("frames", frame_THWC, (*frame_THWC.shape[:3], 3))
    maps = {"ground truth": truth_THW, **cluster_THW}
    for name, label_THW in maps.items():
        _require_uint8(name, label_THW, frame_THWC.shape[:3])
    pictures = {"input": frame_THWC} | {name: tint(frame_THWC, label, OPACITY) for name, label in maps.items()}
    num_frames, height, width = frame_THWC.shape[:3]
    with _own_style():
        cell_width = 1.5
        size = (cell_width * num_frames + 0.4, (cell_width * height / width + 0.06) * len(pictures))
        tight = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)
        figure = Figure(figsize=size, layout=tight)
        panels = figure.subplots(len(pictures), num_frames, squeeze=False)
        for line, (name, picture_THWC) in zip(panels, pictures.items(), strict=True):
            line[0].set_ylabel(figure_text(name), fontsize=8)
            for panel, picture in zip(line, picture_THWC, strict=True):
                panel.imshow(picture, interpolation="nearest")
                panel.set(xticks=[], yticks=[])
                panel.spines[:].set_visible(False)
        return _png(figure)


def _draw_dots(panel: Axes, cells: list[Cell | None], column: Column) -> None:
    for place, cell in enumerate(cells):
        if cell is None:
            continue
        colour = OKABE_ITO[place % len(OKABE_ITO)]
        panel.plot([100 * cell.low, 100 * cell.high], [place, place], color=colour, lw=2, solid_capstyle="butt")
        panel.plot([100 * value for value in cell.seed_values], [place] * cell.num_seeds, "|", color=colour, ms=7)
        panel.plot(100 * cell.value, place, "o", color=colour, ms=5.5)
    panel.set_title(figure_text(f"{column.heading} {column.label}, {column.metric} (%)"), fontsize=9, loc="left")
    panel.grid(axis="x", color="#DDDDDD", lw=0.6)
    panel.spines[["top", "right", "left"]].set_visible(False)
    panel.tick_params(axis="y", length=0)


def _references(table: BoardTable, column: int) -> list[tuple[float, str]]:
    """Floors and ceilings of a column, in percent and rising, with their names."""
    drawn = [reference for reference in table.references if reference.kind != "note"]
    values = [(reference.values[column], reference.name) for reference in drawn]
    return sorted((100 * value, name) for value, name in values if value is not None)


def _draw_references(panel: Axes, references: Sequence[tuple[float, str]]) -> None:
    """Lines, named one below the other above the models, on the side where there is room."""
    for value, _ in references:
        panel.axvline(value, color=_GREY, ls="--", lw=1)
    middle = statistics.fmean(panel.get_xlim())
    for row, (value, name) in enumerate(reversed(references)):
        is_left = value < middle
        words = panel.annotate(
            figure_text(name),
            (value, -0.6 - _NAME_ROWS * row),
            (3 if is_left else -3, 0),
            textcoords="offset points",
            ha="left" if is_left else "right",
            fontsize=6.5,
            color=_GREY,
        )
        words.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.5, "alpha": 0.8})
        words.set_in_layout(False)


def _label(panel: Axes, what: str) -> None:
    panel.set_xlabel("step")
    panel.set_title(what, fontsize=10, loc="left")
    panel.grid(color="#DDDDDD", lw=0.6)
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(frameon=False, fontsize=8)


def _require_curves(curves: Mapping[str, Sequence[Mapping[str, float]]]) -> None:
    if not curves:
        raise ValueError("there is no training curve to draw")
    for name, log in curves.items():
        if not log or any(key not in line for line in log for key in ("step", "loss")):
            raise ValueError(f"the training log of {name} is empty or has a line without 'step' or 'loss'")


def _require_uint8(name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    if array.dtype != np.uint8 or array.shape != shape or 0 in shape:
        raise ValueError(f"{name}: expected uint8 of shape {shape}, got {array.dtype} of shape {array.shape}")


@contextmanager
def _own_style() -> Iterator[None]:
    """Matplotlib's defaults instead of the user's matplotlibrc, without formulas, and with reproducible identifiers."""
    with (
        matplotlib.style.context("default"),
        matplotlib.rc_context({"svg.hashsalt": "sigma-bench", "text.parse_math": False}),
    ):
        yield


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=130, metadata={"Software": None})
    return stream.getvalue()
