"""Mean IoU of an unsupervised segmentation (TimeTuning's per-unit score; SIGMA table 5), its floor and its ceiling.

A unit is what shares one matching: all frames of a clip.  Clusters have no names, so they are first matched to
labels (``matching.py``); then every label present in the truth counts once, background included as published,
and a label no cluster stands for scores 0.

Differs from the published code in one point: void pixels (255) are dropped before anything is counted, where
the original takes them for one more class.

Shapes: T frames, H W pixels, G labels present, P clusters present.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sigma_bench.metrics.matching import BACKGROUND_INDEX, NO_LABEL, hungarian_by_iou, majority_by_precision

BACKGROUND = 0
VOID = 255

Labels = NDArray[np.integer]
Matching = Literal["hungarian_iou", "majority_precision"]


def confusion(truth: Labels, clusters: Labels, ignore: int = VOID) -> tuple[Labels, Labels, NDArray[np.intp]]:
    """Count pixels by true label and cluster, void dropped.

    Args:
        truth: labels of any shape.
        clusters: cluster of every pixel, the same shape.
        ignore: the label of pixels that do not count.

    Returns:
        Labels present (G,) and clusters present (P,), both sorted, and pixel counts (G, P).

    Raises:
        ValueError: different shapes, or a unit with nothing but void.
    """
    if truth.shape != clusters.shape:
        raise ValueError(f"truth has shape {truth.shape} and clusters have {clusters.shape}; they must be equal")
    valid = truth != ignore
    if not valid.any():
        raise ValueError(f"every pixel of this unit is void (label {ignore}) or there is none; it cannot be scored")
    labels_G, row = np.unique(truth[valid], return_inverse=True)
    clusters_P, column = np.unique(clusters[valid], return_inverse=True)
    shape = len(labels_G), len(clusters_P)
    counts = np.bincount(row * shape[1] + column, minlength=shape[0] * shape[1])
    return labels_G, clusters_P, counts.reshape(shape)


def miou(
    truth: Labels,
    clusters: Labels,
    matching: Matching = "hungarian_iou",
    background_counts: bool = True,
    ignore: int = VOID,
) -> float:
    """Mean IoU of one unit over the labels present in its truth, a fraction.

    Args:
        truth: labels of any shape; 0 is background.
        clusters: cluster of every pixel, the same shape.
        matching: ``hungarian_iou`` (one-to-one) or ``majority_precision`` (many-to-one).
        background_counts: whether background is one of the labels averaged.  It takes part in the matching
            either way; without it a unit that shows nothing but background scores 0, as in the published code.
        ignore: the label of pixels that do not count.

    Raises:
        ValueError: different shapes, a unit with nothing but void, or an unknown matching.
    """
    labels_G, _, counts_GP = confusion(truth, clusters, ignore)
    label_P = _match(counts_GP, matching, has_background=labels_G[0] == BACKGROUND)
    iou_G = _iou_per_label(counts_GP, label_P)
    if not background_counts:
        iou_G = iou_G[labels_G != BACKGROUND]
    return float(iou_G.mean()) if iou_G.size else 0.0


def oracle_tubes(truth_THW: Labels, tubelet: int, patch: int, ignore: int = VOID) -> Labels:
    """The best a labelling of whole tubes can do: every tube gets its most frequent non-void label, (T, H, W).

    Ties go to the lowest label; a tube of void only stays void.  Scored against the truth this is the ceiling of
    a method that assigns one cluster per tube.

    Args:
        truth_THW: labels.
        tubelet: frames in a tube.
        patch: side of a tube, pixels.
        ignore: the label of pixels that do not count.

    Raises:
        ValueError: frames or pixels do not divide into tubes.
    """
    frames, height, width = truth_THW.shape
    if frames % tubelet or height % patch or width % patch:
        raise ValueError(
            f"masks of {frames} frames at {height} x {width} px cannot be cut into tubes of "
            f"{tubelet} frames x {patch} px; use multiples of both"
        )
    cut = truth_THW.reshape(frames // tubelet, tubelet, height // patch, patch, width // patch, patch)
    best = np.full(cut.shape[::2], ignore, dtype=truth_THW.dtype)
    most = np.zeros(best.shape, dtype=np.intp)
    for label in np.unique(truth_THW[truth_THW != ignore]):
        count = (cut == label).sum(axis=(1, 3, 5))
        best[count > most] = label
        most = np.maximum(most, count)
    return best.repeat(tubelet, axis=0).repeat(patch, axis=1).repeat(patch, axis=2)


def all_background(truth: Labels) -> Labels:
    """The floor: a segmentation that finds nothing, every pixel in one cluster; the truth's shape and type."""
    return np.full_like(truth, BACKGROUND)


def _match(counts_GP: NDArray[np.intp], matching: str, *, has_background: bool) -> NDArray[np.intp]:
    if matching == "hungarian_iou":
        return hungarian_by_iou(counts_GP, leftover_index=BACKGROUND_INDEX if has_background else NO_LABEL)
    if matching == "majority_precision":
        return majority_by_precision(counts_GP)
    raise ValueError(f"unknown matching '{matching}'; use hungarian_iou or majority_precision")


def _iou_per_label(counts_GP: NDArray[np.intp], label_P: NDArray[np.intp]) -> NDArray[np.float64]:
    """IoU of every label with the union of the clusters that stand for it, (G,)."""
    chosen_GP = label_P == np.arange(len(counts_GP))[:, None]
    hit_G = (counts_GP * chosen_GP).sum(1)
    claimed_G = chosen_GP @ counts_GP.sum(0)
    return np.asarray(hit_G / (counts_GP.sum(1) + claimed_G - hit_G), dtype=np.float64)
