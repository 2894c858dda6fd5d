"""Matching of clusters to labels from the confusion counts of one evaluation unit.

Two rules, those of TimeTuning's evaluation (arXiv 2308.11796) that SIGMA's table 5 follows:

- clustering (as many clusters as labels): one-to-one, the assignment with the highest sum of IoU;
- overclustering (more clusters than labels): many-to-one, every cluster is matched to its most frequent label.

Shapes: G labels present in the truth, P clusters; ``confusion_GP[g, p]`` counts pixels of label g in cluster p.
"""

import numpy as np
import scipy  # a module of it is loaded when it is used
from numpy.typing import NDArray

BACKGROUND_INDEX = 0
NO_LABEL = -1
"""Index of a label that does not occur in the truth; no pixel of such a cluster is correct."""


def iou_matrix(confusion_GP: NDArray[np.integer]) -> NDArray[np.float64]:
    """Intersection over union of every label with every cluster, (G, P); 0 if both are empty."""
    counts_GP = _checked(confusion_GP).astype(np.float64)
    union_GP = counts_GP.sum(1, keepdims=True) + counts_GP.sum(0, keepdims=True) - counts_GP
    ratio_GP: NDArray[np.float64] = counts_GP / np.maximum(union_GP, 1.0)
    return ratio_GP


def hungarian_by_iou(confusion_GP: NDArray[np.integer], *, leftover_index: int = BACKGROUND_INDEX) -> NDArray[np.intp]:
    """Label index of every cluster, (P,): the one-to-one assignment that minimises the sum of 1 - IoU.

    Args:
        confusion_GP: pixel counts.
        leftover_index: label of clusters without a match, which exist if P > G: background as published, which
            is the first label, or ``NO_LABEL`` for a unit without background.

    Raises:
        ValueError: not a matrix of non-negative counts.
    """
    iou_GP = iou_matrix(confusion_GP)
    order_P = np.lexsort(confusion_GP)  # assignments of equal cost must not depend on the numbering of clusters
    label_G, place_P = scipy.optimize.linear_sum_assignment(1.0 - iou_GP[:, order_P])
    label_P = np.full(confusion_GP.shape[1], leftover_index, dtype=np.intp)
    label_P[order_P[place_P]] = label_G
    return label_P


def majority_by_precision(confusion_GP: NDArray[np.integer]) -> NDArray[np.intp]:
    """Label index of every cluster, (P,): the label with the highest precision |p & g| / |p|, on a tie the lowest.

    A cluster's precisions share one denominator, so this is the label with most pixels in it.  Several
    clusters may choose one label, and background is a candidate like any other.

    Raises:
        ValueError: not a matrix of non-negative counts.
    """
    label_P: NDArray[np.intp] = _checked(confusion_GP).argmax(axis=0)
    return label_P


def _checked(confusion_GP: NDArray[np.integer]) -> NDArray[np.integer]:
    if confusion_GP.ndim != 2 or not confusion_GP.size or confusion_GP.min() < 0:
        raise ValueError(
            f"confusion counts of shape {confusion_GP.shape} are no (labels, clusters) matrix of non-negative counts"
        )
    return confusion_GP
