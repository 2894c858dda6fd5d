"""Two processes of one run, played by two threads: what they say to each other goes through a real barrier."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Barrier
from typing import Any

import torch

from sigma_bench.protocols.contract import Evaluation, Predictions
from sigma_bench.training.distribution import World


@dataclass(frozen=True)
class TwinWorld(World):
    """One of the two; ``said`` is the table on which each lays down its value."""

    barrier: Barrier | None = None
    said: list[Any] | None = None

    def gathered(self, value: Any) -> list[Any]:
        assert self.barrier is not None
        assert self.said is not None
        self.said[self.rank] = value
        self.wait()
        both = list(self.said)
        self.wait()
        return both

    def wait(self) -> None:
        assert self.barrier is not None
        self.barrier.wait(timeout=30)


def run_by_two(
    run: Callable[[Evaluation[Any]], Predictions | None], evaluation: Evaluation[Any]
) -> tuple[Predictions | None, Predictions | None]:
    """What each of two processes gets; an error of the first comes first."""
    barrier, said = Barrier(2), [None, None]
    worlds = [TwinWorld(torch.device("cpu"), rank, 2, barrier=barrier, said=said) for rank in range(2)]
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(run, replace(evaluation, world=world)) for world in worlds]
        errors = [future.exception() for future in futures]
        for error in errors:
            if error is not None:
                assert type(errors[0]) is type(errors[1]), errors
                raise error
        return futures[0].result(), futures[1].result()
