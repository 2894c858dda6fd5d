"""Comparison of two models, per task and over all common tasks, by the paired bootstrap."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from sigma_bench.leaderboard.counterparts import Conditions, Filed, condition_name, conditions_of, matched
from sigma_bench.leaderboard.html_table import frame_html
from sigma_bench.leaderboard.paired_bootstrap import (
    Difference,
    Draws,
    Load,
    Resampled,
    mean_difference,
    resample,
    score_samples,
)
from sigma_bench.leaderboard.select import partial_line, require_one_checkpoint, select
from sigma_bench.records.record import Record
from sigma_bench.specs.strict import suggestion


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
class ModelComparison:
    """Two models on all tasks on which both were measured under the same conditions."""

    first: str
    second: str
    tasks: tuple[TaskComparison, ...]
    overall: Difference
    """Difference of the means over the tasks."""
    left_out: tuple[str, ...]
    """A line with the reason for each evaluation that is not compared."""

    def frame(self) -> pd.DataFrame:
        """One row per task, and the mean over the tasks as the last one.

        Columns: ``task``, ``metric``, the scores of the ``first`` and the ``second`` model; their ``difference`` as a
        fraction, positive if the first is better, with the ends ``low`` and ``high`` of its interval; ``num_units``
        (test units that are resampled); ``better``, the name of the better model or ``neither``.
        """
        rows: list[tuple[object, ...]] = [
            (task.task, task.metric, task.first, task.second, *self._words(task.difference)) for task in self.tasks
        ]
        rows.append(("mean over tasks", "", None, None, *self._words(self.overall)))
        columns = ["task", "metric", "first", "second", "difference", "low", "high", "num_units", "better"]
        return pd.DataFrame(rows, columns=columns).astype({"first": float, "second": float})

    def better(self, difference: Difference) -> str:
        """The name of the better model; ``neither`` if the interval of the difference holds 0."""
        if difference.is_tie:
            return "neither"
        return self.first if difference.value > 0 else self.second

    def _words(self, difference: Difference) -> tuple[float, float, float, int, str]:
        return difference.value, difference.low, difference.high, difference.num_units, self.better(difference)

    def _repr_html_(self) -> str:
        notes = f"; {len(self.left_out)} evaluations are not compared" if self.left_out else ""
        return frame_html(self.frame(), f"{self.first} (first) and {self.second} (second){notes}")


def compare(
    records: Iterable[tuple[Path, Record]], first: str, second: str, load: Load, *, num_samples: int = 10
) -> ModelComparison:
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
        if record.model.model in (first, second) and not record.is_partial:
            of_model = measured.setdefault(conditions_of(record), {})
            of_model.setdefault(record.model.model, []).append((path, record))
    for name in (first, second):
        if name not in names:
            raise ValueError(f"there is no record of a model '{name}' here.{suggestion(name, names)}")
    common, left_out = matched(measured, first, second)
    of_both = [(path, record) for path, record in filed if record.model.model in (first, second)]
    left_out += partial_line(of_both, "the comparison")
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
    return ModelComparison(first=first, second=second, tasks=tuple(tasks), overall=overall, left_out=tuple(left_out))


def _latest(filed: list[Filed]) -> list[Record]:
    """The latest record of each evaluation; ValueError as in ``select``."""
    chosen = set(select(filed)["record_id"])
    return [record for _, record in filed if record.id in chosen]


def _pair(
    task: str, records: Sequence[Record], models: tuple[str, str], load: Load, draws: Draws
) -> tuple[Resampled, Resampled]:
    metric = records[0].task.protocol.metrics[0]
    pair = []
    for name in models:
        found = score_samples([record for record in records if record.model.model == name], metric, load, draws)
        if found is None:
            raise ValueError(
                f"{task}: {metric} of {name} cannot be compared, since its predictions are not beside the records, or "
                "its seeds were scored on different samples"
            )
        pair.append(found)
    if pair[0].samples != pair[1].samples:
        raise ValueError(f"{task}: the two models were scored on different samples")
    first, second = resample(pair)
    return first, second


def _task_comparison(task: str, metric: str, a: Resampled, b: Resampled, num_samples: int) -> TaskComparison:
    both: list[tuple[str, float, float]] = []
    of_first, of_second = a.of_sample, b.of_sample
    if of_first is not None and of_second is not None:
        both = [(name, value, of_second[name]) for name, value in of_first.items() if value != of_second[name]]
    both.sort(key=lambda entry: (-abs(entry[1] - entry[2]), entry[0]))
    return TaskComparison(
        task=task,
        metric=metric,
        first=a.value,
        second=b.value,
        difference=mean_difference([a], [b]),
        differing=tuple(both[:num_samples]),
    )
