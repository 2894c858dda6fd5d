"""The tasks that a caller names, resolved and with their data: tasks of the catalogue or of custom data."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sigma_bench.data.catalogue import TaskOnData
from sigma_bench.data.custom import custom_tasks, open_custom
from sigma_bench.specs import catalogue


def resolve_tasks(
    tasks: Sequence[str],
    *,
    suite: str | None = None,
    data: str | Path | None = None,
    csv: str | Path | None = None,
    folders: str | Path | None = None,
    protocols: Sequence[str] = (),
    variants: str | None = None,
    folds: str | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> list[TaskOnData]:
    """Resolved tasks with their data; the arguments are those of ``sigma_bench.evaluate``.

    Raises:
        ValueError: no task or no data is named, options exclude each other, or a name does not exist.
    """
    changes = dict(overrides or {})
    if csv is not None or folders is not None:
        _refuse("has datasets of its own; for custom data give tasks or protocols", suite=suite)
        _refuse("is for tasks of the catalogue; custom data are named by csv or folders", data=data)
        manifest = open_custom(_path(csv), _path(folders))
        custom = custom_tasks(
            manifest, tasks=tasks, protocols=protocols, variants=variants, folds=folds, overrides=changes
        )
        return [(task, manifest) for task in custom]
    _refuse("is for custom data; a task of the catalogue is varied by name, as in ssv2/knn+reversal", variants=variants)
    _refuse("is for custom data; a task of the catalogue states its own", protocol=protocols, folds=folds)
    names = [*tasks, *(catalogue.load_suite(suite).tasks if suite else ())]
    if not names:
        raise ValueError("no task is named: give tasks or a suite with data, or custom data as csv or folders")
    if data is None:
        raise ValueError("data is missing: give the root folder that holds the datasets")
    return [(catalogue.resolve(catalogue.load_task(name), changes), Path(data)) for name in names]


def _path(value: str | Path | None) -> Path | None:
    return None if value is None else Path(value)


def _refuse(reason: str, **options: object) -> None:
    """ValueError for an option that has a value, because it would have no effect here."""
    for name, value in options.items():
        if value:
            shown = " ".join(map(str, value)) if isinstance(value, list | tuple) else value
            raise ValueError(f"{name} {shown} {reason}")
