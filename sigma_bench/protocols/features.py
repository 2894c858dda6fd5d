"""Features of the samples of a split, as a frozen protocol receives them.

Shapes: S samples, V clips of a sample, N tokens, D width, R chosen rows.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class SplitFeatures:
    """Features of a split, one row per sample; rows of samples that do not decode are zero and must not be used."""

    feature_SD: np.ndarray
    """Mean over tokens, then over the clips of a sample, float32."""
    failures: dict[int, str]
    """Sample index -> why it could not be decoded."""
    token_SVND: np.ndarray | None = None
    """All tokens, float16; None if the pass does not need them."""
    grid: tuple[int, int, int] | None = None
    """Token grid: time slots, rows, columns; None if there are no tokens."""

    @property
    def usable(self) -> np.ndarray:
        """Indices of the samples that decode, in rising order."""
        return np.setdiff1d(np.arange(len(self.feature_SD)), list(self.failures))

    def rows(self, index_S: np.ndarray) -> np.ndarray:
        """Features of these samples; for all samples, the memory-mapped file instead of a copy in memory."""
        is_all = np.array_equal(index_S, np.arange(len(self.feature_SD)))
        return self.feature_SD if is_all else self.feature_SD[index_S]

    def mapped_rows(self, index_S: np.ndarray) -> "Rows":
        """Features of these samples, which are read from the memory-mapped file when they are sliced."""
        return Rows(self.feature_SD, index_S)


@dataclass(frozen=True)
class Rows:
    """Some rows of an array, in the order of their indices, copied only when they are sliced or converted."""

    array_SD: np.ndarray
    index_R: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """As of an array."""
        return (len(self.index_R), *self.array_SD.shape[1:])

    def __len__(self) -> int:
        return len(self.index_R)

    def __getitem__(self, some: slice | np.ndarray) -> np.ndarray:
        rows: np.ndarray = self.array_SD[self.index_R[some]]
        return rows
