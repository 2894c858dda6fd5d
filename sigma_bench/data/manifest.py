"""Manifests: what was found on this disk, sample by sample, and its digest."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from sigma_bench.specs.dataset import SplitName
from sigma_bench.specs.fingerprint import digest

World = Literal["official", "mini", "user"]
Media = Literal["video", "image", "pickled_image", "frame_folder"]
MINIWORLD_MARKER = "miniworld.json"


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


@dataclass(frozen=True, eq=False)
class Split:
    """The samples of one split, in the order of the official list."""

    name: str
    samples: tuple[Sample, ...]
    expected: int

    @property
    def ids(self) -> tuple[str, ...]:
        """Sample ids in order."""
        return tuple(sample.id for sample in self.samples)

    @cached_property
    def sha256(self) -> str:
        """Digest of ids, labels, groups and file sizes; where the files lie does not count."""
        rows = [[s.id, s.label, s.group, s.position, _size(s.path), _size(s.mask_folder)] for s in self.samples]
        return digest([self.name, rows])


@dataclass(frozen=True)
class Manifest:
    """All splits of one dataset as found."""

    dataset: str
    world: World
    classes: tuple[str, ...] | None
    splits: Mapping[SplitName, Split]


def make_split(name: str, samples: list[Sample], expected: int, where: Path) -> Split:
    """Check a list of samples and freeze it.

    Raises:
        ValueError: nothing listed, an id twice, or listed files that are not on the disk (named).
    """
    if not samples:
        raise ValueError(f"{where}: the {name} split lists no samples")
    ids = [sample.id for sample in samples]
    if len(set(ids)) < len(ids):
        twice = next(i for i in ids if ids.count(i) > 1)
        raise ValueError(f"{where}: the {name} split lists '{twice}' twice")
    missing = [sample for sample in samples if not sample.path.exists()]
    if missing:
        raise ValueError(
            f"{missing[0].path}: not found; {len(missing)} of {len(samples)} files that {where} lists "
            f"for {name} are missing"
        )
    return Split(name, tuple(samples), expected)


def miniworld_counts(folder: Path) -> dict[str, int] | None:
    """Split sizes written by the mini world's generator beside a dataset; None for anything else."""
    marker = folder / MINIWORLD_MARKER
    return dict(json.loads(marker.read_text())["samples"]) if marker.is_file() else None


def _size(path: Path | None) -> int | None:
    if path is None:
        return None
    if path.is_dir():
        return sum(child.stat().st_size for child in path.iterdir())
    return path.stat().st_size
