"""Decoding on several threads: decoders work outside of Python, so threads are enough, and order stays."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

READ_AHEAD = 64
"""Items that are in memory before the first of them is used."""


def in_threads(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """``map(function, items)``, some items at a time on as many threads as there are processors."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(items), READ_AHEAD):
            yield from pool.map(function, items[start : start + READ_AHEAD])
