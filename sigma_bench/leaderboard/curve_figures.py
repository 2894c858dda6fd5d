"""Figures of suites with variants: accuracy against severity, and against the number of labelled videos.

Looks as in ``figures.py``: models differ in colour (Okabe-Ito), dash and marker.
"""

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sigma_bench.leaderboard.curves import Curves, Point
from sigma_bench.leaderboard.figures import OKABE_ITO
from sigma_bench.specs.condition import Disturbance

_DASHES, _MARKERS = ("-", "--", "-.", ":"), ("o", "s", "^", "D", "v", "P", "X")
_GREY = "#5F5F5F"
_ACROSS = 4


def draw_robustness(found: Curves) -> Figure:
    """Per task a panel per condition: accuracy over severity, 0 the clean clips; reversal is one step.

    Bars are intervals over test units, the dashed line is chance.

    Raises:
        ValueError: no point is under a condition.
    """
    panels = []
    for task in found.tasks:
        points = [point for of_model in found.of(task).values() for point in of_model]
        kinds = dict.fromkeys(point.condition.kind for point in points if point.condition is not None)
        panels += [(task, kind) for kind in kinds]
    if not panels:
        raise ValueError(f"there is nothing to draw: no record of '{found.suite}' is under a condition")
    figure, axes = _panels(len(panels))
    for panel, (task, kind) in zip(axes, panels, strict=True):
        lines = {model: _over_severity(points, kind) for model, points in found.of(task).items()}
        _draw(panel, lines, found.of(task))
        graded = kind != "reversal"
        panel.set_xticks(range(6) if graded else (0, 1), [*"012345"] if graded else ["clean", "reversed"])
        panel.set_xlabel("severity" if graded else "", fontsize=8)
        panel.set_title(f"{task}: {kind.replace('_', ' ')}", fontsize=9, loc="left")
    axes[0].legend(frameon=False, fontsize=7)
    return figure


def draw_efficiency(found: Curves) -> Figure:
    """Per task: accuracy over the number of labelled videos, which grows by factors."""
    figure, axes = _panels(len(found.tasks), width=4.4)
    for panel, task in zip(axes, found.tasks, strict=True):
        lines = {
            model: [(float(point.num_taught), point) for point in points if point.condition is None]
            for model, points in found.of(task).items()
        }
        _draw(panel, lines, found.of(task))
        sizes = sorted({size for line in lines.values() for size, _ in line})
        panel.set_xscale("log")
        panel.set_xticks(sizes, [f"{size:g}" for size in sizes])
        panel.minorticks_off()
        panel.set_xlabel("labelled videos", fontsize=8)
        panel.set_title(task, fontsize=9, loc="left")
    axes[0].legend(frameon=False, fontsize=7)
    return figure


def _over_severity(points: Sequence[Point], kind: str) -> list[tuple[float, Point]]:
    """Points of one condition by severity; the clean one is 0."""
    line = [(0.0, point) for point in points if point.condition is None]
    for point in points:
        condition = point.condition
        if condition is not None and condition.kind == kind:
            line.append((float(condition.severity) if isinstance(condition, Disturbance) else 1.0, point))
    return sorted(line, key=lambda place: place[0])


def _draw(panel: Axes, lines: Mapping[str, Sequence[tuple[float, Point]]], by_model: Mapping[str, list[Point]]) -> None:
    for index, (model, line) in enumerate(lines.items()):
        cells = [point.cell for _, point in line]
        value = [100 * cell.value for cell in cells]
        spans = [
            [100 * (cell.value - cell.low) for cell in cells],
            [100 * (cell.high - cell.value) for cell in cells],
        ]
        panel.errorbar(
            [place for place, _ in line],
            value,
            yerr=spans,
            color=OKABE_ITO[index % len(OKABE_ITO)],
            ls=_DASHES[index % len(_DASHES)],
            marker=_MARKERS[index % len(_MARKERS)],
            ms=4,
            lw=1.4,
            elinewidth=0.8,
            label=model,
        )
    chance = next((p.chance for points in by_model.values() for p in points if p.chance is not None), None)
    if chance is not None:
        panel.axhline(100 * chance, color=_GREY, ls="--", lw=1)
    panel.set_ylim(0, None)
    panel.set_ylabel(f"{next(iter(by_model.values()))[0].metric} (%)", fontsize=8)
    panel.grid(color="#DDDDDD", lw=0.6)
    panel.spines[["top", "right"]].set_visible(False)
    panel.tick_params(labelsize=8)


def _panels(number: int, width: float = 2.9) -> tuple[Figure, list[Axes]]:
    across = min(_ACROSS, number)
    down = math.ceil(number / across)
    figure = Figure(figsize=(width * across, 2.5 * down), layout="constrained")
    axes = list(figure.subplots(down, across, squeeze=False).flat)
    for panel in axes[number:]:
        panel.set_visible(False)
    return figure, axes[:number]
