"""Annotations of a sample beyond a single class: actions in time, repetitions, categories of masked objects.

``neighbour_offsets`` derives the per-frame labels of repetition counting.  Its rules are those of UCFRep (Zhang et al.,
CVPR 2020) and reproduce the published labels exactly.

Shapes: N frames from the first bound to the last, inclusive.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np


@dataclass(frozen=True)
class ActionIntervals:
    """Several actions of one video (Charades): class, start and end in seconds, both inside the action."""

    intervals: tuple[tuple[int, float, float], ...]


@dataclass(frozen=True)
class CycleBounds:
    """Where the repetitions of one action begin and end (UCFRep): 0-based frames, one more than there are cycles."""

    bounds: tuple[int, ...]

    @property
    def count(self) -> int:
        """Number of repetitions."""
        return len(self.bounds) - 1


@dataclass(frozen=True)
class ObjectCategories:
    """What the ids in the masks of a sequence show (YouTube-VOS): object id, number of the category."""

    categories: tuple[tuple[int, int], ...]


Annotation = ActionIntervals | CycleBounds | ObjectCategories

UNKNOWN = -1
MAX_DIFFERENCE_FRAMES, MAX_RATIO = 2, 1.3
"""Cycles whose lengths differ by more than both are too unlike to define each other's offsets."""


def neighbour_offsets(cycles: CycleBounds) -> tuple[np.ndarray, np.ndarray]:
    """Frames to the same moment of the next and of the previous cycle, each (N,); UNKNOWN where there is none.

    A moment is a share of a cycle; a frame where two cycles meet belongs to the later one.
    """
    bounds = cycles.bounds
    duration = bounds[-1] - bounds[0] + 1
    next_N, previous_N = np.full(duration, UNKNOWN), np.full(duration, UNKNOWN)
    lengths = np.diff(bounds)
    for number, (start, end) in enumerate(pairwise(bounds)):
        frame = np.arange(start, end + 1)
        share = (frame - start) / lengths[number]
        place = frame - bounds[0]
        next_N[place] = previous_N[place] = UNKNOWN
        if number + 1 < len(lengths) and _alike(lengths[number], lengths[number + 1]):
            next_N[place] = _rounded(share * lengths[number + 1] + end - frame)
        if number > 0 and _alike(lengths[number], lengths[number - 1]):
            previous_N[place] = _rounded(frame - bounds[number - 1] - share * lengths[number - 1])
    return next_N, previous_N


def _alike(one: int, other: int) -> bool:
    return abs(one - other) <= MAX_DIFFERENCE_FRAMES or max(one, other) / min(one, other) <= MAX_RATIO


def _rounded(value: np.ndarray) -> np.ndarray:
    """Half away from zero, as MATLAB rounds."""
    return (np.sign(value) * np.floor(np.abs(value) + 0.5)).astype(int)
