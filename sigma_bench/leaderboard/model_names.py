"""Names of models that people read, on boards that declare names.

A board without names shows models as records name them, since commands such as ``compare`` use these names.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from sigma_bench.specs.board import Board

BASELINES: Mapping[str, str] = {"image_statistics": "Mean colours", "random_init": "Random weights"}
"""By the name of a baseline in records, its name in tables."""
_SUFFIXES = (" (", "[", "@")
"""Beginnings of what follows the name of a model in records: settings, model arguments and geometry."""


def shown_names(labels: Iterable[str], board: Board) -> dict[str, str]:
    """By the label of each row of a table, its name: that of the board or of a baseline, with the settings of the row.

    A row keeps its label if another row would have the same name.
    """
    names = {**BASELINES, **board.names} if board.names else {}
    return distinct({label: _name(label, names) for label in labels})


def distinct(names: Mapping[str, str]) -> dict[str, str]:
    """Names by label; labels that would have one name have themselves as names."""
    times = Counter(names.values())
    return {label: name if times[name] == 1 else label for label, name in names.items()}


def _name(label: str, names: Mapping[str, str]) -> str:
    if label in names:
        return names[label]
    for model, name in names.items():
        if label.startswith(tuple(model + suffix for suffix in _SUFFIXES)):
            return name + label.removeprefix(model)
    return label
