"""Inventory of a dataset below a data root: its manifest from the official lists, and the files that are missing."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sigma_bench.data.custom_data import custom_card, open_custom
from sigma_bench.data.datasets import open_dataset
from sigma_bench.data.manifest import Manifest, Sample
from sigma_bench.specs.catalogue import dataset_names, load_dataset
from sigma_bench.specs.dataset import CUSTOM_READER, DatasetCard


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


def take_inventory(card: DatasetCard, root: Path | None) -> Inventory:
    """Read the official lists of a dataset, or the files of a custom one, and look for the files that they name.

    Raises:
        ValueError: the root does not exist.
    """
    if root is not None and not root.is_dir():
        raise ValueError(f"{root}: there is no such data root")
    try:
        return Inventory(card, open_dataset(card, root), None)
    except ValueError as error:
        return Inventory(card, None, str(error))


def custom_inventory(csv: Path | None, folders: Path | None) -> Inventory:
    """The inventory of custom data; raises as ``open_custom``."""
    manifest = open_custom(csv, folders)
    return Inventory(custom_card(manifest), manifest, None)


def cards_below(root: Path) -> list[DatasetCard]:
    """Cards of all datasets below a data root.

    A card with a folder of its own is included if the folder exists.  A card that shares a folder with others is
    included if its lists can be read: a copy of UCF101, for example, need not contain the labels of UCFRep.  Custom
    datasets are not included, because their declarations state where their data are.

    Raises:
        ValueError: the root does not exist.
    """
    cards = map(load_dataset, dataset_names())
    inventories = (take_inventory(card, root) for card in cards if card.reader != CUSTOM_READER)
    return [
        found.card
        for found in inventories
        if found.manifest is not None or (found.card.folder is None and (root / found.card.home).is_dir())
    ]


def manifest_rows(manifest: Manifest, root: Path) -> Iterator[dict[str, Any]]:
    """One row per listed sample, in the order of the lists; paths below the root are relative to it."""
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
