"""Custom data: tasks over the files of a user, whose card is made from what is there."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from sigma_bench.data.custom_files import read_class_folders, read_csv
from sigma_bench.data.manifest import Manifest
from sigma_bench.specs import catalogue
from sigma_bench.specs.dataset import DatasetCard, Folds, SplitSpec
from sigma_bench.specs.task import ResolvedTask, Task

PROTOCOLS = ("knn@1", "linear@1")
"""Protocols of custom data where neither tasks nor protocols are named."""


def open_custom(csv: Path | None = None, folders: Path | None = None) -> Manifest:
    """The manifest of a CSV or of a class-per-folder tree.

    Raises:
        ValueError: both or neither are given, or as the readers do.
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
    """Resolved tasks over custom data.

    Args:
        tasks: task files, which state their protocol and folds themselves.
        protocols: of tasks made here, one each; ``PROTOCOLS`` where there are no tasks either.
        variants: name or path of a file of variants; each task is also done under every one of them.
        folds: of tasks made here; ``official`` where absent.
        overrides: keys of the protocols that are replaced.

    Raises:
        ValueError: options that exclude each other, a task file of another dataset, or as ``resolve`` does.
    """
    if tasks and (protocols or folds):
        raise ValueError(f"--{'protocol' if protocols else 'folds'}: the file of a --task says its own; leave one out")
    if folds not in (None, *get_args(Folds)):
        raise ValueError(f"--folds {folds}: choose {' or '.join(get_args(Folds))}")
    made = [_from_file(name, manifest.dataset) for name in tasks] or [
        custom_task(protocol, manifest.dataset, folds or "official")  # type: ignore[arg-type]
        for protocol in protocols or PROTOCOLS
    ]
    if variants is not None:
        made = [each for task in made for each in catalogue.varied(task, catalogue.load_variants(variants))]
    card = custom_card(manifest, folds or "official")  # type: ignore[arg-type]
    return [catalogue.resolve_with_card(task, card, overrides) for task in made]


def custom_card(manifest: Manifest, folds: Folds = "official") -> DatasetCard:
    """The card of custom data: numbers of classes and samples as found, everything else not stated."""
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
    """A protocol on custom data, without overrides."""
    return Task(task=f"{dataset}/{protocol.partition('@')[0]}", dataset=dataset, protocol=protocol, folds=folds)


def _from_file(name: str, dataset: str) -> Task:
    task = catalogue.load_task(name)
    if task.dataset != dataset:
        raise ValueError(f"--task {name}: its dataset is '{task.dataset}', but your files are '{dataset}'")
    return task
