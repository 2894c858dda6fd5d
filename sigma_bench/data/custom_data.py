"""Custom data: a manifest, a dataset card and tasks for the files of a user."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sigma_bench.data.custom_csv import read_csv
from sigma_bench.data.custom_folders import read_folders
from sigma_bench.data.folds import require_divisible
from sigma_bench.data.manifest import Manifest
from sigma_bench.specs import catalogue
from sigma_bench.specs.dataset import DatasetCard, SplitSpec
from sigma_bench.specs.folds import Folds, folds_in_words, parse_folds, ways_to_divide
from sigma_bench.specs.task import ResolvedTask, Task

PROTOCOLS = ("knn@1", "linear@1")
"""Protocols that are used if neither tasks nor protocols are named."""


def open_custom(csv: Path | None = None, folders: Path | None = None) -> Manifest:
    """The manifest of custom data.

    Args:
        csv: a CSV, a list without a header, or a folder of lists; ``custom_csv.py`` describes them.
        folders: a tree of classes, or of frames and masks; ``custom_folders.py`` describes them.

    Raises:
        ValueError: both or neither are given, or ``read_csv`` or ``read_folders`` raises it.
    """
    if (csv is None) == (folders is None):
        raise ValueError("give --csv or --folders, not both" if csv is not None else "give --csv or --folders")
    return read_csv(csv) if csv is not None else read_folders(folders or Path())


def custom_tasks(
    manifest: Manifest,
    *,
    tasks: Sequence[str] = (),
    protocols: Sequence[str] = (),
    variants: str | None = None,
    folds: str | int | None = None,
    overrides: dict[str, Any] | None = None,
) -> list[ResolvedTask]:
    """Resolved tasks on custom data.

    Args:
        tasks: task files, which state protocol and folds.
        protocols: names of protocols, each of which gives one task; ``PROTOCOLS`` if there are no task files either.
        variants: name or path of a file of variants, each of which is added to every task.
        folds: folds of the tasks of ``protocols``, as ``specs/folds.py`` describes them; ``official`` if absent.
        overrides: keys of the protocols that are replaced.

    Raises:
        ValueError: options exclude each other, ``PROTOCOLS`` do not fit the data, a task file is for another dataset,
            the folds do not fit the data, or a task cannot be resolved.
    """
    if tasks and (protocols or folds is not None):
        option = "protocol" if protocols else "folds"
        raise ValueError(f"--{option}: the file of a --task states its own {option}; leave one of the two out")
    division = "official" if folds is None else parse_folds(folds)
    if not tasks and not protocols:
        _require_defaults_fit(manifest, division)
    unresolved = [_from_file(name, manifest.dataset) for name in tasks] or [
        custom_task(protocol, manifest.dataset, division) for protocol in protocols or PROTOCOLS
    ]
    if variants is not None:
        file = catalogue.load_variants(variants)
        unresolved = [each for task in unresolved for each in catalogue.varied(task, file)]
    resolved = [catalogue.resolve_with_card(task, custom_card(manifest, task.folds), overrides) for task in unresolved]
    for each in {task.folds for task in resolved}:
        require_divisible(manifest, each)
    return resolved


def _require_defaults_fit(manifest: Manifest, folds: Folds) -> None:
    """ValueError if ``PROTOCOLS`` cannot be run on the data, with what to add to the command."""
    sample = next(iter(manifest.splits.values())).samples[0]
    names = " and ".join(PROTOCOLS)
    if sample.annotation is not None:
        raise ValueError(f"{manifest.dataset}: {names} need one label per sample; add --protocol multilabel@1")
    if sample.label is None:
        raise ValueError(
            f"{manifest.dataset}: {names} need a class per sample; for masks, add --protocol segmentation@1 or "
            "--protocol propagation@1"
        )
    if folds == "official" and "train" not in manifest.splits:
        has_groups = any(one.group != one.id for split in manifest.splits.values() for one in split.samples)
        ways = ways_to_divide("whole groups" if has_groups else manifest.media_in_words)
        raise ValueError(
            f"{manifest.dataset}: the data are not divided into train and test; add {ways}, or a protocol for one "
            f"split, such as --protocol knn_loo@1{_also_missing(manifest)}"
        )


def _also_missing(manifest: Manifest) -> str:
    """The end of a sentence with the number of missing files; empty if there are none."""
    samples = [sample for split in manifest.splits.values() for sample in split.samples]
    missing = [sample.absent_path for split in manifest.splits.values() for sample in split.missing]
    if not missing:
        return ""
    return f"; besides, {len(missing)} of the {len(samples)} listed files are missing, such as {missing[0]}"


def custom_card(manifest: Manifest, folds: Folds = "official") -> DatasetCard:
    """The card of custom data, with the numbers of classes and samples that were found."""
    samples = [sample for split in manifest.splits.values() for sample in split.samples]
    all_images = all(sample.media == "image" for sample in samples)
    has_masks = any(sample.mask_folder is not None for sample in samples)
    return DatasetCard(
        dataset=manifest.dataset,
        title=manifest.dataset,
        media="masked_frames" if has_masks else "image" if all_images else "video",
        reader="user_files",
        classes=len(manifest.classes) if manifest.classes else None,
        splits={name: SplitSpec(samples=split.expected) for name, split in manifest.splits.items()},
        split_note=folds_in_words(folds),
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
