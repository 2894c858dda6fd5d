"""Evaluation of an encoder: its tasks are resolved, planned and run, and their records are returned."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal
from warnings import warn

import torch
from rich.text import Text

from sigma_bench.api.arguments import folder_of
from sigma_bench.api.encoders import arguments_of
from sigma_bench.api.open_suite import TaskResult, open_suite, raise_failure
from sigma_bench.api.progress import progress_bars
from sigma_bench.api.records import Records
from sigma_bench.api.resolved_tasks import resolve_tasks
from sigma_bench.leaderboard.numbers import number
from sigma_bench.models.encoder import Encoder
from sigma_bench.records.record import Record
from sigma_bench.resources import CACHE_LIMIT_GIB, RUNS
from sigma_bench.specs.passes import Precision


class FailedTaskWarning(UserWarning):
    """Warning that one of several tasks failed; the other tasks were run."""


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
