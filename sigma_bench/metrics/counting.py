"""Repetition counting: how far off a count is (SEVERE's UCF-RC; Zhang et al., CVPR 2020).

Shapes: S videos.
"""

import numpy as np


def counting_error(truth_S: np.ndarray, predicted_S: np.ndarray) -> float:
    """Mean of |predicted - true| / true, a fraction that may exceed 1; lower is better."""
    return float((np.abs(predicted_S - truth_S) / truth_S).mean())


def off_by_one(truth_S: np.ndarray, predicted_S: np.ndarray) -> float:
    """Share of videos whose count is off by at most one (OBO accuracy)."""
    return float((np.abs(predicted_S - truth_S) <= 1).mean())


def best_constant(truth_S: np.ndarray) -> int:
    """The count that has the smallest error when it is always given; the smallest of equals."""
    candidates = np.arange(1, int(truth_S.max()) + 1)
    return int(candidates[np.argmin([counting_error(truth_S, np.full_like(truth_S, c)) for c in candidates])])
