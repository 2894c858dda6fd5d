"""Several items are computed at a time, by one thread each, and none is begun after an error."""

import threading
import time
from collections.abc import Iterator

import faiss
import pytest
import torch
from threadpoolctl import threadpool_info

from sigma_bench.training.distribution import Processes
from sigma_bench.training.processes import shared
from sigma_bench.training.threads import on_threads


@pytest.fixture(autouse=True)
def _two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_items_are_computed_side_by_side_by_one_thread_each_and_results_are_in_order() -> None:
    together = threading.Barrier(2, timeout=30)  # breaks if the items are computed one after another

    def work(item: int) -> tuple[int, int, int, set[int]]:
        together.wait()
        blas = {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}
        return item, torch.get_num_threads(), faiss.omp_get_max_threads(), blas

    assert list(on_threads(work, range(6))) == [(item, 1, 1, {1}) for item in range(6)]
    assert torch.get_num_threads() == 2


def test_items_that_have_not_begun_are_not_computed_after_an_error() -> None:
    begun = []

    def work(item: int) -> int:
        begun.append(item)
        if item == 0:
            raise ValueError("bad input")
        time.sleep(0.05)
        return item

    with pytest.raises(ValueError, match="bad input"):
        shared(Processes(torch.device("cpu")), range(50), work, lambda done, total: None, use_threads=True)
    assert len(begun) < 10 and torch.get_num_threads() == 2


def test_an_interruption_between_results_ends_the_work() -> None:
    begun = []

    def work(item: int) -> int:
        begun.append(item)
        time.sleep(0.05)
        return item

    def interrupted(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shared(Processes(torch.device("cpu")), range(50), work, interrupted, use_threads=True)
    assert len(begun) < 10
