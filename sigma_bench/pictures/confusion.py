"""Confusion matrices from stored predictions, one picture per task.

Shapes: S samples, C classes.
"""

import math
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from sigma_bench.leaderboard.board_table import BoardTable
from sigma_bench.leaderboard.escaping import figure_text
from sigma_bench.leaderboard.figures import saved
from sigma_bench.leaderboard.paired_bootstrap import Load
from sigma_bench.records.record import Record

MAX_CLASSES = 2000
"""Largest number of classes; a larger matrix has more cells than the picture has pixels and takes gigabytes."""
MAX_MODELS = 8
"""Number of models in one picture, the first rows of the board."""
MAX_NAMED, MAX_NAMED_EVERYWHERE, LONGEST_NAME = 25, 12, 20
"""Largest number of classes whose names are shown, and shown on both axes of all panels, and the letters of each."""
_SIDE = 2.2
"""Side of a panel in inches."""


def confusion(truth_S: NDArray[np.integer], predicted_S: NDArray[np.integer], num_classes: int) -> NDArray[np.float64]:
    """Fraction of the samples of class i (row) that are predicted as class j (column), (C, C); NaN without samples.

    A sample without a prediction (-1, a decoding failure) has no column, so the sum of its row is less than 1.

    Raises:
        ValueError: a class is outside of 0 to ``num_classes`` - 1.
    """
    known = np.concatenate([truth_S, np.maximum(predicted_S, 0), [0]])
    if known.min() < 0 or known.max() >= num_classes:
        raise ValueError(f"classes go from 0 to {num_classes - 1}, got {known.min()} to {known.max()}")
    place_S = (truth_S.astype(np.int64) * num_classes + predicted_S)[predicted_S >= 0]
    count_CC = np.bincount(place_S, minlength=num_classes**2).reshape(num_classes, -1)
    total_C1 = np.bincount(truth_S, minlength=num_classes)[:, None]
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN
        part_CC: NDArray[np.float64] = count_CC / total_C1
    return part_CC


def confusion_pictures(
    tables: Iterable[BoardTable], records: Iterable[tuple[Path, Record]], load: Load
) -> list[tuple[str, bytes]]:
    """Caption and PNG picture of each task whose predictions are classes, from the first seed of each model.

    A protocol can store predictions in another form under the same names, so the arrays decide, too.
    """
    by_id = {record.id: record for _, record in records}
    measured: dict[tuple[str, str], dict[str, tuple[str, Record]]] = {}
    for table in tables:
        for row in table.rows:
            for cell, column in zip(row.cells, table.columns, strict=True):
                record = None if cell is None else by_id[cell.record_ids[0]]
                if record is not None and _has_classes(record):
                    place = (str(column.task), record.data.world)
                    measured.setdefault(place, {}).setdefault(row.model, (row.name, record))
    pictures = []
    for (task, _), named in measured.items():
        models = dict(named.values())
        matrices = _first_matrices(models, load)
        if matrices:
            names = {models[model].provenance.class_names for model in matrices}
            shown = names.pop() if len(names) == 1 else None
            pictures.append((_caption(task, len(matrices), len(models)), _picture(matrices, shown)))
    return pictures


