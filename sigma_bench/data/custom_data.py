"""Custom data: a manifest, a dataset card and tasks for the files of a user."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from sigma_bench.data.custom_files import read_class_folders, read_csv
from sigma_bench.data.manifest import Manifest
from sigma_bench.specs import catalogue
from sigma_bench.specs.dataset import DatasetCard, Folds, SplitSpec
from sigma_bench.specs.task import ResolvedTask, Task

PROTOCOLS = ("knn@1", "linear@1")
"""Protocols that are used if neither tasks nor protocols are named."""


def open_custom(csv: Path | None = None, folders: Path | None = None) -> Manifest:
    """The manifest of a CSV or of a class-per-folder tree.

    Raises:
        ValueError: both or neither are given, or ``read_csv`` or ``read_class_folders`` raises it.
    """
    if (csv is None) == (folders is None):
        raise ValueError("give --csv or --folders, not both" if csv is not None else "give --csv or --folders")
    return read_csv(csv) if csv is not None else read_class_folders(folders or Path())


def custom_tasks(
    manifest: Manifest,
    *,
    tasks: Sequence[str] = (),
    protocols: Sequence[str] = (),
    variants: str | None = None,
    folds: str | None = None,
    overrides: dict[str, Any] | None = None,
) -> list[ResolvedTask]:
    """Resolved tasks on custom data.

    Args:
        tasks: task files, which state protocol and folds.
        protocols: names of protocols, each of which gives one task; ``PROTOCOLS`` if there are no task files either.
        variants: name or path of a file of variants, each of which is added to every task.
        folds: folds of the tasks of ``protocols``; ``official`` if absent.
        overrides: keys of the protocols that are replaced.

    Raises:
        ValueError: options exclude each other, a task file is for another dataset, or a task cannot be resolved.
    """
    if tasks and (protocols or folds):
        option = "protocol" if protocols else "folds"
        raise ValueError(f"--{option}: the file of a --task states its own {option}; leave one of the two out")
    if folds not in (None, *get_args(Folds)):
        raise ValueError(f"--folds {folds}: choose {' or '.join(get_args(Folds))}")
    unresolved = [_from_file(name, manifest.dataset) for name in tasks] or [
        custom_task(protocol, manifest.dataset, folds or "official")  # type: ignore[arg-type]
        for protocol in protocols or PROTOCOLS
    ]
    if variants is not None:
        file = catalogue.load_variants(variants)
        unresolved = [each for task in unresolved for each in catalogue.varied(task, file)]
    card = custom_card(manifest, folds or "official")  # type: ignore[arg-type]
    return [catalogue.resolve_with_card(task, card, overrides) for task in unresolved]


def custom_card(manifest: Manifest, folds: Folds = "official") -> DatasetCard:
    """The card of custom data, with the numbers of classes and samples that were found."""
    return DatasetCard(
        dataset=manifest.dataset,
        title=manifest.dataset,
        media="video",
        reader="user_files",
        classes=len(manifest.classes or ()),
        splits={name: SplitSpec(samples=split.expected) for name, split in manifest.splits.items()},
        split_note=folds.replace("_", " "),
        group="as given",
        layout=("files of the user",),
        licence="not stated",
        source="the user",
        citation="none",
    )


def custom_task(protocol: str, dataset: str, folds: Folds = "official") -> Task:
    """The task of a protocol on custom data, without overrides."""
    return Task(task=f"{dataset}/{protocol.partition('@')[0]}", dataset=dataset, protocol=protocol, folds=folds)


def _from_file(name: str, dataset: str) -> Task:
    task = catalogue.load_task(name)
    if task.dataset != dataset:
        raise ValueError(f"--task {name}: its dataset is '{task.dataset}', but your files are '{dataset}'")
    return task
