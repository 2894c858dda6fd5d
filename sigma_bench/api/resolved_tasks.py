"""Resolution of task names of the catalogue or of custom data to tasks with their data."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

from sigma_bench.api.arguments import mapping_of, name_of, names_of, path_of
from sigma_bench.data.custom_data import custom_tasks, open_custom
from sigma_bench.data.datasets import TaskOnData
from sigma_bench.specs import catalogue
from sigma_bench.specs.dataset import CUSTOM_READER
from sigma_bench.specs.frozen_protocol import FrozenProtocol
from sigma_bench.specs.passes import Precision
from sigma_bench.specs.protocol import parse_protocol
from sigma_bench.specs.task import ResolvedTask


def resolve_tasks(
    tasks: str | Path | Iterable[str | Path],
    *,
    suite: str | None = None,
    asks: str | None = None,
    data: str | Path | None = None,
    csv: str | Path | None = None,
    folders: str | Path | None = None,
    protocols: str | Iterable[str] = (),
    variants: str | None = None,
    folds: str | int | None = None,
    overrides: Mapping[str, Any] | None = None,
    precision: Precision | None = None,
) -> list[TaskOnData]:
    """Resolved tasks with their data; the arguments are those of ``sigma_bench.evaluate``.

    Raises:
        ValueError: no task or no data is named, options exclude each other, a name does not exist, or a precision is
            given and no task has a frozen encoder.
    """
    names, protocols = names_of("tasks", tasks), names_of("protocols", protocols)
    suite, asks, variants = (
        value if value is None else name_of(argument, value)
        for argument, value in (("suite", suite), ("asks", asks), ("variants", variants))
    )
    changes = mapping_of("overrides", overrides)
    if csv is not None or folders is not None:
        _refuse("defines its datasets; for custom data give tasks or protocols", suite=suite)
        _refuse("selects tasks of the catalogue; for custom data give tasks or protocols", asks=asks)
        _refuse("is for tasks of the catalogue; custom data are named by csv or folders", data=data)
        manifest = open_custom(
            None if csv is None else path_of("csv", csv), None if folders is None else path_of("folders", folders)
        )
        custom = custom_tasks(
            manifest, tasks=names, protocols=protocols, variants=variants, folds=folds, overrides=changes
        )
        found: list[TaskOnData] = [(task, manifest) for task in custom]
    else:
        _refuse(
            "is for custom data; a task of the catalogue is varied by name, as in ssv2/knn+reversal", variants=variants
        )
        _refuse(
            "is for custom data given by csv or folders; a declared task states this itself, in the file of its "
            "dataset",
            protocol=protocols,
            folds=folds,
        )
        found = _declared(names, suite, asks, data, changes)
    return found if precision is None else _with_precision(found, precision)


def _declared(
    names: list[str], suite: str | None, asks: str | None, data: str | Path | None, changes: dict[str, Any]
) -> list[TaskOnData]:
    """Tasks of the catalogue with the data root, which custom datasets do not need."""
    names = [*names, *(catalogue.load_suite(suite).tasks if suite else ())]
    if not names and asks is None:
        raise ValueError("no task is named: give tasks or a suite with data, or custom data as csv or folders")
    found = catalogue.selected_tasks(names, asks, changes)
    if data is None and any(task.dataset.reader != CUSTOM_READER for task in found):
        raise ValueError("data is missing: give the root folder that holds the datasets")
    root = None if data is None else path_of("data", data)
    return [(task, root) for task in found]


def _with_precision(tasks: list[TaskOnData], precision: Precision) -> list[TaskOnData]:
    """The tasks with this precision in all protocols with a frozen encoder."""
    if precision not in get_args(Precision):
        raise ValueError(f"precision '{precision}': choose {' or '.join(get_args(Precision))}")
    if not any(isinstance(task.protocol, FrozenProtocol) for task, _ in tasks):
        raise ValueError(
            f"precision {precision}: no task has a frozen encoder; a protocol that trains states optim.precision"
        )
    return [
        (_at_precision(task, precision) if isinstance(task.protocol, FrozenProtocol) else task, source)
        for task, source in tasks
    ]


def _at_precision(task: ResolvedTask, precision: Precision) -> ResolvedTask:
    keys = task.protocol.model_dump(mode="json") | {"precision": precision}
    return task.model_copy(update={"protocol": parse_protocol(keys, where=f"task '{task.task}'")})


def _refuse(reason: str, **options: object) -> None:
    """ValueError for an option that has a value, because it would have no effect here."""
    for name, value in options.items():
        if value:
            shown = " ".join(map(str, value)) if isinstance(value, list | tuple) else value
            raise ValueError(f"{name} {shown} {reason}")
