"""Opening a dataset: the reader that its card names finds the official files and returns a manifest."""

import hashlib
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from pkgutil import iter_modules

from sigma_bench.data import readers
from sigma_bench.data.custom_datasets import open_declared
from sigma_bench.data.ledger import ledger_path
from sigma_bench.data.manifest import MINIWORLD_MARKER, LedgerPlace, Manifest
from sigma_bench.data.media import forget_folders
from sigma_bench.data.parts import Part
from sigma_bench.specs.dataset import CUSTOM_READER, DatasetCard
from sigma_bench.specs.registry import Registry
from sigma_bench.specs.task import ResolvedTask

DataPlace = Path | Manifest | None
"""A data root, an open manifest, or None for a custom dataset, whose declaration states where its data are."""
TaskOnData = tuple[ResolvedTask, DataPlace]
"""A task and its data."""
READERS = Registry(
    concept="dataset reader",
    group="sigma_bench.datasets",
    built_in={name: f"{readers.__name__}.{name}:read" for _, name, _ in iter_modules(readers.__path__)},
)
"""Functions ``read(folder, card)`` that find the official files of a dataset in its folder and return its manifest.
Those of this package are in the modules of ``data/readers``, which also declare the ``PARTS`` of their layouts."""


def parts_of(card: DatasetCard) -> tuple[Part, ...]:
    """The parts of a dataset's layout that its reader declares; empty if it declares none or is not installed."""
    if card.reader not in READERS.names():
        return ()
    read: Callable[[Path, DatasetCard], Manifest] = READERS.load(card.reader)
    parts: tuple[Part, ...] = getattr(sys.modules[read.__module__], "PARTS", ())
    return parts


def open_dataset(card: DatasetCard, root: Path | None) -> Manifest:
    """The manifest of a dataset below a data root (``<root>/<folder of the card>/...``), or of a custom dataset.

    Args:
        root: data root; it has no effect on a custom dataset, whose declaration states where its data are.

    Raises:
        ValueError: the root or the dataset's folder is missing or empty, the reader of the card is not installed, an
            official file is missing or invalid, the classes are not those of the card, or ``open_declared`` raises it;
            the message says what was expected.
    """
    if card.reader == CUSTOM_READER:
        return open_declared(card)
    if root is None:
        raise ValueError(f"data is missing: give the root folder that holds {card.title}")
    if not root.is_dir():
        raise ValueError(
            f"{root}: there is no such data root; write the mini world with 'sigma-bench data mini {root}'"
        )
    folder = root / card.home
    if not folder.is_dir() or not any(folder.iterdir()):
        raise ValueError(
            f"{folder}: {card.title} is not here; 'sigma-bench data prepare {root} {card.dataset}' prints its official "
            "layout and looks for it under other names"
        )
    read: Callable[[Path, DatasetCard], Manifest] = READERS.load(card.reader)
    try:
        manifest = read(folder, card)
    finally:
        forget_folders()
    _require_official_classes(manifest, card, folder)
    _require_number_of_classes(manifest, card, folder)
    return replace(manifest, ledger=LedgerPlace(ledger_path(root, card.home), folder))


def _require_official_classes(manifest: Manifest, card: DatasetCard, folder: Path) -> None:
    """ValueError if the class names or their order differ from the official ones; numeric names are not checked."""
    classes = manifest.classes or ()
    is_named = any(not name.isdecimal() for name in classes)
    if card.class_map_sha256 is None or manifest.data_source not in ("official", "transcoded") or not is_named:
        return
    if (folder / MINIWORLD_MARKER).is_file():
        return
    found = hashlib.sha256("\n".join(classes).encode()).hexdigest()
    if found != card.class_map_sha256:
        raise ValueError(
            f"{folder}: the class names, in the order of their labels, are not the official ones of {card.title} "
            f"({len(classes)} classes from '{classes[0]}' to '{classes[-1]}'); the lists are of another version"
        )


def _require_number_of_classes(manifest: Manifest, card: DatasetCard, folder: Path) -> None:
    """ValueError if the number of classes differs from that of the card.

    A copy with fewer samples, such as the mini world, may have fewer classes; ``data prepare`` reports its numbers of
    samples.
    """
    found, expected = len(manifest.classes or ()), card.classes or 0
    is_mini = manifest.data_source == "mini" or (folder / MINIWORLD_MARKER).is_file()
    if not (found and expected) or found == expected or is_mini:
        return
    splits = manifest.splits.values()
    if found < expected and any(split.official or len(split.samples) < split.expected for split in splits):
        return
    raise ValueError(
        f"{folder}: {card.dataset} has {found:,} classes here, but its card states {expected:,}"
        f"{_rarest(manifest) if found > expected else ''}; correct the class names in the lists, or 'classes' of the "
        "card"
    )


def _rarest(manifest: Manifest) -> str:
    """The class with the fewest samples, which is often a misspelt name."""
    labels = Counter(sample.label for split in manifest.splits.values() for sample in split.samples)
    classes = manifest.classes or ()
    label = min(range(len(classes)), key=lambda each: labels[each])
    return f" (the rarest, '{classes[label]}', has {labels[label]:,} of the samples)"
