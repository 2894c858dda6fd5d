"""Doing what is left to do: a finished evaluation is found by its key, never computed again."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import torch

from sigma_bench.data.catalogue import open_dataset
from sigma_bench.data.manifest import Manifest
from sigma_bench.models.encoder import Encoder
from sigma_bench.protocols.features import FeatureCache
from sigma_bench.protocols.job import Job, Report
from sigma_bench.records.record import Record, resume_key
from sigma_bench.records.store import Store
from sigma_bench.runs.evaluate import data_identity, evaluate
from sigma_bench.specs.fingerprint import digest, task_fingerprint
from sigma_bench.specs.task import ResolvedTask
from sigma_bench.training.distribution import World

ALONE = World(torch.device("cpu"))


@dataclass(frozen=True)
class Found:
    """The record of an evaluation and its file."""

    record: Record
    path: Path
    was_there: bool
    """Recorded before; nothing was computed."""


def find_or_evaluate(
    encoder: Encoder,
    task: ResolvedTask,
    source: Path | Manifest,
    output: Path,
    *,
    seed: int,
    report: Report,
    cache: FeatureCache | None = None,
    world: World = ALONE,
) -> Found:
    """The record of an evaluation, which every process of the run gets.

    Args:
        source: a data root or an open manifest.
        cache: of features; by default the one in ``output``.

    Raises:
        ValueError: as ``evaluate`` does, on every process, and when the output folder cannot be written (before
            anything is computed).
    """
    manifest = source if isinstance(source, Manifest) else open_dataset(task.dataset, source)
    store = Store(output)
    key = resume_key(encoder.card, task_fingerprint(task), seed, data_identity(manifest, task))
    found = world.gathered(store.find(key))[0]
    if found is not None:
        return Found(found[0], found[1], was_there=True)
    if world.is_main:
        store.require_writable()
    folder = output / "unfinished" / digest(key)[:32]
    job = Job(encoder, task, manifest, cache or FeatureCache(output / "features"), seed, world, folder, report)
    done: tuple[Record, Path] | ValueError | None = None
    try:
        result = evaluate(job)
        if result is not None:
            record, arrays = result
            store.add_predictions(arrays)
            done = record, store.add(record)
            shutil.rmtree(folder, ignore_errors=True)
    except ValueError as error:
        done = error
    outcomes = world.gathered(done)
    for outcome in outcomes:
        if isinstance(outcome, ValueError):
            raise outcome
    record, path = outcomes[0]
    return Found(record, path, was_there=False)
