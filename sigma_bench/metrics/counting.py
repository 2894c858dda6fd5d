"""Errors of repetition counting (SEVERE's UCF-RC; Zhang et al., CVPR 2020).

Shapes: S videos.
"""

import numpy as np

NO_COUNT = -1
"""Count of a video without a prediction, such as a decoding failure; it is wrong under every metric."""


def relative_errors(truth_S: np.ndarray, predicted_S: np.ndarray) -> np.ndarray:
    """|predicted - true| / true of each video, (S,); 1 (the error of a count of 0) for a video without a count."""
    return np.where(predicted_S == NO_COUNT, 1.0, np.abs(predicted_S - truth_S) / truth_S)


def are_off_by_one(truth_S: np.ndarray, predicted_S: np.ndarray) -> np.ndarray:
    """Whether the count of each video is off by at most one, (S,); False for a video without a count."""
    return np.asarray((predicted_S != NO_COUNT) & (np.abs(predicted_S - truth_S) <= 1))


def counting_error(truth_S: np.ndarray, predicted_S: np.ndarray) -> float:
    """Mean of |predicted - true| / true, a fraction that may exceed 1; lower is better."""
    return float(relative_errors(truth_S, predicted_S).mean())


def off_by_one(truth_S: np.ndarray, predicted_S: np.ndarray) -> float:
    """Share of videos whose count is off by at most one (OBO accuracy)."""
    return float(are_off_by_one(truth_S, predicted_S).mean())


def best_constant(truth_S: np.ndarray) -> int:
    """The constant count with the smallest error; on a tie the smallest count."""
    candidates = np.arange(1, int(truth_S.max()) + 1)
    return int(candidates[np.argmin([counting_error(truth_S, np.full_like(truth_S, c)) for c in candidates])])
