"""Figures of suites with variants: accuracy against severity, and against the number of labelled videos.

Models differ in colour (Okabe-Ito), dash and marker, and their names are at the ends of the lines; bars are intervals
over test units.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sigma_bench.leaderboard.curves import GAPS, Curves, Point
from sigma_bench.leaderboard.escaping import figure_text
from sigma_bench.leaderboard.model_styles import model_styles
from sigma_bench.specs.condition import Disturbance

_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_GREY = "#5F5F5F"
_ACROSS = 3
_ROOM = 0.55
"""Space for names to the right of the lines, relative to the width of the lines."""
_APART = 0.065
"""Smallest distance of two names, relative to the height."""
_TICK_ROOM = 1.2
"""Smallest ratio of two numbers of videos that both have a label on the axis."""

VALUES: Mapping[str, tuple[str, Callable[[Any], str]]] = {
    "frame_rate": ("frame rate kept (%)", lambda condition: f"{100 * condition.kept_share:g}"),
    "shuffle": (
        "a frame is late by up to (lengths of the clip)",
        lambda condition: "any" if condition.reach_share == "anywhere" else f"{condition.reach_share:g}",
    ),
    "frame_drops": ("frames lost (%)", lambda condition: f"{100 * condition.dropped_share:g}"),
    "blur": ("deviation (% of the image's side)", lambda condition: f"{100 * condition.sigma_share:g}"),
    "noise": ("deviation (of values from 0 to 1)", lambda condition: f"{condition.std:g}"),
    "compression": ("JPEG quality", lambda condition: f"{condition.jpeg_quality}"),
    "occlusion": ("area hidden (%)", lambda condition: f"{100 * condition.hidden_share:g}"),
}
"""Unit of the severities of each kind of condition, and a function that returns the value as text."""


def draw_robustness(found: Curves) -> Figure:
    """Per task the arrow-of-time gaps, then a panel per graded condition: accuracy over its values, first clean.

    Raises:
        ValueError: no point has a condition.
    """
    panels: list[tuple[str, str]] = []
    for task in found.tasks:
        points = [point for of_model in found.of(task).values() for point in of_model]
        kinds = dict.fromkeys(point.condition.kind for point in points if isinstance(point.condition, Disturbance))
        has_gaps = any(key[0] == task for key in found.gaps)
        panels += [(task, "arrow of time")] * has_gaps + [(task, kind) for kind in kinds]
    if not panels:
        raise ValueError(f"there is nothing to draw: no record of '{found.suite}' is under a condition")
    figure, axes = _panels(len(panels))
    for panel, (task, kind) in zip(axes, panels, strict=True):
        if kind in VALUES:
            _draw_condition(panel, found, task, kind)
        else:
            _draw_gaps(panel, found, task)
        panel.set_title(figure_text(f"{task}: {kind.replace('_', ' ')}"), fontsize=9, loc="left")
    return figure


def draw_efficiency(found: Curves) -> Figure:
    """Per task: accuracy over the number of labelled videos, which grows by factors."""
    figure, axes = _panels(len(found.tasks), width=4.8)
    for panel, task in zip(axes, found.tasks, strict=True):
        lines = {
            model: [(float(point.num_taught), point) for point in points if point.condition is None]
            for model, points in found.of(task).items()
        }
        sizes = sorted({size for line in lines.values() for size, _ in line})
        panel.set_xscale("log")
        panel.set_xlim(sizes[0] / 1.1, sizes[-1] * (sizes[-1] / sizes[0]) ** _ROOM * 1.1)
        _draw(panel, lines, found.models)
        room = [*(right > left * _TICK_ROOM for left, right in pairwise(sizes)), True]
        panel.set_xticks(sizes, [f"{size:g}" if is_free else "" for size, is_free in zip(sizes, room, strict=True)])
        panel.minorticks_off()
        panel.set_xlabel("labelled videos", fontsize=8)
        panel.set_title(figure_text(task), fontsize=9, loc="left")
    return figure


def _draw_condition(panel: Axes, found: Curves, task: str, kind: str) -> None:
    lines = {model: _over_severity(points, kind) for model, points in found.of(task).items()}
    unit, words = VALUES[kind]
    ticks = {place: words(point.condition) if place else "clean" for line in lines.values() for place, point in line}
    panel.set_xlim(-0.2, max(ticks) * (1 + _ROOM))
    _draw(panel, lines, found.models)
    panel.set_xticks(sorted(ticks), [ticks[place] for place in sorted(ticks)])
    panel.set_xlabel(unit, fontsize=8)


def _draw_gaps(panel: Axes, found: Curves, task: str) -> None:
    """Draw the gaps between clean clips and reversed (filled) or shuffled (hollow) ones."""
    models = [model for model in found.of(task) if any((task, model, kind) in found.gaps for kind in GAPS)]
    styles = model_styles((), found.models)
    for place, model in enumerate(models):
        colour = styles[model].colour
        for shift, kind in zip((-0.13, 0.13), GAPS, strict=True):
            gap = found.gaps.get((task, model, kind))
            if gap is not None:
                filled = colour if kind == "reversed" else "white"
                panel.plot([100 * gap.low, 100 * gap.high], [place + shift] * 2, color=colour, lw=1.4)
                panel.plot(100 * gap.value, place + shift, "o", color=colour, mfc=filled, ms=5)
    panel.axvline(0, color=_GREY, lw=1)
    panel.set_yticks(range(len(models)), list(map(figure_text, models)))
    panel.set_ylim(len(models) - 0.5, -0.5)
    panel.set_xlabel("points lost when reversed (full) or shuffled (hollow)", fontsize=8)
    _frame(panel)


def _over_severity(points: Sequence[Point], kind: str) -> list[tuple[float, Point]]:
    """Points of one condition with their severities; the clean point has severity 0."""
    line = [(0.0, point) for point in points if point.condition is None]
    for point in points:
        condition = point.condition
        if isinstance(condition, Disturbance) and condition.kind == kind:
            line.append((float(condition.severity), point))
    return sorted(line, key=lambda place: place[0])


def _draw(panel: Axes, lines: Mapping[str, Sequence[tuple[float, Point]]], models: Sequence[str]) -> None:
    """Draw named lines with bars, and chance; the style of a model depends on its index in ``models``."""
    ends, styles = {}, model_styles((), models)
    for model, line in lines.items():
        if not line:
            continue
        cells = [point.cell for _, point in line]
        value = [100 * cell.value for cell in cells]
        spans = [
            [100 * (cell.value - cell.low) for cell in cells],
            [100 * (cell.high - cell.value) for cell in cells],
        ]
        colour = styles[model].colour
        panel.errorbar(
            [place for place, _ in line],
            value,
            yerr=spans,
            color=colour,
            ls=styles[model].dash,
            marker=_MARKERS[models.index(model) % len(_MARKERS)],
            ms=4,
            lw=1.4,
            elinewidth=0.6,
            label=figure_text(model),
        )
        ends[model] = (line[-1][0], value[-1], colour)
    points = [point for line in lines.values() for _, point in line]
    chance = next((point.chance for point in points if point.chance is not None), None)
    if chance is not None:
        first, last = (extreme(place for line in lines.values() for place, _ in line) for extreme in (min, max))
        panel.plot([first, last], [100 * chance] * 2, color=_GREY, ls=(0, (1, 1)), lw=1)
        ends["chance"] = (last, 100 * chance, _GREY)
    top = 108 * max(point.cell.high for point in points)
    panel.set_ylim(0, top)
    _name(panel, ends, least=_APART * top)
    panel.set_ylabel(f"{points[0].metric} (%)", fontsize=8)
    _frame(panel)


def _name(panel: Axes, ends: Mapping[str, tuple[float, float, str]], least: float) -> None:
    """Write names to the right of the last points, moved apart where they would overlap."""
    order = sorted(ends, key=lambda model: ends[model][1])
    for model, place in zip(order, spread([ends[model][1] for model in order], least), strict=True):
        end, _, colour = ends[model]
        panel.annotate(
            figure_text(model),
            (end, place),
            (6, 0),
            textcoords="offset points",
            va="center",
            fontsize=6.5,
            color=colour,
        )


def spread(value: Sequence[float], least: float) -> list[float]:
    """Positions for ascending values with a smallest distance to each other and to 0, moved as little as possible."""
    places = list(value)
    for _ in range(200):
        for lower in range(len(places) - 1):
            push = max(0.0, least - (places[lower + 1] - places[lower])) / 2
            places[lower] -= push
            places[lower + 1] += push
        places[:1] = [max(place, least / 2) for place in places[:1]]
    return places


def _frame(panel: Axes) -> None:
    panel.grid(color="#DDDDDD", lw=0.6)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
    panel.tick_params(labelsize=7.5)


def _panels(number: int, width: float = 3.9) -> tuple[Figure, list[Axes]]:
    across = min(_ACROSS, number)
    down = math.ceil(number / across)
    figure = Figure(figsize=(width * across, 2.6 * down), layout="constrained")
    axes = list(figure.subplots(down, across, squeeze=False).flat)
    for panel in axes[number:]:
        panel.set_visible(False)
    return figure, axes[:number]
