"""Doing what is left to do: a finished evaluation is found by its key, never computed again; several are planned."""

import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from sigma_bench.data.catalogue import open_dataset
from sigma_bench.data.manifest import Manifest
from sigma_bench.models.encoder import Encoder
from sigma_bench.protocols.features import FeatureCache
from sigma_bench.protocols.job import Job, Report
from sigma_bench.protocols.sharing import by_all, by_main
from sigma_bench.records.record import Record, resume_key
from sigma_bench.records.store import Store
from sigma_bench.runs.cost import Passes, passes_of
from sigma_bench.runs.evaluate import data_identity, evaluate
from sigma_bench.runs.lock import exclusive
from sigma_bench.specs.fingerprint import digest, task_fingerprint
from sigma_bench.specs.task import ResolvedTask
from sigma_bench.training.distribution import World

WANT_TOKENS = ("attentive",)
"""Kinds of protocols that read every token."""
ALONE = World(torch.device("cpu"))


@dataclass(frozen=True)
class Found:
    """The record of an evaluation and its file."""

    record: Record
    path: Path
    was_there: bool
    """Recorded before; nothing was computed."""


State = Literal["recorded", "features cached", "to do", "cannot be opened"]


@dataclass(frozen=True)
class Planned:
    """One task of a plan."""

    task: ResolvedTask
    source: Path | Manifest
    """An open manifest where the dataset is there."""
    state: State
    clips: int
    """That must go through the encoder and do not for an earlier task of the plan."""
    needs_tokens: bool
    """A task of the plan that is not recorded yet will want every token of this dataset's pass."""


def plan_tasks(
    encoder: Encoder,
    jobs: Sequence[tuple[ResolvedTask, Path | Manifest]],
    output: Path,
    cache: FeatureCache,
    *,
    seed: int,
) -> list[Planned]:
    """What is recorded, cached and to do, dataset by dataset; nothing is computed."""
    order = list(dict.fromkeys(task.dataset.dataset for task, _ in jobs))
    opened: dict[tuple[str, Path], Manifest | Path] = {}
    plan: list[Planned] = []
    seen: set[str] = set()
    for task, source in sorted(jobs, key=lambda job: order.index(job[0].dataset.dataset)):
        if isinstance(source, Path):
            place = (task.dataset.dataset, source)
            if place not in opened:
                opened[place] = _opened(task, source)
            source = opened[place]
        state, passes = _state(encoder, task, source, output, cache, seed=seed)
        clips = sum(count for name, count in passes.items() if name not in seen)
        seen |= passes.keys()
        plan.append(Planned(task, source, state, clips, needs_tokens=False))
    with_tokens = {
        planned.task.dataset.dataset
        for planned in plan
        if planned.task.protocol.kind in WANT_TOKENS and planned.state != "recorded"
    }
    return [replace(planned, needs_tokens=planned.task.dataset.dataset in with_tokens) for planned in plan]


def _opened(task: ResolvedTask, root: Path) -> Manifest | Path:
    """The manifest; the root again where there is none, for the run itself to say why."""
    try:
        return open_dataset(task.dataset, root)
    except Exception:  # whatever it is, the run meets it again, and no other task is stopped by it
        return root


def _state(
    encoder: Encoder, task: ResolvedTask, source: Path | Manifest, output: Path, cache: FeatureCache, *, seed: int
) -> tuple[State, Passes]:
    if isinstance(source, Path):
        return "cannot be opened", {}
    try:
        key = resume_key(encoder.card, task_fingerprint(task), seed, data_identity(source, task))
        passes = passes_of(task, source, encoder, cache, seed=seed)
    except Exception:  # such as a split that is not there, or an encoder that fails; the run meets and names it
        return "cannot be opened", {}
    if Store(output).find(key) is not None:
        return "recorded", {}
    return "to do" if passes else "features cached", passes


def run_planned(
    encoder: Encoder, planned: Planned, output: Path, cache: FeatureCache, *, seed: int, world: World, report: Report
) -> Found:
    """One task of a plan; raises ValueError as ``find_or_evaluate`` does."""
    cache.keeps_tokens = planned.needs_tokens
    return find_or_evaluate(
        encoder, planned.task, planned.source, output, seed=seed, report=report, cache=cache, world=world
    )


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
        ValueError: as ``evaluate`` does, on every process; and, before anything is computed, when the output folder
            cannot be written or another process is doing this very evaluation.
    """
    manifest = source if isinstance(source, Manifest) else open_dataset(task.dataset, source)
    store = Store(output)
    key = resume_key(encoder.card, task_fingerprint(task), seed, data_identity(manifest, task))
    found = by_main(world, lambda: store.find(key))
    if found is not None:
        return Found(found[0], found[1], was_there=True)
    folder = output / "unfinished" / digest(key)[:32]
    job = Job(encoder, task, manifest, cache or FeatureCache(output / "features"), seed, world, folder, report)
    with ExitStack() as held:
        by_main(world, lambda: held.enter_context(exclusive(folder)))
        record, path = _recorded(job, store)
    return Found(record, path, was_there=False)


def _recorded(job: Job, store: Store) -> tuple[Record, Path]:
    """Evaluate and store; an exception of any process is raised by all."""

    def evaluate_and_store() -> tuple[Record, Path] | None:
        result = evaluate(job)
        if result is None:
            return None
        record, arrays = result
        store.add_predictions(arrays)
        path = store.add(record)
        shutil.rmtree(job.folder, ignore_errors=True)
        return record, path

    done = by_all(job.world, evaluate_and_store)[0]
    assert done is not None  # the main process has a record
    return done
