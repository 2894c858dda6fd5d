"""The paired bootstrap over test units, from stored predictions.

Two models that are scored on the same samples find the same samples easy or hard, so their difference is known more
precisely than either score.  Every model of a task is computed on the same resamples of units (source videos, people,
sequences); a difference whose interval contains zero is a tie.  Overlap of two intervals misses real
differences; the paired bootstrap is the test for paired data (Efron and Tibshirani 1993; Koehn, EMNLP 2004).

Differences are oriented: positive means that the first model is better, also for metrics where lower is better.

Shapes: S samples, R replicates.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sigma_bench.leaderboard.select import reported_split
from sigma_bench.metrics.uncertainty import Resampling, interval_ends, lower_tail
from sigma_bench.records.record import Record
from sigma_bench.records.scoring import Arrays, metrics_of, units_of
from sigma_bench.specs.fingerprint import digest

REPLICATES = 2000
LEVEL = 0.95
_ROUNDING = 1e-12
"""Largest difference that counts as zero, since sums differ in the last bits between processors."""
Load = Callable[[Record], Arrays | None]
"""Function that returns the predictions of a record; None if they are not stored."""


@dataclass(frozen=True, eq=False)
class Resampled:
    """Score of one model on one metric of one task, and its scores on all resamples; seeds are averaged."""

    value: float
    value_R: NDArray[np.float64]
    num_units: int
    samples: str
    """Digest of sample ids and groups; only models with the same digest are paired."""
    higher_is_better: bool
    of_sample: Mapping[str, float] | None
    """Value of each sample, averaged over seeds, if the metric is a mean over samples."""


class Draws:
    """Resamples that are shared by all models and tasks of a dataset that are scored on the same samples.

    The seed is derived from the first manifest; models that read other files with the same ids share the resamples.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str], Resampling] = {}

    def of(self, record: Record, stored: Arrays) -> Resampling:
        """The resamples for the samples of a record; ValueError if there are fewer than two independent units."""
        samples, protocol = _samples(stored), record.task.protocol
        key = (record.task.dataset.dataset, samples, protocol.uncertainty.unit)
        if key not in self._known:
            units = units_of(protocol, stored)
            seed = int(digest([reported_split(record.data).manifest_sha256, [samples]])[:16], 16)
            self._known[key] = Resampling(units, replicates=REPLICATES, rng=np.random.default_rng(seed))
        return self._known[key]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """First model minus second, as a fraction; positive means that the first is better."""

    value: float
    low: float
    high: float
    num_units: int

    @property
    def is_tie(self) -> bool:
        """Whether the interval contains zero, so that the test samples do not separate the two models."""
        return self.low <= _ROUNDING and self.high >= -_ROUNDING


def resample(records: Sequence[Record], metric: str, load: Load, draws: Draws) -> Resampled | None:
    """Evaluate the records of one model and task, one per seed, on the resamples of their samples.

    None if predictions are missing, the metric is unknown, or seeds were scored on different samples.
    """
    stored = [load(record) for record in records]
    known = [_by_id(arrays) for arrays in stored if arrays is not None]
    entry = metrics_of(records[0].task.protocol).get(metric)
    if len(known) < len(records) or entry is None:
        return None
    names = {_samples(arrays) for arrays in known}
    units = units_of(records[0].task.protocol, known[0])
    if len(names) > 1 or len(np.unique(units)) < 2:
        return None
    resampling = draws.of(records[0], known[0])
    prepared, everything = [entry.prepare(arrays) for arrays in known], np.arange(len(units))
    own_S = [np.asarray(own, np.float64) for arrays in known if (own := entry.of_sample(arrays)) is not None]
    return Resampled(
        value=float(np.mean([entry.statistic(arrays, everything) for arrays in prepared])),
        value_R=np.mean(
            [resampling.means(value_S) for value_S in own_S]
            or [resampling.values(lambda index, a=arrays: entry.statistic(a, index)) for arrays in prepared],  # type: ignore[misc]
            axis=0,
        ),
        num_units=resampling.num_units,
        samples=names.pop(),
        higher_is_better=entry.higher_is_better,
        of_sample=dict(zip(map(str, known[0]["ids"]), map(float, np.mean(own_S, axis=0)), strict=True))
        if own_S
        else None,
    )


def mean_difference(first: Sequence[Resampled], second: Sequence[Resampled], *, level: float = LEVEL) -> Difference:
    """Difference of two models' means over tasks; tasks on the same samples are resampled together.

    The interval is expanded for the number of units of the smallest task.
    """
    signs = [1.0 if a.higher_is_better else -1.0 for a in first]
    pairs = list(zip(signs, first, second, strict=True))
    num_units = min(a.num_units for a in first)
    difference_R = np.mean([sign * (a.value_R - b.value_R) for sign, a, b in pairs], axis=0)
    low, high = interval_ends(difference_R, num_units=num_units, level=level)
    value = float(np.mean([sign * (a.value - b.value) for sign, a, b in pairs]))
    return Difference(value=value, low=low, high=high, num_units=num_units)


def shared_ranks(models: Sequence[Sequence[Resampled]]) -> list[int]:
    """1 + the number of models whose mean over tasks is separably better, for each model.

    The result is that of ``mean_difference`` for all pairs (better: a lower end above zero), which takes minutes for
    hundreds of models.  Here replicates at or below zero are counted, and the lower end is computed only if the count
    does not decide.

    Args:
        models: scores of each model on the same tasks, in the same order and on the same samples.
    """
    mean_NR = np.array(
        [np.mean([one.value_R if one.higher_is_better else -one.value_R for one in model], axis=0) for model in models]
    )
    tail = lower_tail(min((one.num_units for model in models for one in model), default=2), LEVEL)
    ranks = []
    for own_R in mean_NR:
        difference_NR = mean_NR - own_R
        num_below_N = (difference_NR <= _ROUNDING).sum(1)
        before = int(tail * (len(own_R) - 1))  # the lower end lies between this replicate and the next
        is_open = num_below_N == before + 1
        is_open[is_open] = np.quantile(difference_NR[is_open], tail, axis=1) > _ROUNDING
        ranks.append(1 + int(((num_below_N <= before) | is_open).sum()))
    return ranks


def are_paired(first: Resampled | None, second: Resampled | None) -> bool:
    """Whether both models have predictions of the same samples."""
    return first is not None and second is not None and first.samples == second.samples


def _by_id(stored: Arrays) -> dict[str, NDArray[Any]]:
    """The arrays, those with one entry per sample sorted by id."""
    order_S = np.argsort(stored["ids"], kind="stable")
    size = len(order_S)
    return {
        name: array[order_S] if len(np.shape(array)) and len(array) == size else array for name, array in stored.items()
    }


def _samples(stored: Arrays) -> str:
    return digest([list(map(str, stored["ids"])), list(map(str, stored["groups"]))])
