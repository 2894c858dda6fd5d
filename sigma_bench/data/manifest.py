"""Manifests: what was found on this disk, sample by sample, and its digest."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

from sigma_bench.data.annotations import Annotation
from sigma_bench.data.decoder import DecoderName
from sigma_bench.specs.dataset import DatasetCard, SplitName
from sigma_bench.specs.fingerprint import digest

World = Literal["official", "mini", "user", "transcoded"]
Media = Literal["video", "image", "pickled_image", "frame_folder"]
MINIWORLD_MARKER = "miniworld.json"
TRANSCODED_MARKER = "transcoded.json"


@dataclass(frozen=True)
class Sample:
    """One thing to score: a video, an image, or a folder of frames with masks."""

    id: str
    path: Path
    media: Media
    label: int | None
    group: str
    """Source video, person or sequence: what is resampled together and never split between bank and query."""
    position: int = 0
    """Index inside a file that holds many samples."""
    mask_folder: Path | None = None
    mask_kind: Literal["ids", "binary"] = "ids"
    """``ids``: 0 background, 255 void, else the object; ``binary``: anything but 0 is the one object."""
    annotation: Annotation | None = None
    content: str | None = None
    """Digest of the file, or of the frames and masks; known once the sample is identified, None for a missing file."""
    decoder: DecoderName | None = None
    """The decoder that reads a video exactly; known once the sample is identified."""


class Medium(NamedTuple):
    """What is read at once: a file, or a folder of frames with its masks; many samples may lie in one."""

    path: Path
    media: Media
    mask_folder: Path | None


def medium_of(sample: Sample) -> Medium:
    """The medium that a sample lies in."""
    return Medium(sample.path, sample.media, sample.mask_folder)


@dataclass(frozen=True, eq=False)
class Split:
    """The samples of one split, in the order of the official list."""

    name: str
    samples: tuple[Sample, ...]
    expected: int
    is_identified: bool = False
    """Whether the samples hold the digests of their content, see ``data/identity.py``."""

    @property
    def ids(self) -> tuple[str, ...]:
        """Sample ids in order."""
        return tuple(sample.id for sample in self.samples)

    @cached_property
    def missing(self) -> tuple[Sample, ...]:
        """Samples that the official list names and the disk does not have."""
        return tuple(sample for sample in self.samples if not sample.path.exists())

    def require_present(self) -> None:
        """Raise ValueError when files are missing, naming the first and counting the rest."""
        if self.missing:
            raise ValueError(
                f"{self.missing[0].path}: not found; {len(self.missing)} of the {len(self.samples)} files that the "
                f"{self.name} list names are missing"
            )

    @cached_property
    def sha256(self) -> str:
        """Digest of ids, labels, groups, contents and decoders; where the files lie does not count."""
        assert self.is_identified, f"the samples of split {self.name} have not been identified"
        return digest([self.name, [_row(sample) for sample in self.samples]])


class LedgerPlace(NamedTuple):
    """Where the ledger of a dataset is kept."""

    file: Path
    folder: Path
    """The paths in the ledger are relative to this folder."""


@dataclass(frozen=True)
class Manifest:
    """All splits of one dataset as found."""

    dataset: str
    world: World
    classes: tuple[str, ...] | None
    splits: Mapping[SplitName, Split]
    ledger: LedgerPlace | None = None
    """None for a manifest that belongs to no folder; nothing is remembered of its files."""


def make_split(name: str, samples: list[Sample], expected: int, where: Path) -> Split:
    """Check a list of samples and freeze it.

    Raises:
        ValueError: nothing listed, or an id twice.  Files that are not on the disk are ``Split.missing``: what is
            listed does not depend on what has been downloaded.
    """
    if not samples:
        raise ValueError(f"{where}: the {name} split lists no samples")
    ids = [sample.id for sample in samples]
    if len(set(ids)) < len(ids):
        twice = next(i for i, count in Counter(ids).items() if count > 1)
        raise ValueError(f"{where}: the {name} split lists '{twice}' twice")
    return Split(name, tuple(samples), expected)


def expected_counts(folder: Path, card: DatasetCard) -> tuple[World, dict[SplitName, int]]:
    """Whose data lies in a folder, and how many samples each split of the card has there.

    The mini world's generator writes its own counts in a marker beside each dataset; anything else is measured
    against the card.  Videos that we have transcoded are neither's any more.
    """
    marker = folder / MINIWORLD_MARKER
    is_transcoded = (folder / TRANSCODED_MARKER).is_file()
    if marker.is_file():
        counts = json.loads(marker.read_text())["samples"]
        if card.dataset not in counts:
            raise ValueError(f"{folder}: the mini world has {', '.join(counts)} here, not {card.dataset}")
        return "transcoded" if is_transcoded else "mini", counts[card.dataset]
    return "transcoded" if is_transcoded else "official", {name: s.samples for name, s in card.splits.items()}


def _row(sample: Sample) -> list[Any]:
    row: list[Any] = [sample.id, sample.label, sample.group, sample.position]
    row += [sample.media, sample.mask_kind, sample.content, sample.decoder]
    return [*row, asdict(sample.annotation)] if sample.annotation else row
