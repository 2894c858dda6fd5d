"""An encoder with the plan of its tasks, which ``evaluate`` and the command line run one after the other."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from rich.progress import Progress
from rich.text import Text

from sigma_bench.api.arguments import amount_of, batch_size_of, folder_of, seed_of, workers_of
from sigma_bench.api.progress import is_main_process, progress_bars
from sigma_bench.data.datasets import TaskOnData
from sigma_bench.evaluation.plan import Planned, plan_tasks, run_planned
from sigma_bench.evaluation.run import FoundRecord
from sigma_bench.failures import LoggedError, reason, unexpected_errors_logged, write_traceback
from sigma_bench.models.encoder import Encoder
from sigma_bench.models.imported import identified_encoder
from sigma_bench.models.zoo import load_encoder
from sigma_bench.protocols.feature_cache import FeatureCache
from sigma_bench.resources import CACHE_LIMIT_GIB
from sigma_bench.specs.limit import parse_limit
from sigma_bench.specs.model_arguments import ModelArguments
from sigma_bench.training.distribution import (
    LostPeerError,
    OneSidedError,
    Processes,
    joined_processes,
    lost_peers_named,
)
from sigma_bench.training.processes import on_main


@dataclass(frozen=True)
class TaskResult:
    """The record of one task, or the error with which the task failed."""

    planned: Planned
    found: FoundRecord | None = None
    failure: str = ""
    """One sentence, which names the file of the traceback if the error was unexpected."""
    error: Exception | None = None


@dataclass(frozen=True)
class OpenSuite:
    """An encoder and the plan of its tasks."""

    encoder: Encoder
    plan: Sequence[Planned]
    output: Path
    cache: FeatureCache
    seed: int
    limit: int | float | None
    processes: Processes

    def run(self, bars: Progress) -> Iterator[TaskResult]:
        """Run each task or find its record; a task that fails does not stop the others.

        Raises:
            LostPeerError: another process of the run has ended.
            OneSidedError: this process failed and cannot report this to the others, so all processes end.
        """
        for planned in self.plan:
            name = f"{self.encoder.card.model}  {planned.task.task}"
            bar = bars.add_task(Text(name).markup, total=None)

            def report(phase: str, done: int, total: int, bar: Any = bar, name: str = name) -> None:
                bars.update(bar, description=Text(f"{name}  {phase}").markup, completed=done, total=total)

            try:
                with lost_peers_named(self.processes):
                    found = run_planned(
                        self.encoder,
                        planned,
                        self.output,
                        self.cache,
                        seed=self.seed,
                        limit=self.limit,
                        processes=self.processes,
                        report=report,
                    )
                result = TaskResult(planned, found)
            except LostPeerError:
                raise
            except OneSidedError as error:
                error.add_note(f"in task '{planned.task.task}'")
                raise
            except Exception as error:
                result = TaskResult(planned, failure=self._explained(error, planned), error=error)
            finally:
                bars.remove_task(bar)
            yield result

    def _explained(self, error: Exception, planned: Planned) -> str:
        """The reason of a failure in one sentence; the main process writes an unexpected traceback to a file."""
        sentence = reason(error)
        if isinstance(error, ValueError) or not is_main_process():
            return sentence
        return f"{sentence}; {write_traceback(error, self.output, planned.task.task)}"


def raise_failure(result: TaskResult) -> None:
    """Raise the error of a task that failed.

    Raises:
        ValueError: a mistake of the user.
        LoggedError: an unexpected error, in one sentence.
    """
    assert result.error is not None
    raise result.error if isinstance(result.error, ValueError) else LoggedError(result.failure) from result.error


@contextmanager
def open_suite(
    encoder: str | Encoder,
    tasks: Sequence[TaskOnData],
    *,
    arguments: ModelArguments = ModelArguments(),
    output: Path,
    seed: int = 0,
    limit: int | float | None = None,
    device: str | torch.device = "auto",
    num_workers: int | Literal["auto"] = "auto",
    batch_size: int | Literal["auto"] = "auto",
    cache_limit: float = CACHE_LIMIT_GIB,
    cache: FeatureCache | None = None,
    progress: bool = True,
) -> Iterator[OpenSuite]:
    """Context with an encoder and the plan of its tasks; at its end the process leaves the process group.

    Args:
        tasks: resolved tasks with their data.
        arguments: arguments of a model that is given by its name.
        limit: as in ``evaluate``.
        cache: feature cache; by default one below ``output`` with the options before.

    Raises:
        ValueError: there is no such encoder, the object is not an encoder, or it is given with arguments.
        LoggedError: an unexpected error inside the context; its traceback is in a file below ``output``.
    """
    output, seed = folder_of("output", output), seed_of(seed)
    limit = None if limit is None else parse_limit(limit)
    limit_bytes = round(amount_of("cache_limit", cache_limit) * 2**30)
    if not isinstance(encoder, str) and arguments != ModelArguments():
        raise ValueError("model_args: they apply to a model that is given by its name; pass them to load_encoder")
    known = encoder if isinstance(encoder, str) else identified_encoder(encoder)
    name = known if isinstance(known, str) else known.card.model
    cache = cache or FeatureCache(
        output / "features",
        num_workers=workers_of(num_workers),
        batch_size=batch_size_of(batch_size),
        limit_bytes=limit_bytes,
    )
    with unexpected_errors_logged(output, name), joined_processes(device) as processes:
        loaded = load_encoder(known, seed=seed, arguments=arguments) if isinstance(known, str) else known
        loaded = _moved(loaded, processes)
        with progress_bars(disable=not progress) as bars:
            plan = on_main(
                processes,
                lambda: plan_tasks(loaded, tasks, output, cache, seed=seed, limit=limit, report=_reading(bars)),
            )
        yield OpenSuite(loaded, plan, output, cache, seed, limit, processes)


def _moved(encoder: Encoder, processes: Processes) -> Encoder:
    """The encoder on the device of this process; another object that its ``to`` returns is identified again."""
    if not hasattr(encoder, "to"):
        return encoder
    moved = encoder.to(processes.device)
    return encoder if moved is encoder else identified_encoder(moved, "the method 'to' of the encoder returns")


def _reading(bars: Progress) -> Any:
    """A report that shows one bar per phase, for the files that are read for their identity."""
    known: dict[str, Any] = {}

    def report(phase: str, done: int, total: int) -> None:
        if phase not in known:
            known[phase] = bars.add_task(Text(phase).markup, total=total)
        bars.update(known[phase], completed=done, total=total)

    return report
