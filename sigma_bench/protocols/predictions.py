"""What a classification protocol hands over: one prediction per sample, every sample exactly once.

Shapes: S samples.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from sigma_bench.data.manifest import Split
from sigma_bench.records.record import Selection

NO_PREDICTION = -1
"""Stands for a sample that could not be decoded; it is wrong whatever its label."""


@dataclass(frozen=True)
class Predictions:
    """Predicted classes keyed by sample id, and how free choices were made."""

    ids: tuple[str, ...]
    predicted_S: np.ndarray
    selections: tuple[Selection, ...] = ()
    failures: Mapping[str, str] = field(default_factory=dict)

    def require_exactly(self, split: Split) -> None:
        """Fail unless the samples of the split are predicted once each, in their order."""
        assert self.ids == split.ids, "predictions do not cover the split exactly"
        assert self.predicted_S.shape == (len(self.ids),)


def labels_of(split: Split) -> np.ndarray:
    """Class indices of a split, (S,)."""
    return np.array([sample.label for sample in split.samples], np.int64)


def groups_of(split: Split) -> np.ndarray:
    """Group names of a split, (S,)."""
    return np.array([sample.group for sample in split.samples])
