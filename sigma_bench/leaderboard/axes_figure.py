"""A dot plot of a board's axes: SEVERE's four, one panel each, measured models filled and published ones hollow.

An axis is a group of columns; its number is their mean, an error e counted as 1 - e, as in the board's mean.  A radar
would hide that the axes have no order and that areas mean nothing.
"""

from matplotlib.figure import Figure

from sigma_bench.leaderboard.board_table import BoardTable
from sigma_bench.leaderboard.escaping import figure_text
from sigma_bench.leaderboard.figures import OKABE_ITO, saved


def has_axes(table: BoardTable) -> bool:
    """Whether the board has axes, and a row to draw."""
    return bool(table.axes and _rows(table))


def axes_dots(table: BoardTable) -> str:
    """The picture of ``draw_axes`` as SVG text."""
    return saved(lambda: draw_axes(table), "svg").decode()


def draw_axes(table: BoardTable) -> Figure:
    """One panel per axis, one line per row that has an axis complete."""
    rows = _rows(table)
    axes = table.axes
    figure = Figure(figsize=(2.3 * len(axes) + 1.6, 0.9 + 0.27 * len(rows)), layout="constrained")
    panels = figure.subplots(1, len(axes), squeeze=False, sharey=True)[0]
    for number, (panel, axis) in enumerate(zip(panels, axes, strict=True)):
        for place, (_, is_measured, means) in enumerate(rows):
            value = means[number]
            if value is not None:
                colour = OKABE_ITO[0 if is_measured else 1]
                fill = colour if is_measured else "white"
                panel.plot(100 * value, place, "o", color=colour, markerfacecolor=fill, ms=6, zorder=3)
        panel.set_title(figure_text(axis), fontsize=9, loc="left")
        panel.set_xlabel("mean (%)", fontsize=8)
        panel.grid(color="#DDDDDD", lw=0.6)
        panel.spines[["top", "right", "left"]].set_visible(False)
        panel.tick_params(axis="both", length=0, labelsize=8)
        panel.set_yticks(range(len(rows)), [figure_text(label) for label, _, _ in rows])
        panel.set_ylim(len(rows) - 0.4, -0.6)
        panel.margins(x=0.12)
    return figure


def _rows(table: BoardTable) -> list[tuple[str, bool, tuple[float | None, ...]]]:
    """Label, whether it was measured, and axes, of rows with any axis complete."""
    measured = [(row.model, True, row.axis_means) for row in table.rows]
    printed = [(_label(row.label, row.about), False, row.axis_means) for row in table.published]
    return [row for row in (*measured, *printed) if any(value is not None for value in row[2])]


def _label(label: str, about: dict[str, str]) -> str:
    backbone = about.get("backbone")
    return f"{label} {backbone}" if backbone else label
