"""Reference values of the tasks themselves: floors that need no model, ceilings that no features can exceed.

A ceiling belongs to a grid of tokens, so models with other grids have other ceilings: then there is a line for each
grid, and a note says whose it is.  The share of pixels that no score counts is neither, and is told in a note.
"""

import re
import statistics
from collections.abc import Mapping, Sequence

import pandas as pd

from sigma_bench.leaderboard.board_table import Reference

_FLOORS = {
    "position_kmeans": "k-means of positions",
    "error_of_count_chosen_on_train": "one count, chosen on train",
    "error_of_count_chosen_on_test": "one count, chosen on test",
    "error_of_mean_cycle_of_train": "one cycle length, the mean of train",
}
"""In words where the record's name, with spaces, is not enough."""
_CEILING = re.compile(r"oracle_(?P<what>tubes|patches)_(?P<grid>\d+(?:x\d+)+)")
_VOID = "void_share"
_METRICS = {
    "chance": ("top1", "top1_selected_on_test", "hungarian_accuracy", "map"),
    "error_of_": ("counting_error",),
    "nothing_found": ("jf_mean",),
    "first_mask_stays": ("jf_mean",),
    "oracle_patches_": ("jf_mean",),
}
"""By the beginning of a control's name, the metrics it is a value of; others are of a record's only metric."""


def references(in_column: Sequence[pd.DataFrame]) -> tuple[Reference, ...]:
    """Floors, then ceilings, then what is told in a note.

    Args:
        in_column: per column of the board its lines of the long table; a value is their mean, since records of a
            column may differ (drawn frames).
    """
    models: dict[str, dict[str, None]] = {}
    stated: list[dict[str, list[float]]] = []
    for rows in in_column:
        stated.append({})
        for model, metric, controls in zip(rows["model"], rows["metric"], rows["controls"], strict=True):
            for name, value in about(controls, metric).items():
                stated[-1].setdefault(name, []).append(value)
                models.setdefault(name, {})[str(model)] = None
    found = [_reference(name, stated, models) for name in models]
    return tuple(sorted(found, key=lambda reference: ("floor", "ceiling", "note").index(reference.kind)))


def about(controls: Mapping[str, float], metric: str) -> dict[str, float]:
    """Those that are values of this metric: what is always the commonest class has its share as top-1, not as mean
    class accuracy."""
    others = {
        name for name in controls for of, known in _METRICS.items() if name.startswith(of) and metric not in known
    }
    return {name: float(value) for name, value in controls.items() if name not in others}


def _reference(
    name: str, stated: Sequence[Mapping[str, Sequence[float]]], models: Mapping[str, Mapping[str, None]]
) -> Reference:
    values = tuple(statistics.fmean(of[name]) if name in of else None for of in stated)
    ceiling = _CEILING.fullmatch(name)
    if ceiling is None:
        words = _FLOORS.get(name, name.replace("_", " "))
        return Reference(name=words, values=values, kind="note" if name == _VOID else "floor")
    what = f"oracle {ceiling['what']}"
    is_only = sum(other.startswith(f"oracle_{ceiling['what']}_") for other in models) == 1
    grid = ceiling["grid"].replace("x", " × ")
    return Reference(
        name=what if is_only else f"{what}, {grid} grid",
        values=values,
        kind="ceiling",
        models=() if is_only else tuple(models[name]),
    )
