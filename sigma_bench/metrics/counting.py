"""Repetition counting: how far off a count is (SEVERE's UCF-RC; Zhang et al., CVPR 2020).

Shapes: S videos.
"""

import numpy as np

NO_COUNT = -1
"""Stands for a video without a count, such as one that does not decode: wrong under every metric."""


def relative_errors(truth_S: np.ndarray, predicted_S: np.ndarray) -> np.ndarray:
    """|predicted - true| / true of every video, (S,); 1, the error of counting nothing, for one without a count."""
    return np.where(predicted_S == NO_COUNT, 1.0, np.abs(predicted_S - truth_S) / truth_S)


def are_off_by_one(truth_S: np.ndarray, predicted_S: np.ndarray) -> np.ndarray:
    """Whether the count of every video is off by at most one, (S,); never for one without a count."""
    return np.asarray((predicted_S != NO_COUNT) & (np.abs(predicted_S - truth_S) <= 1))


def counting_error(truth_S: np.ndarray, predicted_S: np.ndarray) -> float:
    """Mean of |predicted - true| / true, a fraction that may exceed 1; lower is better."""
    return float(relative_errors(truth_S, predicted_S).mean())


def off_by_one(truth_S: np.ndarray, predicted_S: np.ndarray) -> float:
    """Share of videos whose count is off by at most one (OBO accuracy)."""
    return float(are_off_by_one(truth_S, predicted_S).mean())


def best_constant(truth_S: np.ndarray) -> int:
    """The count that has the smallest error when it is always given; the smallest of equals."""
    candidates = np.arange(1, int(truth_S.max()) + 1)
    return int(candidates[np.argmin([counting_error(truth_S, np.full_like(truth_S, c)) for c in candidates])])