def draw_confusions(matrices: Mapping[str, NDArray[np.float64]], class_names: tuple[str, ...] | None = None) -> Figure:
    """One panel per model with true classes as rows and predicted classes as columns, on one colour scale.

    Both axes of all panels have the names of the classes if there are at most ``MAX_NAMED_EVERYWHERE``.  Up to
    ``MAX_NAMED``, the rows of the first panels have them.  Otherwise, or without names, classes have their numbers.
    """
    is_named = class_names is not None and len(class_names) <= MAX_NAMED
    names = [figure_text(name[:LONGEST_NAME]) for name in class_names or ()] if is_named else []
    is_named_everywhere = 0 < len(names) <= MAX_NAMED_EVERYWHERE
    figure, panels = _panels(len(matrices), max(map(len, names), default=0), is_named_everywhere)
    most = max(100 * float(np.nanmax(matrix_CC)) for matrix_CC in matrices.values())
    for panel, (model, matrix_CC) in zip(panels.flat, matrices.items(), strict=False):
        shown = panel.imshow(100 * matrix_CC, cmap="cividis", vmin=0, vmax=most, interpolation="nearest")
        panel.set_title(figure_text(model), fontsize=9, loc="left")
        panel.tick_params(labelsize=7, length=2)
        if is_named_everywhere:
            panel.set_xticks(range(len(names)), names, rotation=90)
            panel.set_yticks(range(len(names)), names)
        else:
            panel.xaxis.set_major_locator(MaxNLocator(5, integer=True))
            panel.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    for panel in panels[:, 0]:
        if names:
            panel.set_yticks(range(len(names)), names)
        panel.set_ylabel("true class", fontsize=8)
    for panel in panels[-1]:
        panel.set_xlabel("predicted class", fontsize=8)
    place = figure.add_axes((1 - 0.8 / figure.get_figwidth(), 0.1, 0.12 / figure.get_figwidth(), 0.8))
    bar = figure.colorbar(shown, cax=place)
    bar.set_label("% of the true class", fontsize=8)
    bar.ax.tick_params(labelsize=7, length=2)
    return figure


def _panels(number: int, longest_name: int, is_named_everywhere: bool) -> tuple[Figure, NDArray[Any]]:
    """A figure with square panels in rows of four, and room for names; an automatic layout would take seconds."""
    across = min(4, number)
    down = math.ceil(number / across)
    name = 0.06 * longest_name  # lengths are in inches
    more = name if is_named_everywhere else 0.0
    left, right, top, bottom = 0.55 + name, 0.95, 0.3, 0.45 + more
    gap_across, gap_down = 0.4 + more, 0.45 + more
    width = left + across * _SIDE + (across - 1) * gap_across + right
    height = top + down * _SIDE + (down - 1) * gap_down + bottom
    figure = Figure(figsize=(width, height))
    panels = figure.subplots(down, across, squeeze=False)
    figure.subplots_adjust(
        left=left / width,
        right=1 - right / width,
        bottom=bottom / height,
        top=1 - top / height,
        wspace=gap_across / _SIDE,
        hspace=gap_down / _SIDE,
    )
    for panel in panels.flat[number:]:
        panel.set_visible(False)
    return figure, panels


def _has_classes(record: Record) -> bool:
    num_classes = record.data.num_classes
    return num_classes is not None and num_classes <= MAX_CLASSES and "top1" in record.task.protocol.metrics


def _first_matrices(models: Mapping[str, Record], load: Load) -> dict[str, NDArray[np.float64]]:
    """The matrices of the first models with stored predictions; the predictions of the others are not read."""
    matrices: dict[str, NDArray[np.float64]] = {}
    for model, record in models.items():
        if len(matrices) == MAX_MODELS:
            break
        stored, num_classes = load(record), record.data.num_classes
        pair = None if stored is None or num_classes is None else _classes_of_samples(stored, num_classes)
        if pair is not None and num_classes is not None:
            matrices[model] = confusion(*pair, num_classes)
    return matrices


def _classes_of_samples(
    stored: Mapping[str, NDArray[Any]], num_classes: int
) -> tuple[NDArray[np.integer], NDArray[np.integer]] | None:
    """The arrays ``truth`` and ``predicted`` if both hold one class for every sample, otherwise None."""
    truth, predicted = stored.get("truth"), stored.get("predicted")
    if truth is None or predicted is None or truth.ndim != 1 or truth.shape != predicted.shape or not truth.size:
        return None
    is_class = [array.dtype.kind in "iu" and array.max() < num_classes for array in (truth, predicted)]
    return (truth, predicted) if all(is_class) and truth.min() >= 0 else None


def _picture(matrices: Mapping[str, NDArray[np.float64]], class_names: tuple[str, ...] | None) -> bytes:
    return saved(partial(draw_confusions, matrices, class_names), "png", dpi=130)


def _caption(task: str, num_shown: int, num_models: int) -> str:
    first = f" The first {num_shown} of {num_models} models." if num_shown < num_models else ""
    return f"{task}: part of each true class (row) that was taken for each class (column), first seed.{first}"
