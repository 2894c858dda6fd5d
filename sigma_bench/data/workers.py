"""Number of processes that decode ahead of the computation."""

import os
from typing import Literal

NumWorkers = int | Literal["auto"]
MIN_BATCHES_FOR_WORKERS = 4
"""Least number of batches for which ``auto`` starts workers."""


def available_cores() -> int:
    """Number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def resolved_workers(num_workers: NumWorkers, num_batches: int) -> int:
    """Number of decoding processes of this process.

    ``auto`` is the number of processor cores minus one, divided among the processes of torchrun on this machine, and at
    least 1.  For a few batches only it is 0, because they are decoded before a worker has started.
    """
    if num_workers != "auto":
        return num_workers
    if num_batches < MIN_BATCHES_FOR_WORKERS:
        return 0
    return max(1, (available_cores() - 1) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
