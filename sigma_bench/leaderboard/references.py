"""Reference values of the tasks: floors that need no model, ceilings that no features can exceed.

A ceiling depends on the token grid.  If models have different grids, there is a line for each grid, and a note names
its models.  Protocols declare their controls (``records/scoring.py``).
"""

import statistics
from collections.abc import Mapping, Sequence

import pandas as pd

from sigma_bench.leaderboard.board_table import Reference
from sigma_bench.records.scoring import ControlValue


def references(in_column: Sequence[pd.DataFrame]) -> tuple[Reference, ...]:
    """Floors, then ceilings, then values that are stated in a note.

    Args:
        in_column: rows of the long table for each column of the board.  A value is the mean over the rows, since
            records of a column may differ (drawn frames).
    """
    models: dict[str, dict[str, None]] = {}
    controls: dict[str, ControlValue] = {}
    stated: list[dict[str, list[float]]] = []
    for rows in in_column:
        stated.append({})
        for model, of_row in zip(rows["model"], rows["controls"], strict=True):
            for name, fields in of_row.items():
                control = ControlValue(**fields)
                stated[-1].setdefault(name, []).append(control.value)
                models.setdefault(name, {})[str(model)] = None
                controls[name] = control
    labels = [control.label for control in controls.values()]
    found = [
        _reference(name, control, stated, models, has_one_grid=labels.count(control.label) == 1)
        for name, control in controls.items()
    ]
    return tuple(sorted(found, key=lambda reference: ("floor", "ceiling", "note").index(reference.kind)))


def _reference(
    name: str,
    control: ControlValue,
    stated: Sequence[Mapping[str, Sequence[float]]],
    models: Mapping[str, Mapping[str, None]],
    *,
    has_one_grid: bool,
) -> Reference:
    """A line of the table; ``has_one_grid``: whether all models have the same grid."""
    values = tuple(statistics.fmean(of[name]) if name in of else None for of in stated)
    if has_one_grid or not control.grid:
        return Reference(name=control.label, values=values, kind=control.kind)
    return Reference(
        name=f"{control.label}, {control.grid.replace('x', ' × ')} grid",
        values=values,
        kind=control.kind,
        models=tuple(models[name]),
    )
