"""Inventory of a dataset below a data root: its manifest from the official lists, and the files that are missing."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sigma_bench.data.datasets import open_dataset
from sigma_bench.data.manifest import Manifest, Sample
from sigma_bench.specs.catalogue import dataset_names, load_dataset
from sigma_bench.specs.dataset import DatasetCard


@dataclass(frozen=True)
class Inventory:
    """The inventory of one dataset."""

    card: DatasetCard
    manifest: Manifest | None
    """Manifest of the dataset; None if its folder is missing, or an official list is missing or invalid."""
    problem: str | None
    """Error message if there is no manifest."""

    @property
    def is_complete(self) -> bool:
        """Whether the lists have the expected number of samples, and all their files exist."""
        return self.manifest is not None and all(
            len(split.samples) == split.expected and not split.missing for split in self.manifest.splits.values()
        )


def take_inventory(card: DatasetCard, root: Path) -> Inventory:
    """Read the official lists of a dataset and look for the files that they name.

    Raises:
        ValueError: the root does not exist.
    """
    if not root.is_dir():
        raise ValueError(f"{root}: there is no such data root")
    try:
        return Inventory(card, open_dataset(card, root), None)
    except ValueError as error:
        return Inventory(card, None, str(error))


def cards_below(root: Path) -> list[DatasetCard]:
    """Cards of all datasets below a data root.

    A card with a folder of its own is included if the folder exists.  A card that shares a folder with others is
    included if its lists can be read: a copy of UCF101, for example, need not contain the labels of UCFRep.

    Raises:
        ValueError: the root does not exist.
    """
    inventories = (take_inventory(load_dataset(name), root) for name in dataset_names())
    return [
        found.card
        for found in inventories
        if found.manifest is not None or (found.card.folder is None and (root / found.card.home).is_dir())
    ]


def manifest_rows(manifest: Manifest, root: Path) -> Iterator[dict[str, Any]]:
    """One row per listed sample, in the order of the official lists; paths are relative to the root."""
    for split in manifest.splits.values():
        missing = set(split.missing)
        for sample in split.samples:
            yield {"split": split.name, **_row(sample, root), "found": sample not in missing}


def _row(sample: Sample, root: Path) -> dict[str, Any]:
    path = sample.path.relative_to(root) if sample.path.is_relative_to(root) else sample.path
    return {
        "id": sample.id,
        "path": path.as_posix(),
        "position": sample.position,
        "label": sample.label,
        "group": sample.group,
    }
