"""The metrics of the protocol, computed from the arrays that a record stores; this module is imported without torch.

``classify`` stores ``ids`` and ``groups`` of the test samples, ``truth`` and ``predicted`` (S,), and ``ranked`` (S, K).

Shapes: S test samples, K best classes.
"""

from collections.abc import Mapping

import numpy as np

from sigma_bench.extend import Control, mean_of


def _reciprocal_rank(stored: Mapping[str, np.ndarray]) -> np.ndarray:
    """1 divided by the rank of the true class; 0 if it is not among the best classes."""
    is_true_SK = stored["ranked"] == stored["truth"][:, None]
    return (is_true_SK / np.arange(1, is_true_SK.shape[1] + 1)).sum(1)


METRICS = {
    "top1": mean_of(lambda stored: stored["truth"] == stored["predicted"]),
    "mean_reciprocal_rank": mean_of(_reciprocal_rank),
}
CONTROLS = {"chance": Control("chance", metrics=("top1",))}
