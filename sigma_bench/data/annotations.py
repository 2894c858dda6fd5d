"""Annotations of a sample other than a class: several actions, repetitions, and categories of masked objects.

``neighbour_offsets`` derives the per-frame labels of repetition counting.  It follows the rules of UCFRep (Zhang et
al., CVPR 2020) and reproduces the published labels exactly.

Shapes: N frames from the first bound to the last, both included.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np


@dataclass(frozen=True)
class ActionIntervals:
    """The actions of one video (Charades)."""

    intervals: tuple[tuple[int, float, float], ...]
    """Class, start and end of each action; times are in seconds and belong to the action."""


@dataclass(frozen=True)
class VideoLabels:
    """The classes of one video without times, in multi-label data."""

    labels: tuple[int, ...]


@dataclass(frozen=True)
class CycleBounds:
    """The repetitions of one action (UCFRep)."""

    bounds: tuple[int, ...]
    """Indices, from 0, of the frames at which a repetition begins or ends; one more than repetitions."""

    @property
    def count(self) -> int:
        """Number of repetitions."""
        return len(self.bounds) - 1


@dataclass(frozen=True)
class ObjectCategories:
    """The categories of the objects in the masks of a sequence (YouTube-VOS)."""

    categories: tuple[tuple[int, int], ...]
    """Object id and category number, from 1, of each object."""


Annotation = ActionIntervals | VideoLabels | CycleBounds | ObjectCategories

UNKNOWN = -1
MAX_DIFFERENCE_FRAMES, MAX_RATIO = 2, 1.3
"""Limits on the difference and on the ratio of the lengths of two adjacent cycles.

Offsets between two cycles are unknown if their lengths exceed both limits.
"""


def neighbour_offsets(cycles: CycleBounds) -> tuple[np.ndarray, np.ndarray]:
    """Number of frames to the same phase of the next and of the previous cycle, each (N,); UNKNOWN if there is none.

    The phase of a frame is the fraction of its cycle that has passed.  A frame between two cycles belongs to the later.
    """
    bounds = cycles.bounds
    duration = bounds[-1] - bounds[0] + 1
    next_N, previous_N = np.full(duration, UNKNOWN), np.full(duration, UNKNOWN)
    lengths = np.diff(bounds)
    for number, (start, end) in enumerate(pairwise(bounds)):
        frame = np.arange(start, end + 1)
        phase = (frame - start) / lengths[number]
        place = frame - bounds[0]
        next_N[place] = previous_N[place] = UNKNOWN
        if number + 1 < len(lengths) and _alike(lengths[number], lengths[number + 1]):
            next_N[place] = _rounded(phase * lengths[number + 1] + end - frame)
        if number > 0 and _alike(lengths[number], lengths[number - 1]):
            previous_N[place] = _rounded(frame - bounds[number - 1] - phase * lengths[number - 1])
    return next_N, previous_N


def _alike(one: int, other: int) -> bool:
    return abs(one - other) <= MAX_DIFFERENCE_FRAMES or max(one, other) / min(one, other) <= MAX_RATIO


def _rounded(value: np.ndarray) -> np.ndarray:
    """Values rounded to integers, halves away from zero, as in MATLAB."""
    return (np.sign(value) * np.floor(np.abs(value) + 0.5)).astype(int)
