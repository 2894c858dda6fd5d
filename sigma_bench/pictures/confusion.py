"""Confusion matrices from stored predictions, one picture per task.

Shapes: S samples, C classes.
"""

import math
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sigma_bench.leaderboard.board_table import BoardTable
from sigma_bench.leaderboard.escaping import figure_text
from sigma_bench.leaderboard.figures import saved
from sigma_bench.leaderboard.paired_bootstrap import Load
from sigma_bench.leaderboard.select import record_id
from sigma_bench.records.record import Record

MAX_CLASSES = 2000
"""Largest number of classes; a larger matrix has more cells than the picture has pixels and takes gigabytes."""
MAX_MODELS = 8
"""Number of models in one picture, the first rows of the board."""


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
    """Caption and PNG picture of each task whose predictions are classes, from the first seed of each model."""
    by_id = {record_id(record): record for _, record in records}
    found: dict[str, dict[str, NDArray[np.float64]]] = {}
    for table in tables:
        for row in table.rows:
            for cell in row.cells:
                record = None if cell is None else by_id[cell.record_ids[0]]
                if record is None or row.model in found.get(record.task.task, {}):
                    continue
                matrix_CC = _of_record(record, load)
                if matrix_CC is not None:
                    found.setdefault(record.task.task, {})[row.model] = matrix_CC
    return [(_caption(task, len(matrices)), _picture(matrices)) for task, matrices in found.items()]


def draw_confusions(matrices: Mapping[str, NDArray[np.float64]]) -> Figure:
    """One panel per model with true classes as rows and predicted classes as columns, on one colour scale."""
    across = min(4, len(matrices))
    down = math.ceil(len(matrices) / across)
    figure = Figure(figsize=(2.6 * across + 0.9, 3.0 * down), layout="compressed")
    panels = figure.subplots(down, across, squeeze=False)
    for panel in panels.flat[len(matrices) :]:
        panel.set_visible(False)
    most = max(100 * float(np.nanmax(matrix_CC)) for matrix_CC in matrices.values())
    for panel, (model, matrix_CC) in zip(panels.flat, matrices.items(), strict=False):
        shown = panel.imshow(100 * matrix_CC, cmap="cividis", vmin=0, vmax=most, interpolation="nearest")
        panel.set_title(figure_text(model), fontsize=9, loc="left")
        panel.tick_params(labelsize=7, length=2)
        panel.xaxis.get_major_locator().set_params(integer=True)
        panel.yaxis.get_major_locator().set_params(integer=True)
    for panel in panels[:, 0]:
        panel.set_ylabel("true class", fontsize=8)
    for panel in panels[-1]:
        panel.set_xlabel("predicted class", fontsize=8)
    bar = figure.colorbar(shown, ax=panels, shrink=0.8, aspect=25, pad=0.01)
    bar.set_label("% of the true class", fontsize=8)
    bar.ax.tick_params(labelsize=7, length=2)
    return figure


def _of_record(record: Record, load: Load) -> NDArray[np.float64] | None:
    num_classes = record.data.num_classes
    if num_classes is None or num_classes > MAX_CLASSES or "top1" not in record.task.protocol.metrics:
        return None
    stored = load(record)
    return None if stored is None else confusion(stored["truth"], stored["predicted"], num_classes)


def _picture(matrices: Mapping[str, NDArray[np.float64]]) -> bytes:
    return saved(partial(draw_confusions, dict(list(matrices.items())[:MAX_MODELS])), "png")


def _caption(task: str, num_models: int) -> str:
    first = f" The first {MAX_MODELS} of {num_models} models." if num_models > MAX_MODELS else ""
    return f"{task}: part of each true class (row) that was taken for each class (column), first seed.{first}"
