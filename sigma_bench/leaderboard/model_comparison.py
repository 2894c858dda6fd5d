"""Comparison of two models, per task and over all common tasks, by the paired bootstrap."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from sigma_bench.leaderboard.comparison import ModelComparison, TaskComparison
from sigma_bench.leaderboard.counterparts import Conditions, condition_names, conditions_of, matched
from sigma_bench.leaderboard.paired_bootstrap import (
    Draws,
    Load,
    Resampled,
    mean_difference,
    resample,
    score_samples,
)
from sigma_bench.leaderboard.select import partial_line, select
from sigma_bench.leaderboard.settings import (
    Filed,
    chosen,
    differences,
    model_settings,
    named_model,
    narrowed,
    row_labels,
    shown,
)


def compare(
    records: Iterable[Filed],
    first: str,
    second: str,
    load: Load,
    *,
    where: Mapping[str, Any] | None = None,
    num_samples: int = 10,
) -> ModelComparison:
    """Compare two models by name, on every evaluation that both have: same task, protocol, data and evaluation seed.

    Args:
        records: any records; those of the two models are used, and several seeds of an evaluation are pooled.
        first, second: names of models, with settings as in a table if they have several: ``mine (image_size=112)``.
        load: returns the predictions of a record.
        where: settings that choose among the records of a model with several values of them, such as
            ``{"image_size": 112}``.
        num_samples: number of samples to list per task.

    Raises:
        ValueError: a model has no records or several encoders, or no evaluation can be compared; the message gives the
            settings that differ, or the reason for each evaluation.
    """
    first, second, of_models = _of_models(list(records), first, second, where or {})
    measured: dict[Conditions, dict[str, list[Filed]]] = {}
    for name, of_model in of_models.items():
        for path, record in of_model:
            if not record.is_partial:
                measured.setdefault(conditions_of(record), {}).setdefault(name, []).append((path, record))
    common, left_out = matched(measured, first, second)
    left_out += partial_line([pair for of_model in of_models.values() for pair in of_model], "the comparison")
    for place, name in enumerate((first, second)):
        _require_one_encoder(name, [pair for sides in common.values() for pair in sides[place]])
    draws, names = Draws(), condition_names(common)
    tasks: list[TaskComparison] = []
    pairs: list[tuple[Resampled, Resampled]] = []
    for conditions, sides in common.items():
        try:
            a, b = _pair(conditions.task, dict(zip((first, second), sides, strict=True)), load, draws)
        except ValueError as error:
            left_out.append(str(error))
            continue
        pairs.append((a, b))
        metric = sides[0][0][1].task.protocol.metrics[0]
        tasks.append(_task_comparison(names[conditions], metric, a, b, num_samples))
    if not pairs:
        raise ValueError(f"{first} and {second} have nothing in common that can be compared: {'; '.join(left_out)}")
    overall = mean_difference([a for a, _ in pairs], [b for _, b in pairs])
    return ModelComparison(first=first, second=second, tasks=tuple(tasks), overall=overall, left_out=tuple(left_out))


def _of_models(
    filed: Sequence[Filed], first: str, second: str, where: Mapping[str, Any]
) -> tuple[str, str, dict[str, list[Filed]]]:
    """The labels of two models and the records of each; ValueError if no record of them has a setting of ``where``."""
    first, ours = _records_of(first, filed, where)
    second, theirs = _records_of(second, filed, where)
    for name, given in where.items():
        chosen([*ours, *theirs], {name: given}, " of the two models")
    return first, second, {first: ours, second: theirs}


def _records_of(name: str, filed: Sequence[Filed], where: Mapping[str, Any]) -> tuple[str, list[Filed]]:
    """The label and the records of a model with its settings and those of ``where`` that choose among its records."""
    model, settings = named_model(name, [record.model.model for _, record in filed])
    whose = f" of the model '{model}'"
    own = chosen([(path, record) for path, record in filed if record.model.model == model], settings, whose)
    own, used = narrowed(own, where, whose)
    return f"{model} ({shown(settings | used)})" if used else name, own


def _require_one_encoder(name: str, filed: Sequence[Filed]) -> None:
    """ValueError for a model whose name stands for several encoders; names the settings that differ."""
    labels = row_labels(filed)
    if not labels:
        return
    path, record = filed[0]
    model, settings = record.model.model, named_model(name, [record.model.model])[1]
    told = named_model(labels[path], [model])[1]
    options = " ".join(f"--where {key}={value}" for key, value in told.items())
    cards = dict.fromkeys(record.model for _, record in filed)
    raise ValueError(
        f"{name} stands for several encoders, which differ in {differences([*map(model_settings, cards)])}; "
        f"choose with {options}, or name one as a table does: '{model} ({shown(settings | told)})'"
    )


def _pair(task: str, sides: Mapping[str, Sequence[Filed]], load: Load, draws: Draws) -> tuple[Resampled, Resampled]:
    """Both models on one task; ``sides`` holds the records of each, and one side if a model is compared with itself."""
    pair = []
    for name, filed in sides.items():
        latest = set(select(filed)["record_id"])
        records = [record for _, record in filed if record.id in latest]
        metric = records[0].task.protocol.metrics[0]
        found = score_samples(records, metric, load, draws)
        if found is None:
            raise ValueError(
                f"{task}: {metric} of {name} cannot be compared, since its predictions are not beside the records, or "
                "its seeds were scored on different samples"
            )
        pair.append(found)
    if pair[0].samples != pair[-1].samples:
        raise ValueError(f"{task}: the two models were scored on different samples")
    first, second = resample([pair[0], pair[-1]])
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
        num_differing=len(both),
        order=_order([abs(value - other) for _, value, other in both], num_samples),
    )


def _order(sizes: Sequence[float], num_samples: int) -> str:
    """The order of the listed samples in words, from the sorted differences of all samples."""
    if len(set(sizes)) == 1:
        return "in alphabetical order"
    has_ties = any(one == following for one, following in pairwise(sizes[: num_samples + 1]))
    return "largest differences first" + (", equal ones in alphabetical order" if has_ties else "")
