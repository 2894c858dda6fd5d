"""What of a dataset lies below a data root: its manifest from the official lists, and what these name in vain."""

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
    """One dataset below one root."""

    card: DatasetCard
    manifest: Manifest | None
    """None where the folder is absent or an official list is missing or wrong."""
    problem: str | None
    """The sentence that says so."""

    @property
    def is_complete(self) -> bool:
        """Whether as many samples are listed as the card expects, and all of them are on the disk."""
        return self.manifest is not None and all(
            len(split.samples) == split.expected and not split.missing for split in self.manifest.splits.values()
        )


def take_inventory(card: DatasetCard, root: Path) -> Inventory:
    """Read the official lists of a dataset and look for the files they name.

    Raises:
        ValueError: there is no such root.
    """
    if not root.is_dir():
        raise ValueError(f"{root}: there is no such data root")
    try:
        return Inventory(card, open_dataset(card, root), None)
    except ValueError as error:
        return Inventory(card, None, str(error))


def cards_below(root: Path) -> list[DatasetCard]:
    """Cards of all datasets whose folder is there; of a mini world those that it has.

    Several cards may share a folder, and a user who has UCF101 need not have UCFRep's labels in it: such a card counts
    where its lists can be read.

    Raises:
        ValueError: there is no such root.
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
