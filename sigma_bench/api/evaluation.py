"""Evaluation of an encoder: tasks are resolved, planned and run, and their records are returned.

The command line is a layer over ``open_suite``; a script or notebook calls ``evaluate``.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from warnings import warn

import torch
from rich.progress import Progress
from rich.text import Text

from sigma_bench.api.arguments import amount_of, batch_size_of, folder_of, seed_of, workers_of
from sigma_bench.api.encoders import arguments_of
from sigma_bench.api.progress import is_main_process, progress_bars
from sigma_bench.api.records import Records
from sigma_bench.api.resolved_tasks import resolve_tasks
from sigma_bench.data.datasets import TaskOnData
from sigma_bench.evaluation.plan import Planned, plan_tasks, run_planned
from sigma_bench.evaluation.run import Found
from sigma_bench.failures import LoggedError, reason, unexpected_errors_logged, write_traceback
from sigma_bench.leaderboard.numbers import number
from sigma_bench.models.encoder import Encoder
from sigma_bench.models.imported import identified_encoder
from sigma_bench.models.zoo import load_encoder
from sigma_bench.protocols.features import FeatureCache
from sigma_bench.records.record import Record
from sigma_bench.resources import RUNS
from sigma_bench.specs.limit import parse_limit
from sigma_bench.specs.model_arguments import ModelArguments
from sigma_bench.specs.passes import Precision
from sigma_bench.training.distribution import (
    LostPeerError,
    OneSidedError,
    Processes,
    joined_processes,
    lost_peers_named,
)
from sigma_bench.training.processes import on_main

CACHE_LIMIT_GIB = 200.0
"""Default limit of the size of the cached features."""


class FailedTaskWarning(UserWarning):
    """Warning that one of several tasks failed; the other tasks were run."""


@dataclass(frozen=True)
class TaskResult:
    """The record of one task, or the error with which the task failed."""

    planned: Planned
    found: Found | None = None
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


def evaluate(
    encoder: str | Encoder,
    tasks: str | Path | Iterable[str | Path] = (),
    *,
    model_args: Mapping[str, Any] | None = None,
    suite: str | None = None,
    asks: str | None = None,
    data: str | Path | None = None,
    csv: str | Path | None = None,
    folders: str | Path | None = None,
    protocols: str | Iterable[str] = (),
    variants: str | None = None,
    folds: str | int | None = None,
    overrides: Mapping[str, Any] | None = None,
    limit: int | float | None = None,
    output: str | Path = RUNS,
    seed: int = 0,
    device: str | torch.device = "auto",
    precision: Precision | None = None,
    batch_size: int | Literal["auto"] = "auto",
    num_workers: int | Literal["auto"] = "auto",
    cache_limit: float = CACHE_LIMIT_GIB,
    progress: bool = True,
) -> Records:
    """Evaluate an encoder and return the records of its tasks.

    A task that is already recorded in ``output`` for the same encoder, data, protocol and seed is not computed again.
    Tasks that use the same clips of a dataset share one pass of the encoder.

    Args:
        encoder: what ``load_encoder`` or ``as_encoder`` returns, or a name that ``load_encoder`` takes.
        tasks: names such as ``ucf101/knn`` or ``ssv2/knn+reversal``, patterns such as ``ssv2/*``, or task files that
            end in .yaml.
        model_args: as in ``load_encoder``, for an encoder that is given by its name.
        suite: name of a suite, whose tasks are added.
        asks: what the tasks must depend on: motion, appearance or segmentation; without tasks and suite, all tasks of
            the catalogue that do.
        data: root folder that holds the datasets of the tasks; custom datasets that ``describe`` wrote do not need it.
        csv: custom data instead of ``data``: a CSV of ``path,label[,split][,group]`` or ``path,masks[,split][,group]``,
            a list of lines ``path label``, or a folder of ``train.csv`` with ``val.csv`` or ``test.csv``.  Several
            labels of a sample are separated by ``;``.
        folders: custom data: a folder per class, perhaps below ``train`` and ``test`` or ``val``, or folders of frames
            and masks as in DAVIS.
        protocols, variants: protocols and file of variants for custom data; by default ``knn@1`` and ``linear@1``.
        folds: how custom data without splits are divided, always by whole groups: a number of folds,
            ``leave_one_group_out``, or ``random:0.2`` for one random split with this share of the groups as test.
        overrides: keys of the protocols to change, nested as in their files, such as ``{"neighbours": 5}``.
        limit: number of samples of each split, or their fraction, for a smoke run; at least two samples of each class
            are kept.  The records are partial and are left out of boards, comparisons and exports.
        output: folder for records, predictions and cached features.
        seed: seed of held-out parts, random frames, initial clusters and bootstrap samples.
        device: ``auto`` (a GPU if there is one), ``cpu`` or ``cuda``.
        precision: precision in which a frozen encoder computes features, ``float32`` or ``bfloat16``; part of the
            protocols of the tasks.  By default, the protocols state it.
        batch_size: greatest number of clips that are encoded at once, or ``auto``; it changes scores by rounding only.
        num_workers: number of processes that decode videos, or ``auto`` (one less than the processor cores).
        cache_limit: greatest size of the cached features, GiB.
        progress: whether to show a progress bar.

    Returns:
        The records, in the order in which the tasks ran.  If some of several tasks fail, each is named in a
        ``FailedTaskWarning`` and the records of the others are returned.

    Raises:
        ValueError: a name does not exist, the data are missing, or all tasks failed.
        LoggedError: the only task failed with an unexpected error; the message names the file of its traceback.
    """
    output = folder_of("output", output)
    resolved = resolve_tasks(
        tasks,
        suite=suite,
        asks=asks,
        data=data,
        csv=csv,
        folders=folders,
        protocols=protocols,
        variants=variants,
        folds=folds,
        overrides=overrides,
        precision=precision,
    )
    results: list[TaskResult] = []
    with (
        open_suite(
            encoder,
            resolved,
            arguments=arguments_of(model_args),
            output=output,
            seed=seed,
            limit=limit,
            device=device,
            num_workers=num_workers,
            batch_size=batch_size,
            cache_limit=cache_limit,
            progress=progress,
        ) as opened,
        progress_bars(disable=not progress) as bars,
    ):
        for result in opened.run(bars):
            results.append(result)
            if result.found is not None:
                bars.add_task(_finished(result.found.record), total=1, completed=1)
    failed = [result for result in results if result.found is None]
    if len(results) == 1 and failed:
        raise_failure(failed[0])
    reasons = [f"{result.planned.task.task}: {result.failure}" for result in failed]
    if failed and len(failed) == len(results):
        raise ValueError(f"all {len(failed)} tasks failed: {'; '.join(reasons)}")
    for reason_of_task in reasons:
        warn(reason_of_task, FailedTaskWarning, stacklevel=2)
    return Records(output, files=[result.found.path for result in results if result.found is not None])


def _finished(record: Record) -> str:
    """Model, task and first score of a record, as the text of a finished bar."""
    score = record.scores[0]
    value = number(score.value, score.metric)
    partial = f"  partial, limit {record.data.limit}" if record.is_partial else ""
    return Text(f"{record.model.model}  {record.task.task}  {score.metric} {value}{partial}").markup


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
