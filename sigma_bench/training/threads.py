"""Independent small computations on several threads."""

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from threadpoolctl import threadpool_limits

Item = TypeVar("Item")
Result = TypeVar("Result")


def on_threads(work: Callable[[Item], Result], items: Sequence[Item]) -> Generator[Result, None, None]:
    """The results of ``work`` in the order of the items, computed on as many threads as PyTorch uses.

    Each item is computed by one thread.  Small matrices, for which PyTorch, BLAS and FAISS would divide every operation
    among threads of their own, are computed faster in this way.  Results differ by rounding at most.  If the caller
    stops early, items that have not begun are not computed.
    """
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1), ThreadPoolExecutor(num_threads, initializer=_compute_alone) as pool:
            futures = [pool.submit(work, item) for item in items]
            try:
                for future in futures:
                    yield future.result()
            finally:
                pool.shutdown(cancel_futures=True)
    finally:
        torch.set_num_threads(num_threads)


def _compute_alone() -> None:
    """Make BLAS and OpenMP use one thread in the calling thread."""
    threadpool_limits(1)
