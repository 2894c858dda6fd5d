"""Figures of a board: scores with their intervals, and SEVERE's axes.  ``saved`` writes any figure of this package.

The same input gives the same bytes: Matplotlib's defaults (not the user's), a fixed hash salt, no dates, no pyplot.
Lines and dots of models differ in dash or place as well as in colour.
"""

import io
import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal

import matplotlib
import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sigma_bench.leaderboard.board_table import BoardTable, Cell, Column
from sigma_bench.leaderboard.escaping import figure_text
from sigma_bench.leaderboard.model_styles import ModelStyle, model_styles

_GREY = "#5F5F5F"
_NAME_ROWS = 0.5
"""Height of the name of a floor or ceiling, relative to a row of a model."""


Styles = Mapping[str, ModelStyle]
"""Styles by the name of a model in records."""


def score_dots(table: BoardTable, styles: Styles | None = None) -> str:
    """The picture of ``draw_scores`` as SVG text."""
    return saved(lambda: draw_scores(table, styles), "svg").decode()


def has_axes(table: BoardTable) -> bool:
    """Whether the board has axes and at least one row to draw."""
    means = (row.axis_means for rows in (table.rows, table.published) for row in rows)
    return any(mean is not None for of_row in means for mean in of_row)


def axes_dots(table: BoardTable, styles: Styles | None = None) -> str:
    """The picture of ``draw_axes`` as SVG text."""
    return saved(lambda: draw_axes(table, styles), "svg").decode()


def saved(draw: Callable[[], Figure], kind: Literal["svg", "pdf", "png"], *, dpi: int = 200) -> bytes:
    """A figure as the bytes of a file, the same each time."""
    stream = io.BytesIO()
    metadata = {"svg": {"Date": None, "Creator": None}, "pdf": {"CreationDate": None}, "png": {"Software": None}}
    with _own_style():
        draw().savefig(stream, format=kind, dpi=dpi, metadata=metadata[kind])
    return stream.getvalue()


def draw_scores(table: BoardTable, styles: Styles | None = None) -> Figure:
    """One panel per measured column: dots are scores in percent, bars their intervals, dashes floors and ceilings.

    Args:
        styles: colours of the models; by default those of a page that holds this table only.

    Raises:
        ValueError: the table holds no measured number.
    """
    measured = [index for index in range(len(table.columns)) if any(row.cells[index] for row in table.rows)]
    if not measured:
        raise ValueError("there is nothing to draw: the table holds no measured number")
    shown = [row for row in table.rows if row.num_covered]
    styles = styles or model_styles([table])
    colours = [styles[row.model].colour for row in shown]
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
        _draw_dots(panel, [row.cells[index] for row in shown], colours, table.columns[index])
        panel.set_yticks(range(len(shown)), [figure_text(row.name) for row in shown])
        _draw_references(panel, references[index])
        panel.set_ylim(len(shown) - 0.4, -0.6 - _NAME_ROWS * most)
    return figure


def draw_axes(table: BoardTable, styles: Styles | None = None) -> Figure:
    """Dots for a board's axes: one panel per axis, measured models filled in their colours, published ones hollow.

    The number of an axis is the mean of its columns, see ``mean_of_columns``.  A radar chart would suggest that the
    axes have an order and that areas have a meaning.
    """
    rows = _axis_rows(table, styles or model_styles([table]))
    axes = table.axes
    figure = Figure(figsize=(2.3 * len(axes) + 1.6, 0.9 + 0.27 * len(rows)), layout="constrained")
    panels = figure.subplots(1, len(axes), squeeze=False, sharey=True)[0]
    for number, (panel, axis) in enumerate(zip(panels, axes, strict=True)):
        for place, (_, colour, means) in enumerate(rows):
            value = means[number]
            if value is not None:
                panel.plot(100 * value, place, "o", color=colour or _GREY, mfc=colour or "white", ms=6, zorder=3)
        panel.set_title(figure_text(axis), fontsize=9, loc="left")
        panel.set_xlabel("mean (%)", fontsize=8)
        panel.grid(color="#DDDDDD", lw=0.6)
        panel.spines[["top", "right", "left"]].set_visible(False)
        panel.tick_params(axis="both", length=0, labelsize=8)
        panel.set_yticks(range(len(rows)), [figure_text(label) for label, _, _ in rows])
        panel.set_ylim(len(rows) - 0.4, -0.6)
        panel.margins(x=0.12)
    return figure


def _draw_dots(panel: Axes, cells: Sequence[Cell | None], colours: Sequence[str], column: Column) -> None:
    for place, (cell, colour) in enumerate(zip(cells, colours, strict=True)):
        if cell is None:
            continue
        panel.plot([100 * cell.low, 100 * cell.high], [place, place], color=colour, lw=2, solid_capstyle="butt")
        if cell.num_seeds > 1:
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
    """Draw reference lines, with names one below the other above the models, on the side with more room."""
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


def _axis_rows(table: BoardTable, styles: Styles) -> list[tuple[str, str | None, tuple[float | None, ...]]]:
    """Name, colour (none if it is published) and axis means of each row with at least one complete axis."""
    measured = [(row.name, styles[row.model].colour, row.axis_means) for row in table.rows]
    printed = [(_published_label(row.label, row.about), None, row.axis_means) for row in table.published]
    return [row for row in (*measured, *printed) if any(value is not None for value in row[2])]


def _published_label(label: str, about: dict[str, str]) -> str:
    backbone = about.get("backbone")
    return f"{label} {backbone}" if backbone else label


@contextmanager
def _own_style() -> Iterator[None]:
    """Matplotlib's defaults instead of the user's matplotlibrc, without formulas, and with reproducible identifiers."""
    with (
        matplotlib.style.context("default"),
        matplotlib.rc_context({"svg.hashsalt": "sigma-bench", "text.parse_math": False}),
    ):
        yield
