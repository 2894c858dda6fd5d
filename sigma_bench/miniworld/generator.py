"""Types of the dataset generators of the mini world.

A generator is a module of ``datasets/`` with a tuple ``SIZE``, its default size, and a function
``build(root, seed, size)`` that writes the lists of the dataset and returns the number of samples and the file tasks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Counts = dict[str, dict[str, int]]
"""Number of samples by dataset card and split; several cards may share one folder."""
Size = tuple[int, ...]
"""Size of a dataset; most datasets have a number of training and a number of test samples."""


@dataclass(frozen=True)
class FileTask:
    """A media file that a worker process draws and writes: the call of ``write``, a function of a module."""

    write: Callable[..., None]
    arguments: tuple[Any, ...]


def counts_of(size: Size) -> dict[str, int]:
    """The numbers of training and test samples by the names of the splits."""
    return dict(zip(("train", "test"), size, strict=True))
