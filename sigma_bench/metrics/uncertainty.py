"""Confidence intervals by the percentile bootstrap over independent units (Efron and Tibshirani 1993, chapter 13).

Samples of one source video, person or sequence are not independent, so units are resampled and all samples of
a drawn unit come along, as often as it was drawn.  Resampling single samples instead gives intervals that are too
narrow wherever samples of a unit resemble each other.

Shapes: S samples, U units.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

SampleIndex = NDArray[np.intp]


def bootstrap_interval(
    statistic: Callable[[SampleIndex], float],
    units: ArrayLike,
    *,
    level: float,
    replicates: int,
    rng: np.random.Generator,
    centred: bool = False,
) -> tuple[float, float, int]:
    """Percentile interval of a statistic under resampling of units.

    Args:
        statistic: value on the samples with these indices, which repeat where a unit was drawn twice.
        units: the unit of every sample, (S,); numbers or names.
        level: coverage, such as 0.95.
        replicates: number of resamples.
        rng: source of the draws; the same state gives the same interval in whatever order the samples stand.
        centred: shift the interval by the bootstrap's bias, so that the resamples' mean falls on the value itself.

    Returns:
        Lower end, upper end and the number of units.

    Raises:
        ValueError: fewer than two units, a level outside (0, 1) or no replicate.
    """
    if not 0 < level < 1:
        raise ValueError(f"the level of an interval lies strictly between 0 and 1, got {level}")
    if replicates < 1:
        raise ValueError(f"a bootstrap needs at least one replicate, got {replicates}")
    unit_S = np.unique(np.asarray(units), return_inverse=True)[1]
    num_units = int(unit_S.max(initial=-1)) + 1
    if num_units < 2:
        raise ValueError(
            f"an interval needs at least two independent units to resample, got {num_units}; "
            "score more source videos, or resample samples where they are independent"
        )
    values = [statistic(index) for index in _resamples(unit_S, num_units, replicates, rng)]
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    bias = np.mean(values) - statistic(np.arange(len(unit_S))) if centred else 0.0
    return float(low - bias), float(high - bias), num_units


def _resamples(
    unit_S: NDArray[np.intp], num_units: int, replicates: int, rng: np.random.Generator
) -> Iterator[SampleIndex]:
    """Sample indices of each resample: as many units as there are, drawn with replacement, each with its samples."""
    by_unit_S = np.argsort(unit_S, kind="stable")
    size_U = np.bincount(unit_S, minlength=num_units)
    start_U = np.cumsum(size_U) - size_U
    for _ in range(replicates):
        drawn_U = rng.integers(num_units, size=num_units)
        drawn_size_U = size_U[drawn_U]
        written_U = np.cumsum(drawn_size_U) - drawn_size_U
        jump = np.repeat(start_U[drawn_U] - written_U, drawn_size_U)
        yield by_unit_S[jump + np.arange(len(jump))]
