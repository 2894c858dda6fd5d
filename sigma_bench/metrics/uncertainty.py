"""Confidence intervals by the bootstrap over independent units (Efron and Tibshirani 1993, chapter 13).

Samples of one source video, person or sequence are not independent, so units are resampled.  A resample contains all
samples of a drawn unit, as often as the unit was drawn.  If single samples were resampled, intervals would be too
narrow for samples that resemble others of their unit.

A plain percentile interval is too narrow for few units, because its width is that of an interval with the normal
quantile and with n in the denominator of the variance.  ``bootstrap`` therefore takes the quantiles of Hesterberg's
expanded percentile interval (2015, The American Statistician 69, 371-386).  For a mean, it has the width of Student's t
interval; for many units, it is nearly the plain one, which is ``percentile``.

Few units remain a limit of any bootstrap: with eight units and a success rate of one in five, all units of every sixth
test set fail, and the interval is a point; in simulation it covers 82 % instead of 95 %.  With fifteen units or more it
covers 93.5 to 96.5 %.

Shapes: S samples, U units, R replicates, X numbers per sample.
"""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

SampleIndex = NDArray[np.intp]
Method = Literal["bootstrap", "centred_bootstrap", "percentile"]
_BLOCK = 2_000_000
"""Number of counts of drawn units that are multiplied at once."""
_DRAWS = 100_000
"""Number of units that are drawn at once; the draws do not depend on it."""


def bootstrap_interval(
    statistic: Callable[[SampleIndex], float],
    units: ArrayLike,
    *,
    level: float,
    replicates: int,
    rng: np.random.Generator,
    method: Method = "bootstrap",
    value_S: ArrayLike | None = None,
) -> tuple[float, float, int]:
    """Interval of a statistic under resampling of units.

    Args:
        statistic: value on the samples with given indices, which repeat if a unit is drawn more than once.
        units: the unit of every sample, (S,); numbers or names.
        level: coverage, such as 0.95.
        replicates: number of resamples.
        rng: source of the draws; the same state gives the same interval for any order of the samples.
        method: ``bootstrap``, expanded for few units; ``centred_bootstrap``, also shifted by the bootstrap's bias, so
            that the resamples' mean falls on the value itself; or ``percentile``.
        value_S: value of each sample, (S,), if the statistic is their mean; the result is the same up to rounding, and
            takes a small part of the time.

    Returns:
        Lower end, upper end and the number of units.

    Raises:
        ValueError: fewer than two units, a level outside (0, 1) or no replicate.
    """
    resampling = Resampling(units, replicates=replicates, rng=rng)
    value_R = resampling.values(statistic) if value_S is None else resampling.means(value_S)
    low, high = interval_ends(value_R, num_units=resampling.num_units, level=level, method=method)
    bias = 0.0
    if method == "centred_bootstrap":
        bias = float(value_R.mean()) - statistic(np.arange(len(resampling.unit_S)))
    return low - bias, high - bias, resampling.num_units


def interval_ends(
    value_R: NDArray[np.float64], *, num_units: int, level: float, method: Method = "bootstrap"
) -> tuple[float, float]:
    """Lower and upper end of an interval from replicates of a statistic.

    Raises:
        ValueError: a level outside (0, 1).
    """
    tail = lower_tail(num_units, level, method)
    low, high = np.quantile(value_R, [tail, 1 - tail])
    return float(low), float(high)


def lower_tail(num_units: int, level: float, method: Method = "bootstrap") -> float:
    """Level of the quantile of the replicates that is the lower end of an interval; 1 minus it gives the upper end.

    Raises:
        ValueError: a level outside (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f"the level of an interval lies strictly between 0 and 1, got {level}")
    tail = (1 - level) / 2
    if method == "percentile":
        return tail
    student = special.stdtrit(num_units - 1, tail)  # quantile of the t distribution
    return float(special.ndtr(np.sqrt(num_units / (num_units - 1)) * student))


class Resampling:
    """One set of resamples that is used for all statistics, as a paired comparison requires."""

    def __init__(self, units: ArrayLike, *, replicates: int, rng: np.random.Generator) -> None:
        """Args: as for ``bootstrap_interval``; the generator's state is copied, not used up."""
        if replicates < 1:
            raise ValueError(f"a bootstrap needs at least one replicate, got {replicates}")
        self.unit_S = np.unique(np.asarray(units), return_inverse=True)[1]
        self.num_units = int(self.unit_S.max(initial=-1)) + 1
        if self.num_units < 2:
            raise ValueError(
                f"an interval needs at least two independent units to resample, got {self.num_units}; "
                "score more source videos, or resample samples where they are independent"
            )
        self.replicates = replicates
        self._state = rng.bit_generator.state
        self._generator = type(rng.bit_generator)

    def values(self, statistic: Callable[[SampleIndex], float]) -> NDArray[np.float64]:
        """Any statistic on every resample, (R,)."""
        return np.array([statistic(index) for index in self._sample_indices()])

    def means(self, value_SX: ArrayLike) -> NDArray[np.float64]:
        """The mean over samples on every resample; as ``values``, and much faster.

        Args:
            value_SX: one number per sample, (S,), or several, (S, X).

        Returns:
            (R,) or (R, X).
        """
        value = np.asarray(value_SX, np.float64)
        sum_UX = np.zeros((self.num_units, *value.shape[1:]))
        np.add.at(sum_UX, self.unit_S, value)
        size_U = np.bincount(self.unit_S, minlength=self.num_units).astype(np.float64)
        blocks = []
        at_once = max(1, _BLOCK // self.num_units)
        for start in range(0, self.replicates, at_once):
            times_RU = self._times[start : start + at_once] * 1.0
            size_R = times_RU @ size_U
            blocks.append(times_RU @ sum_UX / size_R.reshape(-1, *(1,) * (value.ndim - 1)))
        return np.concatenate(blocks)

    @cached_property
    def _times(self) -> NDArray[np.unsignedinteger]:
        """Number of draws of each unit in each replicate; cached, since a table needs the means of many models."""
        times_RU = np.empty((self.replicates, self.num_units), np.min_scalar_type(self.num_units))
        for times_U, drawn_U in zip(times_RU, self._drawn_units(), strict=True):
            times_U[:] = np.bincount(drawn_U, minlength=self.num_units)
        return times_RU

    def _drawn_units(self) -> Iterator[NDArray[np.intp]]:
        """Units drawn with replacement, one replicate at a time, each with as many draws as there are units."""
        bits = self._generator()
        bits.state = self._state
        rng = np.random.Generator(bits)
        at_once = max(1, _DRAWS // self.num_units)
        for start in range(0, self.replicates, at_once):
            yield from rng.integers(self.num_units, size=(min(at_once, self.replicates - start), self.num_units))

    def _sample_indices(self) -> Iterator[SampleIndex]:
        """Sample indices of each resample: every drawn unit with all of its samples."""
        by_unit_S = np.argsort(self.unit_S, kind="stable")
        size_U = np.bincount(self.unit_S, minlength=self.num_units)
        start_U = np.cumsum(size_U) - size_U
        for drawn_U in self._drawn_units():
            drawn_size_U = size_U[drawn_U]
            written_U = np.cumsum(drawn_size_U) - drawn_size_U
            jump = np.repeat(start_U[drawn_U] - written_U, drawn_size_U)
            yield by_unit_S[jump + np.arange(len(jump))]
