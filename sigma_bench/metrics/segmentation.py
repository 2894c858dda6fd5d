"""Mean IoU of an unsupervised segmentation (TimeTuning's per-unit score; SIGMA table 5), its floor and its ceiling.

A unit is a set of pixels with one matching: a frame, all frames of a clip, or a dataset.  Clusters are first matched to
labels (``matching.py``); then every label present in the truth counts once, including background as published, and a
label without a cluster scores 0.

Differs from the published code in one point: void pixels (255) are removed before counting, whereas the
original treats them as an additional class.

Shapes: T frames, H W pixels, S clips of a unit, G labels, P clusters present.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sigma_bench.metrics.matching import BACKGROUND_INDEX, NO_LABEL, hungarian_by_iou, majority_by_precision

BACKGROUND = 0
VOID = 255

Labels = NDArray[np.integer]
Matching = Literal["hungarian_iou", "majority_precision"]


def confusion(truth: Labels, clusters: Labels) -> tuple[Labels, Labels, NDArray[np.intp]]:
    """Count pixels by true label and cluster, without void.

    Args:
        truth: labels of any shape.
        clusters: cluster of every pixel, the same shape.

    Returns:
        Labels present (G,) and clusters present (P,), both sorted, and pixel counts (G, P).

    Raises:
        ValueError: different shapes, or a unit with nothing but void.
    """
    if truth.shape != clusters.shape:
        raise ValueError(f"truth has shape {truth.shape} and clusters have {clusters.shape}; they must be equal")
    valid = truth != VOID
    if not valid.any():
        raise ValueError(f"every pixel of this unit is void (label {VOID}) or there is none; it cannot be scored")
    labels_G, row = np.unique(truth[valid], return_inverse=True)
    clusters_P, column = np.unique(clusters[valid], return_inverse=True)
    shape = len(labels_G), len(clusters_P)
    counts = np.bincount(row * shape[1] + column, minlength=shape[0] * shape[1])
    return labels_G, clusters_P, counts.reshape(shape)


class LabelCounts(NamedTuple):
    """Number of correct, true and predicted pixels of each label in each clip of a unit, (S, G)."""

    hit_SG: NDArray[np.int64]
    true_SG: NDArray[np.int64]
    claimed_SG: NDArray[np.int64]


def label_counts(truths: Sequence[Labels], clusters: Sequence[Labels], matching: Matching) -> LabelCounts:
    """Match the clusters of a unit to its labels, once for all of its clips, and count pixels clip by clip.

    Args:
        truths: labels of each clip, of any shape; 0 is background, 255 is void and does not count.  Label g is row g
            of the result.
        clusters: cluster of every pixel, the same shapes.
        matching: ``hungarian_iou`` (one-to-one) or ``majority_precision`` (many-to-one).

    Raises:
        ValueError: different shapes, a unit with nothing but void, or an unknown matching.
    """
    for one, other in zip(truths, clusters, strict=True):
        if one.shape != other.shape:
            raise ValueError(f"truth has shape {one.shape} and clusters have {other.shape}; they must be equal")
    truth, cluster = (np.concatenate([part.ravel() for part in parts]) for parts in (truths, clusters))
    matched = matched_labels(truth, cluster, matching)
    num_labels = 1 + int(truth[truth != VOID].max())
    clip = np.repeat(np.arange(len(truths)), [part.size for part in truths])

    def count(labels: Labels, chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
        place = clip[chosen] * num_labels + labels[chosen]
        return np.bincount(place, minlength=len(truths) * num_labels).reshape(len(truths), num_labels)

    valid = truth != VOID
    return LabelCounts(
        count(truth, valid & (matched == truth)), count(truth, valid), count(matched, valid & (matched != VOID))
    )


def matched_labels(truth: Labels, clusters: Labels, matching: Matching) -> Labels:
    """The label that each pixel's cluster is matched to, in the shape and type of the truth; void without a match.

    Raises:
        ValueError: as ``label_counts``.
    """
    labels_G, clusters_P, counts_GP = confusion(truth, clusters)
    match_P = _match(counts_GP, matching, has_background=labels_G[0] == BACKGROUND)
    table = np.full(int(clusters.max()) + 1, VOID, truth.dtype)
    table[clusters_P] = np.where(match_P == NO_LABEL, VOID, labels_G[match_P])
    return np.asarray(table[clusters])


def mean_iou(counts: LabelCounts, background_counts: bool = True) -> float:
    """Mean IoU over the labels that occur in the truth of these clips, with pixels summed over the clips.

    Without background a unit that shows nothing but background scores 0, as in the published code.
    """
    hit_G, true_G, claimed_G = (part.sum(0) for part in counts)
    counted_G = true_G > 0
    counted_G[BACKGROUND] &= background_counts
    iou_G = hit_G[counted_G] / (true_G + claimed_G - hit_G)[counted_G]
    return float(iou_G.mean()) if iou_G.size else 0.0


def oracle_tubes(truth_THW: Labels, grid: tuple[int, int, int]) -> Labels:
    """The best labelling of whole tubes: each tube gets its most frequent non-void label, (T, H, W).

    Ties go to the lowest label; a tube of void only remains void.  Its score is the ceiling of methods that
    assign one cluster per tube; clusters of upsampled features may follow an outline more closely.

    Args:
        truth_THW: labels.
        grid: tubes in time, rows and columns; a pixel belongs to the tube that nearest-neighbour resizing gives it.

    Raises:
        ValueError: frames do not divide into tubes.
    """
    if truth_THW.shape[0] % grid[0]:
        raise ValueError(f"masks of {truth_THW.shape[0]} frames cannot be cut into {grid[0]} tubes of equal length")
    slot_T, row_H, column_W = (
        (2 * np.arange(size) + 1) * cells // (2 * size) for size, cells in zip(truth_THW.shape, grid, strict=True)
    )
    tube_THW = (slot_T[:, None, None] * grid[1] + row_H[:, None]) * grid[2] + column_W
    num_tubes = grid[0] * grid[1] * grid[2]
    best = np.full(num_tubes, VOID, dtype=truth_THW.dtype)
    most = np.zeros(num_tubes, dtype=np.intp)
    for label in np.unique(truth_THW[truth_THW != VOID]):
        count = np.bincount(tube_THW[truth_THW == label], minlength=num_tubes)
        best[count > most] = label
        most = np.maximum(most, count)
    return np.asarray(best[tube_THW])


def all_background(truth: Labels) -> Labels:
    """The floor: a segmentation with all pixels in one cluster, in the shape and type of the truth."""
    return np.full_like(truth, BACKGROUND)


def _match(counts_GP: NDArray[np.intp], matching: str, *, has_background: bool) -> NDArray[np.intp]:
    if matching == "hungarian_iou":
        return hungarian_by_iou(counts_GP, leftover_index=BACKGROUND_INDEX if has_background else NO_LABEL)
    if matching == "majority_precision":
        return majority_by_precision(counts_GP)
    raise ValueError(f"unknown matching '{matching}'; use hungarian_iou or majority_precision")
