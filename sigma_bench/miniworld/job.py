"""What a dataset of the mini world hands to the world's writer: its counts, and one job per file."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Counts = dict[str, dict[str, int]]
"""Samples of each split, by the name of the dataset card: several cards may share one folder."""


@dataclass(frozen=True)
class Job:
    """One file to draw and write in a worker process; ``write`` is a function of a module."""

    write: Callable[..., None]
    arguments: tuple[Any, ...]


def counts_of(sizes: tuple[int, int]) -> dict[str, int]:
    """(train, test) with the names of the splits."""
    return dict(zip(("train", "test"), sizes, strict=True))
