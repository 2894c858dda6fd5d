"""Two processes of one run, simulated by two threads that exchange values at a barrier."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Barrier
from typing import Any

import torch

from sigma_bench.protocols.interface import Evaluation, Predictions
from sigma_bench.training.distribution import Processes


@dataclass(frozen=True)
class TwinProcesses(Processes):
    """One of the two processes; ``values`` holds the value of each."""

    barrier: Barrier | None = None
    values: list[Any] | None = None

    def gathered(self, value: Any) -> list[Any]:
        assert self.barrier is not None
        assert self.values is not None
        self.values[self.rank] = value
        self.wait()
        both = list(self.values)
        self.wait()
        return both

    def wait(self) -> None:
        assert self.barrier is not None
        self.barrier.wait(timeout=30)


def run_by_two(
    run: Callable[[Evaluation[Any]], Predictions | None], evaluation: Evaluation[Any]
) -> tuple[Predictions | None, Predictions | None]:
    """The result of each of two processes; an error of the first process is raised first."""
    barrier, values = Barrier(2), [None, None]
    twins = [TwinProcesses(torch.device("cpu"), rank, 2, barrier=barrier, values=values) for rank in range(2)]
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(run, replace(evaluation, processes=twin)) for twin in twins]
        errors = [future.exception() for future in futures]
        for error in errors:
            if error is not None:
                assert type(errors[0]) is type(errors[1]), errors
                raise error
        return futures[0].result(), futures[1].result()
