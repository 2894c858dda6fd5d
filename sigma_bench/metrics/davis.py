"""J and F of the DAVIS challenges (Perazzi et al., CVPR 2016; Pont-Tuset et al., arXiv 1704.00675).

J is the overlap of two masks and F the agreement of their outlines within a radius.  Both are computed for every object
and frame, then summarised over the frames of an object (mean, recall, decay), then averaged over all objects of all
sequences.

Differs from the official code in two ways, of which only the second can change a number: outlines are compared as point
sets (a nearest-neighbour tree) instead of dilated images, and the quarters of a sequence are not kept in 8 bits, where
they overflow beyond 256 frames.

Shapes: T frames, H W pixels, O objects, E outline pixels.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from sigma_bench.metrics.segmentation import VOID

Mask = NDArray[np.bool_]
Labels = NDArray[np.integer]
Floats = NDArray[np.float64]

BOUND_SHARE = 0.008
"""Radius within which outlines agree, as a share of the image diagonal."""
RECALL_ABOVE = 0.5
QUARTERS = 4


class FrameScores(NamedTuple):
    """J and F of every object in every scored frame, (O, T) each."""

    j_OT: Floats
    f_OT: Floats


class Statistics(NamedTuple):
    """What the challenge reports of one measure, per object (O,)."""

    mean_O: Floats
    recall_O: Floats
    decay_O: Floats


def jaccard(truth_HW: Mask, found_HW: Mask) -> float:
    """Intersection over union of two masks; 1 if both are empty."""
    union = np.count_nonzero(truth_HW | found_HW)
    return np.count_nonzero(truth_HW & found_HW) / union if union else 1.0


def boundary(mask_HW: Mask) -> Mask:
    """Outline pixels: those that differ from the neighbour to the east, south or south-east.

    In the last row only east counts, in the last column only south, and the corner is none.
    """
    edge_HW = np.zeros_like(mask_HW)
    edge_HW[:, :-1] |= mask_HW[:, :-1] != mask_HW[:, 1:]
    edge_HW[:-1] |= mask_HW[:-1] != mask_HW[1:]
    edge_HW[:-1, :-1] |= mask_HW[:-1, :-1] != mask_HW[1:, 1:]
    return edge_HW


def boundary_radius(height: int, width: int) -> int:
    """Distance in pixels within which two outlines agree, such as 8 for 480 x 854."""
    return math.ceil(BOUND_SHARE * math.hypot(height, width))


class Outline:
    """The outline of one mask, with a tree of its pixels for searches."""

    def __init__(self, mask_HW: Mask) -> None:
        self.point_E2 = np.argwhere(boundary(mask_HW))
        self._tree = cKDTree(self.point_E2) if len(self.point_E2) else None

    def share_near(self, other: "Outline", radius: int) -> float:
        """Share of the pixels of this outline that are within the radius of the other one; neither may be empty."""
        assert other._tree is not None
        distance_E, _ = other._tree.query(self.point_E2, distance_upper_bound=radius + 1)
        return float(np.count_nonzero(distance_E <= radius)) / len(self.point_E2)


def outline_agreement(truth: Outline, found: Outline, radius: int) -> float:
    """F: the harmonic mean of precision and recall of outline pixels; 1 if both are empty, 0 if one is."""
    if not len(truth.point_E2) or not len(found.point_E2):
        return float(len(truth.point_E2) == len(found.point_E2))
    precision, recall = found.share_near(truth, radius), truth.share_near(found, radius)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def f_measure(truth_HW: Mask, found_HW: Mask) -> float:
    """F of two masks."""
    return outline_agreement(Outline(truth_HW), Outline(found_HW), boundary_radius(*truth_HW.shape))


def semi_supervised(truth_THW: Labels, found_THW: Labels) -> FrameScores:
    """J and F of every object of a sequence, by the rules of the semi-supervised track.

    The first frame, whose masks are given, and the last frame are not scored.  Void counts as background.  The objects
    are those from 1 to the largest id in the first frame, which void is not.  An object that is not found has an empty
    mask.

    Raises:
        ValueError: different shapes, fewer than three frames, no object, or a found id that is no object.
    """
    if truth_THW.shape != found_THW.shape:
        raise ValueError(f"truth has shape {truth_THW.shape} and found masks have {found_THW.shape}")
    if len(truth_THW) < 3:
        raise ValueError(f"{len(truth_THW)} frames: without the first and the last there is none to score")
    num_objects = count_objects(truth_THW[0])
    if found_THW.max() > num_objects:
        raise ValueError(f"a found mask has the object {found_THW.max()}, but the first frame shows {num_objects}")
    pairs = list(zip(truth_THW[1:-1], found_THW[1:-1], strict=True))
    objects = range(1, num_objects + 1)
    j_OT = np.array([[jaccard(truth == o, found == o) for truth, found in pairs] for o in objects])
    f_OT = np.array([[f_measure(truth == o, found == o) for truth, found in pairs] for o in objects])
    return FrameScores(j_OT, f_OT)


def count_objects(first_HW: Labels) -> int:
    """The largest id of an object in a first frame, which void is not; ValueError if there is no object."""
    shown = first_HW[first_HW != VOID]
    if not shown.size or not shown.max():
        raise ValueError("the first frame shows no object")
    return int(shown.max())


def statistics(score_OT: Floats) -> Statistics:
    """Mean over frames, share of frames above 0.5, and decrease from the first quarter of the frames to the last."""
    edges = quarter_edges(score_OT.shape[1])
    first_O, last_O = (score_OT[:, a : b + 1].mean(1) for a, b in ((edges[0], edges[1]), (edges[-2], edges[-1])))
    return Statistics(score_OT.mean(1), (score_OT > RECALL_ABOVE).mean(1), first_O - last_O)


def quarter_edges(num_frames: int) -> Sequence[int]:
    """The five frames (from 0) that bound the quarters of a sequence; both ends of a quarter belong to it."""
    edges = np.round(np.linspace(1, num_frames, QUARTERS + 1) + 1e-10).astype(int) - 1
    return [int(edge) for edge in edges]
