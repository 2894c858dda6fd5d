"""Comparison of models by the paired bootstrap over test units, from stored predictions.

Two models that are scored on the same samples find the same samples easy or hard, so their difference is known more
precisely than either score.  Every model of a task is computed on the same resamples of units (source videos, people,
sequences); a difference whose interval contains zero is a tie.  Overlap of two intervals misses real
differences; the paired bootstrap is the test for paired data (Efron and Tibshirani 1993; Koehn, EMNLP 2004).

Differences are oriented: positive means that the first model is better, also for metrics where lower is better.

Shapes: S samples, R replicates.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sigma_bench.leaderboard.counterparts import Conditions, Filed, condition_name, conditions_of, matched
from sigma_bench.leaderboard.select import record_id, reported_split, require_one_checkpoint, select
from sigma_bench.metrics.uncertainty import Resampling, interval_ends, lower_tail
from sigma_bench.records.record import Record
from sigma_bench.records.scoring import Arrays, metrics_of, units_of
from sigma_bench.specs.fingerprint import digest
from sigma_bench.specs.strict import suggestion

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


@dataclass(frozen=True, kw_only=True)
class TaskComparison:
    """Two models on the first metric of one task."""

    task: str
    metric: str
    first: float
    second: float
    difference: Difference
    differing: tuple[tuple[str, float, float], ...]
    """Samples with the largest differences: id, value of the first model, value of the second."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two models on all tasks on which both were measured under the same conditions."""

    first: str
    second: str
    tasks: tuple[TaskComparison, ...]
    overall: Difference
    """Difference of the means over the tasks."""
    left_out: tuple[str, ...]
    """A line with the reason for each evaluation that is not compared."""


def compare(
    records: Iterable[tuple[Path, Record]], first: str, second: str, load: Load, *, num_samples: int = 10
) -> Comparison:
    """Compare two models by name, on every evaluation that both have: same task, protocol, data and evaluation seed.

    Args:
        records: any records; those of the two models are used, and several seeds of an evaluation are pooled.
        load: returns the predictions of a record.
        num_samples: number of samples to list per task.

    Raises:
        ValueError: a model has no records, two encoders have one name and pretraining seed, or no evaluation can be
            compared; the message gives the reason for each evaluation.
    """
    filed, names = list(records), set()
    measured: dict[Conditions, dict[str, list[Filed]]] = {}
    for path, record in filed:
        names.add(record.model.model)
        if record.model.model in (first, second):
            of_model = measured.setdefault(conditions_of(record), {})
            of_model.setdefault(record.model.model, []).append((path, record))
    for name in (first, second):
        if name not in names:
            raise ValueError(f"there is no record of a model '{name}' here.{suggestion(name, names)}")
    common, left_out = matched(measured, first, second)
    require_one_checkpoint([pair for models in common.values() for of_model in models for pair in of_model])
    draws = Draws()
    tasks: list[TaskComparison] = []
    pairs: list[tuple[Resampled, Resampled]] = []
    for conditions, (ours, theirs) in common.items():
        try:
            a, b = _pair(conditions.task, _latest([*ours, *theirs]), (first, second), load, draws)
        except ValueError as error:
            left_out.append(str(error))
            continue
        pairs.append((a, b))
        metric = ours[0][1].task.protocol.metrics[0]
        tasks.append(_task_comparison(condition_name(conditions, common), metric, a, b, num_samples))
    if not pairs:
        raise ValueError(f"{first} and {second} have nothing in common that can be compared: {'; '.join(left_out)}")
    overall = mean_difference([a for a, _ in pairs], [b for _, b in pairs])
    return Comparison(first=first, second=second, tasks=tuple(tasks), overall=overall, left_out=tuple(left_out))


def _latest(filed: list[Filed]) -> list[Record]:
    """The latest record of each evaluation; ValueError as in ``select``."""
    chosen = set(select(filed)["record_id"])
    return [record for _, record in filed if record_id(record) in chosen]


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


def _pair(
    task: str, records: Sequence[Record], models: tuple[str, str], load: Load, draws: Draws
) -> tuple[Resampled, Resampled]:
    metric = records[0].task.protocol.metrics[0]
    pair = []
    for name in models:
        found = resample([record for record in records if record.model.model == name], metric, load, draws)
        if found is None:
            raise ValueError(
                f"{task}: {metric} of {name} cannot be compared, since its predictions are not beside the records, or "
                "its seeds were scored on different samples"
            )
        pair.append(found)
    if not are_paired(*pair):
        raise ValueError(f"{task}: the two models were scored on different samples")
    return pair[0], pair[1]


def _task_comparison(task: str, metric: str, a: Resampled, b: Resampled, num_samples: int) -> TaskComparison:
    both: list[tuple[str, float, float]] = []
    if a.of_sample is not None and b.of_sample is not None:
        both = [(name, value, b.of_sample[name]) for name, value in a.of_sample.items() if value != b.of_sample[name]]
    both.sort(key=lambda entry: (-abs(entry[1] - entry[2]), entry[0]))
    return TaskComparison(
        task=task,
        metric=metric,
        first=a.value,
        second=b.value,
        difference=mean_difference([a], [b]),
        differing=tuple(both[:num_samples]),
    )


def _by_id(stored: Arrays) -> dict[str, NDArray[Any]]:
    """The arrays, those with one entry per sample sorted by id."""
    order_S = np.argsort(stored["ids"], kind="stable")
    size = len(order_S)
    return {
        name: array[order_S] if len(np.shape(array)) and len(array) == size else array for name, array in stored.items()
    }


def _samples(stored: Arrays) -> str:
    return digest([list(map(str, stored["ids"])), list(map(str, stored["groups"]))])
