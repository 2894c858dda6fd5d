"""The part of one process in the global batches, on its device; reading can start at any step."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from torch.utils.data import DataLoader

from sigma_bench.data.examples import (
    BatchSampler,
    DecodingFailure,
    Example,
    PreparedVideos,
    StreamedVideos,
    TrainingExamples,
    collate,
)
from sigma_bench.data.manifest import Sample
from sigma_bench.data.workers import resolved_workers
from sigma_bench.specs.recipe import OptimSpec
from sigma_bench.training.distribution import Processes
from sigma_bench.training.method import Method
from sigma_bench.training.run_plan import Plan, RunOptions
from sigma_bench.training.termination import leave_stopping_to_the_loop

MEMORY_LIMIT_BYTES = 4 * 2**30
PREFETCHED_PER_WORKER = 4


class LocalBatch(NamedTuple):
    """This process's part of one global batch, on its device."""

    step: int
    example: Example
    failures: dict[str, str]
    """Id of a video of this part that cannot be read -> the reason."""
    waited: float
    """Time spent waiting for this part, seconds."""


class Batches:
    """The part of one process in every global batch of a run.

    Raises:
        ValueError: fewer videos than one batch, or a batch that does not divide into processes and micro-batches.
    """

    def __init__(
        self,
        plan: Plan,
        samples: Sequence[Sample],
        processes: Processes,
        options: RunOptions = RunOptions(),
        *,
        seed: int,
    ) -> None:
        self._plan, self._processes = plan, processes
        self._seed, self._options = seed, options
        self._samples = samples
        num_micro_batches = options.num_micro_batches
        batch = plan.optim.global_batch
        if len(samples) < batch:
            raise ValueError(
                f"{plan.name}: {len(samples)} videos do not fill one batch of {batch}; give more videos, or a smaller "
                "optim.global_batch, which is part of the method"
            )
        if batch % (processes.size * num_micro_batches):
            raise ValueError(
                f"{plan.name}: a global batch of {batch} does not divide into {processes.size} processes x "
                f"{num_micro_batches} micro-batches; choose numbers that do, because the global batch is part of the "
                "method"
            )
        self.steps_per_epoch = len(samples) // batch
        self.num_steps = plan.optim.num_steps(self.steps_per_epoch)
        warmup = round(plan.optim.warmup_epochs * self.steps_per_epoch)
        if isinstance(plan.optim, OptimSpec) and 0 < warmup >= self.num_steps:
            raise ValueError(
                f"{plan.name}: the warm-up of {plan.optim.warmup_epochs:g} epochs ({warmup} steps) does not end before "
                f"the run of {self.num_steps} steps; give a smaller optim.warmup_epochs as well"
            )

    def ids_of(self, step: int) -> list[str]:
        """Sample ids of one global batch."""
        return [self._samples[index].id for index in self._sampler(0).videos_of(step)]

    def starting_at(self, first: int, method: Method) -> Iterator[LocalBatch]:
        """The parts of this process from step ``first`` to the end of the run."""
        if first >= self.num_steps:
            return
        loader = iter(self._loader(first, method))
        for step in range(first, self.num_steps):
            before = time.monotonic()
            drawn = next(loader)
            example = tuple(part.to(self._processes.device, non_blocking=True) for part in drawn.example)
            failures = {self._samples[video].id: reason for video, reason in drawn.failures}
            yield LocalBatch(step, example, failures, time.monotonic() - before)

    def _loader(self, first: int, method: Method) -> DataLoader[Example | DecodingFailure]:
        videos: PreparedVideos | StreamedVideos
        if self._plan.loader == "memory":
            videos = PreparedVideos(
                self._samples, method.prepare, self._options.decoded, limit_bytes=MEMORY_LIMIT_BYTES
            )
        else:
            videos = StreamedVideos(self._samples)
        # One iteration over the loader is the whole run, so persistent_workers is not needed.
        num_workers = 0
        if self._options.num_workers != "auto" or self._plan.loader == "stream":
            num_workers = resolved_workers(self._options.num_workers, self.num_steps - first)
        return DataLoader(
            TrainingExamples(self._samples, videos, method.draw, seed=self._seed),
            batch_sampler=self._sampler(first),
            collate_fn=collate,
            worker_init_fn=leave_stopping_to_the_loop,
            num_workers=num_workers,
            pin_memory=self._processes.device.type == "cuda",
            prefetch_factor=PREFETCHED_PER_WORKER if num_workers else None,
        )

    def _sampler(self, first: int) -> BatchSampler:
        return BatchSampler(
            num_videos=len(self._samples),
            global_batch=self._plan.optim.global_batch,
            num_steps=self.num_steps,
            seed=self._seed,
            first=first,
            rank=self._processes.rank,
            num_processes=self._processes.size,
        )


@contextmanager
def killed_workers_named() -> Iterator[None]:
    """Context that turns torch's error about a killed worker into one sentence."""
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise ValueError(
            f"a worker that reads videos was killed ({error}); it may have run out of memory: use fewer --num-workers; "
            "the same command continues from the last checkpoint"
        ) from error
