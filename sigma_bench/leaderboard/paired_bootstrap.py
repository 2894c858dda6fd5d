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
    ids: NDArray[Any]
    value_S: NDArray[np.float64] | None
    """Value of each sample, averaged over seeds, if the metric is a mean over samples."""

    @property
    def of_sample(self) -> Mapping[str, float] | None:
        """Value of each sample by its id, if the metric is a mean over samples."""
        return None if self.value_S is None else dict(zip(map(str, self.ids), self.value_S.tolist(), strict=True))


class Draws:
    """Resamples that are shared by all models and tasks of a dataset that are scored on the same samples.

    The seed is derived from the first manifest; models that read other files with the same ids share the resamples.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str], Resampling | None] = {}
        self._samples: dict[tuple[object, ...], str] = {}

    def samples(self, stored: Arrays) -> str:
        """Digest of sample ids and groups, computed once for the models that are scored on the same samples."""
        key = tuple(part for name in ("ids", "groups") for part in (stored[name].dtype.str, stored[name].tobytes()))
        if key not in self._samples:
            self._samples[key] = digest([list(map(str, stored["ids"])), list(map(str, stored["groups"]))])
        return self._samples[key]

    def of(self, record: Record, stored: Arrays) -> Resampling | None:
        """The resamples for the samples of a record; None if there are fewer than two independent units."""
        samples, protocol = self.samples(stored), record.task.protocol
        key = (record.task.dataset.dataset, samples, protocol.uncertainty.unit)
        if key not in self._known:
            units = units_of(protocol, stored)
            seed = int(digest([reported_split(record.data).manifest_sha256, [samples]])[:16], 16)
            rng = np.random.default_rng(seed)
            is_enough = len(np.unique(units)) > 1
            self._known[key] = Resampling(units, replicates=REPLICATES, rng=rng) if is_enough else None
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


@dataclass(frozen=True, eq=False)
class Scored:
    """Score of one model on one metric of one task, averaged over seeds, before it is resampled."""

    value: float
    samples: str
    higher_is_better: bool
    resampling: Resampling
    ids: NDArray[Any]
    value_S: NDArray[np.float64] | None
    """Value of each sample if the metric is a mean over samples."""
    value_R: NDArray[np.float64] | None
    """Scores on all resamples if the metric is not a mean over samples."""


def score_samples(records: Sequence[Record], metric: str, load: Load, draws: Draws) -> Scored | None:
    """Evaluate the records of one model and task, one per seed, on their samples.

    None if predictions are missing, the metric is unknown, there are fewer than two independent units, or seeds were
    scored on different samples.
    """
    stored = [load(record) for record in records]
    known = [_by_id(arrays) for arrays in stored if arrays is not None]
    entry = metrics_of(records[0].task.protocol).get(metric)
    if len(known) < len(records) or entry is None:
        return None
    names = {draws.samples(arrays) for arrays in known}
    resampling = draws.of(records[0], known[0])
    if len(names) > 1 or resampling is None:
        return None
    prepared, everything = [entry.prepare(arrays) for arrays in known], np.arange(len(known[0]["ids"]))
    own = [np.asarray(one, np.float64) for arrays in known if (one := entry.of_sample(arrays)) is not None]
    return Scored(
        value=float(np.mean([entry.statistic(arrays, everything) for arrays in prepared])),
        samples=names.pop(),
        higher_is_better=entry.higher_is_better,
        resampling=resampling,
        ids=known[0]["ids"],
        value_S=np.mean(own, axis=0) if own else None,
        value_R=None
        if own
        else np.mean(
            [resampling.values(lambda index, a=arrays: entry.statistic(a, index)) for arrays in prepared],  # type: ignore[misc]
            axis=0,
        ),
    )


def resample(scored: Sequence[Scored]) -> list[Resampled]:
    """Scores on the resamples; models that are scored on the same samples share one matrix product."""
    together: dict[Resampling, dict[int, NDArray[np.float64]]] = {}
    for place, one in enumerate(scored):
        if one.value_S is not None:
            together.setdefault(one.resampling, {})[place] = one.value_S
    means = {place: one.value_R for place, one in enumerate(scored)}
    for resampling, values in together.items():
        mean_RX = resampling.means(np.stack(list(values.values()), axis=1))
        means |= {place: np.ascontiguousarray(mean_R) for place, mean_R in zip(values, mean_RX.T, strict=True)}
    return [_resampled(one, means[place]) for place, one in enumerate(scored)]


def _resampled(scored: Scored, value_R: NDArray[np.float64] | None) -> Resampled:
    assert value_R is not None
    return Resampled(
        value=scored.value,
        value_R=value_R,
        num_units=scored.resampling.num_units,
        samples=scored.samples,
        higher_is_better=scored.higher_is_better,
        ids=scored.ids,
        value_S=scored.value_S,
    )


def mean_difference(first: Sequence[Resampled], second: Sequence[Resampled]) -> Difference:
    """Difference of two models' means over tasks; tasks on the same samples are resampled together.

    The interval is expanded for the number of units of the smallest task.
    """
    signs = [1.0 if a.higher_is_better else -1.0 for a in first]
    pairs = list(zip(signs, first, second, strict=True))
    num_units = min(a.num_units for a in first)
    difference_R = np.mean([sign * (a.value_R - b.value_R) for sign, a, b in pairs], axis=0)
    low, high = interval_ends(difference_R, num_units=num_units, level=LEVEL)
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
