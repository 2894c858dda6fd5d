"""Scores of clusters against masks.

Stored arrays: ``miou`` (S,), one number per clip; where all clips share one matching, ``hit``, ``true`` and ``claimed``
(S, G) instead, the pixels of each label in common with its clusters, true, and claimed by them.  ``repetition`` (S,) is
the draw of frames that a clip belongs to.  ``clusters``, ``truth`` and ``frame_index`` are for pictures.

Shapes: S clips, G labels.
"""

import numpy as np
from numpy.typing import NDArray

from sigma_bench.metrics.segmentation import LabelCounts, mean_iou
from sigma_bench.metrics.uncertainty import SampleIndex
from sigma_bench.records.scoring import Arrays, Control, Metric


def _miou_of_draws(stored: Arrays, index: SampleIndex) -> NDArray[np.float64]:
    draw_S = stored["repetition"][index] if "repetition" in stored else np.zeros(len(index), int)
    return np.array([_miou_of_clips(stored, index[draw_S == draw]) for draw in np.unique(draw_S)])


def _miou_of_clips(stored: Arrays, index: SampleIndex) -> float:
    if "miou" in stored:
        return float(stored["miou"][index].mean())
    return mean_iou(LabelCounts(*(stored[name][index] for name in ("hit", "true", "claimed"))))


METRICS = {
    "miou": Metric(
        lambda stored, index: float(_miou_of_draws(stored, index).mean()),
        of_sample=lambda stored: stored.get("miou"),
        of_repetition=lambda stored: _miou_of_draws(stored, np.arange(len(stored["groups"]))),
    )
}
CONTROLS = {
    "all_background": Control("all background"),
    "position_kmeans": Control("k-means of positions"),
    "oracle_tubes": Control("oracle tubes", kind="ceiling", is_per_grid=True),
    "void_share": Control("void share", kind="note"),
}
