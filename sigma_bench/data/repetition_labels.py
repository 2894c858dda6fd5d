"""What a repetition counter learns per frame: how long until the next cycle's like moment, and since the last one's.

The rules are UCFRep's (Zhang et al., CVPR 2020), and give its published labels exactly.

Shapes: N frames from the first bound to the last, inclusive.
"""

from itertools import pairwise

import numpy as np

from sigma_bench.data.annotations import CycleBounds

UNKNOWN = -1
MAX_DIFFERENCE_FRAMES, MAX_RATIO = 2, 1.3
"""Neighbouring cycles that differ by more than both are no guide to each other."""


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
