"""Tasks over a user's own files, which are in no catalogue: a card made from what is there."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sigma_bench.specs import catalogue
from sigma_bench.specs.dataset import DatasetCard, SplitSpec
from sigma_bench.specs.task import ResolvedTask, Task

if TYPE_CHECKING:
    from sigma_bench.data.manifest import Manifest

PROTOCOLS = ("knn@1", "linear@1")
"""What own files are asked where neither tasks nor protocols are named."""


def own_jobs(
    csv: Path | None,
    folders: Path | None,
    *,
    tasks: list[str],
    protocols: list[str],
    variants: str | None,
    folds: str | None,
    overrides: dict[str, Any],
) -> "list[tuple[ResolvedTask, Path | Manifest]]":
    """Resolved tasks with the open manifest of a CSV or a class-per-folder tree.

    Args:
        tasks: task files, which say their protocol and folds themselves.
        protocols: of tasks made here, one each; ``PROTOCOLS`` where there is neither.
        variants: each task also under these.

    Raises:
        ValueError: options that exclude each other, or as the readers and the catalogue do.
    """
    from sigma_bench.data.readers.user_files import read_class_folders, read_csv

    if csv is not None and folders is not None:
        raise ValueError("give --csv or --folders, not both")
    if tasks and (protocols or folds):
        raise ValueError(f"--{'protocol' if protocols else 'folds'}: the file of a --task says its own; leave one out")
    if folds not in (None, "official", "leave_one_group_out"):
        raise ValueError(f"--folds {folds}: choose official or leave_one_group_out")
    manifest = read_csv(csv) if csv is not None else read_class_folders(folders or Path())
    folds = folds or "official"
    made = [_task_from_file(name, manifest.dataset) for name in tasks] or [
        _task(name, manifest.dataset, folds) for name in protocols or PROTOCOLS
    ]
    if variants is not None:
        made = [each for task in made for each in catalogue.varied(task, catalogue.load_variants(variants))]
    card = _card(manifest, folds)
    return [(catalogue.resolve_with_card(task, card, overrides), manifest) for task in made]


def _card(manifest: "Manifest", folds: str) -> DatasetCard:
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


def _task(protocol: str, dataset: str, folds: str) -> Task:
    return Task(
        task=f"{dataset}/{protocol.split('@')[0]}",
        dataset=dataset,
        protocol=protocol,
        asks="unspecified",
        folds=folds,  # type: ignore[arg-type]
        overrides={},
        note="files of the user",
    )


def _task_from_file(name: str, dataset: str) -> Task:
    task = catalogue.load_task(name)
    if task.dataset != dataset:
        raise ValueError(f"--task {name}: its dataset is '{task.dataset}', but your files are '{dataset}'")
    return task
