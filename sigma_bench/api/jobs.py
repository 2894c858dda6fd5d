"""What is to be evaluated: tasks of the catalogue or of custom data, resolved, with their data."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sigma_bench.api.arguments import mapping_of, name_of, names_of, path_of
from sigma_bench.data.custom import custom_tasks, open_custom
from sigma_bench.data.manifest import Manifest
from sigma_bench.specs import catalogue
from sigma_bench.specs.task import ResolvedTask

RUNS = Path("results/runs")
"""Where runs, records and what is made of them lie, unless the user says otherwise."""
Jobs = Sequence[tuple[ResolvedTask, Path | Manifest]]
"""Tasks, each with its data root or open manifest."""


def jobs_of(
    tasks: str | Path | Iterable[str | Path],
    *,
    suite: str | None = None,
    data: str | Path | None = None,
    csv: str | Path | None = None,
    folders: str | Path | None = None,
    protocols: str | Iterable[str] = (),
    variants: str | None = None,
    folds: str | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Jobs:
    """Resolved tasks with their data; the arguments are those of ``evaluate``.

    Raises:
        ValueError: no task or no data is named, options exclude each other, or a name does not exist.
    """
    tasks, protocols = names_of("tasks", tasks), names_of("protocols", protocols)
    suite, variants, folds = (
        value if value is None else name_of(argument, value)
        for argument, value in (("suite", suite), ("variants", variants), ("folds", folds))
    )
    changed = mapping_of("overrides", overrides)
    if csv is not None or folders is not None:
        _refuse("has datasets of its own; for custom data give tasks or protocols", suite=suite)
        _refuse("is for tasks of the catalogue; custom data are named by csv or folders", data=data)
        manifest = open_custom(
            None if csv is None else path_of("csv", csv), None if folders is None else path_of("folders", folders)
        )
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
    root = path_of("data", data)
    return [(catalogue.resolve(catalogue.load_task(name), changed), root) for name in names]


def _refuse(why: str, **options: object) -> None:
    """ValueError for an option that would be ignored."""
    for name, given in options.items():
        if given:
            value = " ".join(map(str, given)) if isinstance(given, list | tuple) else given
            raise ValueError(f"{name} {value} {why}")
