"""Frames of the clip for a hypothesis (a state) of two neighbouring cycles.

In a state (lp, mp, rp), the left cycle is lp..mp and the right one mp+1..rp.  Each half of the clip shows one cycle and
some context outside it.

Shapes: S states, H frames of one half, F = 2 H frames of a clip.
"""

import numpy as np


def frame_slots(state_S3: np.ndarray, frames_per_half: int, context_cycles: float) -> np.ndarray:
    """Frame numbers of every clip, (S, F); numbers outside the video stand for padding."""
    left, middle, right = state_S3.astype(float).T
    left_SH = _spread(left - (middle - left + 1) * context_cycles, middle, frames_per_half)
    right_SH = _spread(middle + 1, right + (right - middle) * context_cycles, frames_per_half)
    return np.concatenate([left_SH, right_SH], axis=1)


def half_lengths(state_S3: np.ndarray) -> np.ndarray:
    """Number of frames of the left and of the right cycle, (S, 2)."""
    left, middle, right = state_S3.T
    return np.stack([middle - left + 1, right - middle], axis=1)


def _spread(first_S: np.ndarray, last_S: np.ndarray, count: int) -> np.ndarray:
    """Evenly spaced frames from the first to the last, (S, count).

    As in the released code, bounds are truncated to whole numbers, and positions are shifted by half a frame towards
    the start and then rounded.
    """
    first_S1, last_S1 = np.trunc(first_S)[:, None], np.trunc(last_S)[:, None]
    step_S1 = (last_S1 - first_S1 + 1) / (count - 1)
    place = np.round(first_S1 - 0.5 + np.arange(count) * step_S1)
    return np.clip(place, first_S1, last_S1).astype(np.int64)
