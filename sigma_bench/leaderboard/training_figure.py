"""Training curves: the losses and monitors of pretraining runs, read from their folders and drawn."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from sigma_bench.leaderboard.escaping import figure_text
from sigma_bench.leaderboard.figures import DASHES, OKABE_ITO, saved
from sigma_bench.specs.untrusted import parse_json, read_bounded

MAX_HISTORY_BYTES = 256 << 20
MONITORS = {
    "feature_std": "spread of features (0 = collapsed)",
    "usage_entropy": "entropy of prototype usage (1 = even)",
    "code_agreement": "branches choose the same prototype",
    "teacher_entropy": "entropy of the teacher (DINO)",
}
"""What a training log may hold besides its loss, all between 0 and about 1."""


def training_histories(folder: Path) -> dict[str, list[dict[str, float]]]:
    """Training histories below a folder by the name of the run, with its folders if two runs have one name.

    Raises:
        ValueError: a file that is no history.
    """
    runs = {path.parent: _history(path) for path in sorted(folder.rglob("history.json"))}
    times = Counter(run.name for run in runs)
    return {
        run.name if times[run.name] == 1 else run.relative_to(folder).as_posix(): history
        for run, history in runs.items()
    }


def training_curves(curves: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Loss over steps per model, then one panel per monitor that any of them has; SVG text.

    Arguments and errors: as for ``draw_training``.
    """
    return saved(lambda: draw_training(curves), "svg").decode()


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
            look = {"color": OKABE_ITO[index % len(OKABE_ITO)], "ls": DASHES[index % len(DASHES)], "lw": 1.4}
            if known:
                panel.plot(
                    [line["step"] for line in known], [line[key] for line in known], label=figure_text(name), **look
                )
        _label(panel, title)
        if key == "loss":
            _set_log_scale(panel)
        else:
            panel.set_ylim(0, None)
    return figure


def _history(path: Path) -> list[dict[str, float]]:
    try:
        history = parse_json(read_bounded(path, MAX_HISTORY_BYTES))
    except ValueError as error:
        raise ValueError(f"{path}: not a training history ({error}); move it away, or continue its run") from error
    is_list = isinstance(history, list) and all(isinstance(line, dict) for line in history)
    if not is_list or not all(type(value) in (int, float) for line in history for value in line.values()):
        raise ValueError(f"{path}: not a training history (expected lists of numbers by name); move it away")
    return cast(list[dict[str, float]], history)


def _label(panel: Axes, what: str) -> None:
    panel.set_xlabel("step")
    panel.set_title(what, fontsize=10, loc="left")
    panel.grid(color="#DDDDDD", lw=0.6)
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(frameon=False, fontsize=8)


def _set_log_scale(panel: Axes) -> None:
    """Set a log scale with plain numbers as labels, since the default ones are formulas, which figures do not parse."""
    panel.set_yscale("log")
    panel.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    panel.yaxis.set_major_formatter("{x:g}")
    panel.yaxis.set_minor_formatter("{x:g}")


def _require_curves(curves: Mapping[str, Sequence[Mapping[str, float]]]) -> None:
    if not curves:
        raise ValueError("there is no training curve to draw")
    for name, log in curves.items():
        if not log or any(key not in line for line in log for key in ("step", "loss")):
            raise ValueError(f"the training log of {name} is empty or has a line without 'step' or 'loss'")
