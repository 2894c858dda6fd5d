"""Doing what is left to do: a finished evaluation is found by its key, never computed again; several are planned."""

import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from sigma_bench.data.catalogue import open_dataset
from sigma_bench.data.identity import identified
from sigma_bench.data.manifest import Manifest, Split
from sigma_bench.failures import reason
from sigma_bench.models.encoder import Encoder
from sigma_bench.protocols.classification import require_present
from sigma_bench.protocols.features import FeatureCache
from sigma_bench.protocols.job import Job, Report, runner
from sigma_bench.records.lock import exclusive
from sigma_bench.records.record import Record, resume_key
from sigma_bench.records.store import Store
from sigma_bench.runs.cost import Passes, passes_of
from sigma_bench.runs.evaluate import data_identity, evaluate, require_units
from sigma_bench.specs.fingerprint import digest, task_fingerprint
from sigma_bench.specs.task import ResolvedTask
from sigma_bench.training.distribution import World
from sigma_bench.training.processes import on_all, on_main

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


State = Literal["recorded", "features cached", "to do", "cannot be run"]


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
    note: str = ""
    """Why the task cannot be run, or how many missing files count as wrong."""


def plan_tasks(
    encoder: Encoder,
    jobs: Sequence[tuple[ResolvedTask, Path | Manifest]],
    output: Path,
    cache: FeatureCache,
    *,
    seed: int,
    report: Report = lambda phase, done, total: None,
) -> list[Planned]:
    """The state of every task: recorded, cached or to do; only the identity of the data is computed.

    Args:
        report: is called with the number of files read for that so far, and the number of files to read.
    """
    order = list(dict.fromkeys(task.dataset.dataset for task, _ in jobs))
    opened: dict[tuple[str, Path | int], Manifest | str] = {}
    plan: list[Planned] = []
    seen: set[str] = set()
    for task, source in sorted(jobs, key=lambda job: order.index(job[0].dataset.dataset)):
        place = (task.dataset.dataset, source if isinstance(source, Path) else id(source))
        if place not in opened:
            opened[place] = _opened(task, source) if isinstance(source, Path) else source
        found = opened[place] = _identified(task, opened[place], report)
        state, passes, note = _state(encoder, task, found, output, cache, seed=seed)
        clips = sum(count for name, count in passes.items() if name not in seen)
        seen |= passes.keys()
        there = source if isinstance(found, str) else found
        plan.append(Planned(task, there, state, clips, needs_tokens=False, note=note))
    with_tokens = {
        planned.task.dataset.dataset
        for planned in plan
        if planned.task.protocol.kind in WANT_TOKENS and planned.state not in ("recorded", "cannot be run")
    }
    return [replace(planned, needs_tokens=planned.task.dataset.dataset in with_tokens) for planned in plan]


def _opened(task: ResolvedTask, root: Path) -> Manifest | str:
    """The manifest, or why it cannot be opened."""
    try:
        return open_dataset(task.dataset, root)
    except Exception as error:
        return reason(error)


def _identified(task: ResolvedTask, found: Manifest | str, report: Report) -> Manifest | str:
    """The manifest with the identity of the samples that a task uses; without it if that fails."""
    try:
        return found if isinstance(found, str) else identified_for(task, found, report)
    except Exception:  # reported as the state of the task
        return found


def identified_for(
    task: ResolvedTask, manifest: Manifest, report: Report = lambda phase, done, total: None
) -> Manifest:
    """The manifest with the identity of the samples that a task uses.

    Raises:
        ValueError: the manifest does not have the splits of the task, or as ``identified``.
    """
    used = runner(task).splits(manifest, task)
    return identified(manifest, used, lambda done, total: report(f"reading {manifest.dataset}", done, total))


def _state(
    encoder: Encoder, task: ResolvedTask, found: Manifest | str, output: Path, cache: FeatureCache, *, seed: int
) -> tuple[State, Passes, str]:
    """State of a task, its number of clips, and its note; ``found`` is the manifest or why it cannot be opened.

    If the task cannot be run, the note is the error with which the run would end.
    """
    if isinstance(found, str):
        return "cannot be run", {}, found
    try:
        found = identified_for(task, found)
        key = resume_key(encoder.card, task_fingerprint(task), seed, data_identity(found, task))
        if Store(output).find(key) is not None:
            return "recorded", {}, ""
        used = runner(task).splits(found, task)
        require_units(found, task)
        require_present(used, task.protocol)
        passes = passes_of(task, found, encoder, cache, seed=seed)
    except Exception as error:
        return "cannot be run", {}, reason(error)
    return "to do" if passes else "features cached", passes, _missing_files(used)


def _missing_files(used: Sequence[Split]) -> str:
    """How many files of each split are missing, in words; empty if none."""
    counts = [
        f"{len(split.missing):,} of the {len(split.samples):,} files that the {split.name} list names"
        for split in used
        if split.missing
    ]
    return f"{' and '.join(counts)} are missing; the protocol counts them as wrong" if counts else ""


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
    if not all(split.is_identified for split in runner(task).splits(manifest, task)):
        manifest = on_main(world, lambda: identified_for(task, manifest, report))
    store = Store(output)
    key = resume_key(encoder.card, task_fingerprint(task), seed, data_identity(manifest, task))
    found = on_main(world, lambda: store.find(key))
    if found is not None:
        return Found(found[0], found[1], was_there=True)
    folder = output / "unfinished" / digest(key)[:32]
    job = Job(encoder, task, manifest, cache or FeatureCache(output / "features"), seed, world, folder, report)
    with ExitStack() as held:
        on_main(world, lambda: held.enter_context(exclusive(folder)))
        record, path = _recorded(job, store)
    return Found(record, path, was_there=False)


def _recorded(job: Job, store: Store) -> tuple[Record, Path]:
    """Evaluate and store the record; all processes raise an exception of any one of them."""

    def evaluate_and_store() -> tuple[Record, Path] | None:
        result = evaluate(job)
        if result is None:
            return None
        record, arrays = result
        store.add_predictions(arrays)
        path = store.add(record)
        shutil.rmtree(job.folder, ignore_errors=True)
        return record, path

    done = on_all(job.world, evaluate_and_store)[0]
    assert done is not None  # the main process has a record
    return done
