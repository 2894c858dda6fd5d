"""Training curves: the losses and monitors of pretraining runs, read from their folders and drawn."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator

from sigma_bench.leaderboard.escaping import figure_text
from sigma_bench.leaderboard.figures import Styles, saved
from sigma_bench.leaderboard.model_styles import model_styles
from sigma_bench.specs.untrusted import parse_json, read_bounded

Curves = Mapping[str, Sequence[Sequence[Mapping[str, float]]]]
"""By the name of a model in records, the training logs of its runs: lines with ``step``, ``loss`` and monitors."""
MAX_HISTORY_BYTES = 256 << 20
MAX_RECIPE_BYTES = 1 << 20
MONITORS = {
    "feature_std": "spread of features (0 = collapsed)",
    "usage_entropy": "entropy of prototype usage (1 = even)",
    "code_agreement": "branches choose the same prototype",
    "teacher_entropy": "entropy of the teacher (DINO)",
}
"""What a training log may hold besides its loss, all between 0 and about 1."""


def training_histories(folder: Path) -> dict[str, list[list[dict[str, float]]]]:
    """Training histories below a folder by the model of their run, which is the name of its recipe.

    A run without a recipe has the name of its folder, or its path if two such runs have one name.

    Raises:
        ValueError: a file that is no history.
    """
    runs = {path.parent: _history(path) for path in sorted(folder.rglob("history.json"))}
    times = Counter(run.name for run in runs)
    found: dict[str, list[list[dict[str, float]]]] = {}
    for run, history in runs.items():
        name = run.name if times[run.name] == 1 else run.relative_to(folder).as_posix()
        found.setdefault(_recipe(run) or name, []).append(history)
    return found


def training_curves(curves: Curves, styles: Styles | None = None) -> str:
    """Loss over steps per model, then one panel per monitor that any of them has; SVG text.

    Arguments and errors: as for ``draw_training``.
    """
    return saved(lambda: draw_training(curves, styles), "svg").decode()


def draw_training(curves: Curves, styles: Styles | None = None) -> Figure:
    """Loss over steps per run, then one panel per monitor that any of them has, with one legend of the models.

    Args:
        curves: training logs, whose lines have ``step`` and ``loss`` and any of ``MONITORS``; other keys are not drawn.
        styles: names, colours and dashes of at least these models; by default those of a page without tables.

    Raises:
        ValueError: no curve, an empty one, or a line without step or loss.
    """
    _require_curves(curves)
    styles = styles or model_styles((), curves)
    logs = [(model, log) for model in styles for log in curves.get(model, ())]
    panels = {"loss": "loss, each model its own objective"} | {
        key: title for key, title in MONITORS.items() if any(key in line for _, log in logs for line in log)
    }
    across = min(2, len(panels))
    down = math.ceil(len(panels) / across)
    labels = _labels(curves, styles)
    width, longest = 4.6 * across, max(map(len, labels.values()))
    legend_columns = max(1, int(width / (0.5 + 0.07 * longest)))  # inches of a line and of a character
    legend_rows = math.ceil(len(labels) / legend_columns)
    figure = Figure(figsize=(width, 2.7 * down + 0.2 * legend_rows + 0.2), layout="constrained")
    axes = figure.subplots(down, across, squeeze=False).flat
    for panel in axes[len(panels) :]:
        panel.set_visible(False)
    for panel, (key, title) in zip(axes, panels.items(), strict=False):
        for model, log in logs:
            known = [line for line in log if key in line]
            if known:
                panel.plot([line["step"] for line in known], [line[key] for line in known], **_look(styles, model))
        _label(panel, title)
        if key == "loss":
            _set_log_scale(panel)
        else:
            panel.set_ylim(0, None)
    lines = [Line2D([], [], **_look(styles, model)) for model in labels]
    names = list(labels.values())
    figure.legend(lines, names, loc="outside upper left", ncols=legend_columns, frameon=False, fontsize=8)
    return figure


def _labels(curves: Curves, styles: Styles) -> dict[str, str]:
    """Entries of the legend, one per model, with the number of its runs if it has several."""
    runs = {model: len(curves[model]) for model in styles if curves.get(model)}
    return {model: figure_text(styles[model].name) + (f", {n} runs" if n > 1 else "") for model, n in runs.items()}


def _look(styles: Styles, model: str) -> dict[str, Any]:
    return {"color": styles[model].colour, "ls": styles[model].dash, "lw": 1.4}


def _history(path: Path) -> list[dict[str, float]]:
    try:
        history = parse_json(read_bounded(path, MAX_HISTORY_BYTES))
    except ValueError as error:
        raise ValueError(f"{path}: not a training history ({error}); move it away, or continue its run") from error
    is_list = isinstance(history, list) and all(isinstance(line, dict) for line in history)
    if not is_list or not all(type(value) in (int, float) for line in history for value in line.values()):
        raise ValueError(f"{path}: not a training history (expected lists of numbers by name); move it away")
    return cast(list[dict[str, float]], history)


def _recipe(run: Path) -> str | None:
    """The name of the recipe in the folder of a run; None if it holds no recipe."""
    try:
        content = parse_json(read_bounded(run / "recipe.json", MAX_RECIPE_BYTES))
    except ValueError:
        return None
    name = content.get("recipe") if isinstance(content, dict) else None
    return name if isinstance(name, str) else None


def _label(panel: Axes, what: str) -> None:
    panel.set_xlabel("step")
    panel.set_title(what, fontsize=10, loc="left")
    panel.grid(color="#DDDDDD", lw=0.6)
    panel.spines[["top", "right"]].set_visible(False)


def _set_log_scale(panel: Axes) -> None:
    """Set a log scale with plain numbers as labels, since the default ones are formulas, which figures do not parse."""
    panel.set_yscale("log")
    panel.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    panel.yaxis.set_major_formatter("{x:g}")
    panel.yaxis.set_minor_formatter("{x:g}")


def _require_curves(curves: Curves) -> None:
    if not any(curves.values()):
        raise ValueError("there is no training curve to draw")
    for name, log in ((name, log) for name, logs in curves.items() for log in logs):
        if not log or any(key not in line for line in log for key in ("step", "loss")):
            raise ValueError(f"the training log of {name} is empty or has a line without 'step' or 'loss'")
