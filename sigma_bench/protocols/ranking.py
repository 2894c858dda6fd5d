"""The best classes of samples, from their scores.

Shapes: Q samples, L classes, K best classes.
"""

import numpy as np

NO_PREDICTION = -1
"""Class index of a sample that could not be decoded; it equals no label."""
RANKED = 5
"""Number of best classes that are kept per sample."""
_ROWS = 2048
"""Number of samples that are sorted at once."""


def ranked(score_QL: np.ndarray) -> np.ndarray:
    """The best classes of every row in falling order, (Q, K).

    Among equal scores the lower index comes first; ``NO_PREDICTION`` takes the place of classes with score -inf.
    """
    label_QK = np.empty((len(score_QL), min(RANKED, score_QL.shape[1])), np.int64)
    for start in range(0, len(score_QL), _ROWS):
        some_BL = score_QL[start : start + _ROWS]
        label_BK = np.argsort(-some_BL, axis=1, kind="stable")[:, :RANKED]
        is_empty = np.isneginf(np.take_along_axis(some_BL, label_BK, 1))
        label_QK[start : start + _ROWS] = np.where(is_empty, NO_PREDICTION, label_BK)
    return label_QK
