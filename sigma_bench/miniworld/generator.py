"""What a dataset generator of the mini world receives and returns: sizes, sample counts and file tasks."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Counts = dict[str, dict[str, int]]
"""Samples of each split, by the name of the dataset card: several cards may share one folder."""


@dataclass(frozen=True)
class FileTask:
    """One media file to draw and write in a worker process; ``write`` is a module-level function."""

    write: Callable[..., None]
    arguments: tuple[Any, ...]


def counts_of(sizes: tuple[int, int]) -> dict[str, int]:
    """Map (train, test) to the names of the splits."""
    return dict(zip(("train", "test"), sizes, strict=True))


@dataclass(frozen=True)
class WorldSize:
    """How many samples each dataset gets, (train, test) where there are two numbers.

    Adding a field for a new dataset keeps the existing folders of other datasets valid.  A field that changes what is
    drawn for an existing dataset requires a new ``GENERATOR_VERSION``.
    """

    ucf_clips_per_group: int = 4
    ssv2: tuple[int, int] = (1000, 400)
    cifar100: tuple[int, int] = (1000, 1000)
    davis2017: tuple[int, int] = (4, 8)
    ucfrep_groups: tuple[int, int] = (20, 5)
    hmdb51: tuple[int, int] = (200, 100)
    kinetics400: tuple[int, int] = (240, 120)
    imagenet1k: tuple[int, int] = (300, 200)
    finegym: tuple[int, int] = (480, 240)
    charades: tuple[int, int] = (120, 60)
    davis2016: tuple[int, int] = (3, 6)
    youtube_vos: tuple[int, int] = (4, 8)
