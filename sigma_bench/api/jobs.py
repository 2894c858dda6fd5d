"""What is to be evaluated: tasks of the catalogue or of custom data, resolved, with their data."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sigma_bench.data.custom import custom_tasks, open_custom
from sigma_bench.data.manifest import Manifest
from sigma_bench.specs import catalogue
from sigma_bench.specs.task import ResolvedTask

RUNS = Path("results/runs")
"""Where runs, records and what is made of them lie, unless the user says otherwise."""
Jobs = Sequence[tuple[ResolvedTask, Path | Manifest]]
"""Tasks, each with its data root or open manifest."""


def jobs_of(
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
) -> Jobs:
    """Resolved tasks with their data; the arguments are those of ``evaluate``.

    Raises:
        ValueError: no task or no data is named, options exclude each other, or a name does not exist.
    """
    changed = dict(overrides or {})
    if csv is not None or folders is not None:
        _refuse("has datasets of its own; for custom data give tasks or protocols", suite=suite)
        _refuse("is for tasks of the catalogue; custom data are named by csv or folders", data=data)
        manifest = open_custom(_path(csv), _path(folders))
        custom = custom_tasks(
            manifest, tasks=tasks, protocols=protocols, variants=variants, folds=folds, overrides=changed
        )
        return [(task, manifest) for task in custom]
    _refuse("is for custom data; a task of the catalogue is varied by name, as in ssv2/knn+reversal", variants=variants)
    _refuse("is for custom data; a task of the catalogue states its own", protocol=protocols, folds=folds)
    names = [*tasks, *(catalogue.load_suite(suite).tasks if suite else ())]
    if not names:
        raise ValueError("no task is named: give tasks or a suite with data, or custom data as csv or folders")
    if data is None:
        raise ValueError("data is missing: give the root folder that holds the datasets")
    return [(catalogue.resolve(catalogue.load_task(name), changed), Path(data)) for name in names]


def _path(value: str | Path | None) -> Path | None:
    return None if value is None else Path(value)


def _refuse(why: str, **options: object) -> None:
    """ValueError for an option that would be ignored."""
    for name, given in options.items():
        if given:
            value = " ".join(map(str, given)) if isinstance(given, list | tuple) else given
            raise ValueError(f"{name} {value} {why}")
