"""Plans: what several evaluations of one encoder will compute, known before the first one starts.

Evaluations that need the same clips of the same samples share one pass over the encoder.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from sigma_bench.data.catalogue import open_dataset
from sigma_bench.data.decoding import open_media
from sigma_bench.data.manifest import Manifest
from sigma_bench.evaluation.run import Found, find_or_evaluate, find_or_run
from sigma_bench.evaluation.session import SINGLE_PROCESS, Session, open_session
from sigma_bench.failures import reason
from sigma_bench.models.contract import encoded
from sigma_bench.models.encoder import Encoder
from sigma_bench.protocols.contract import Report, silent
from sigma_bench.protocols.features import FeatureCache
from sigma_bench.protocols.token_maps import num_missing_maps
from sigma_bench.records.store import Store
from sigma_bench.specs.clip import ClipSpec, SequenceClip
from sigma_bench.specs.passes import Pass
from sigma_bench.specs.task import ResolvedTask
from sigma_bench.training.distribution import World

TRAINING_FACTOR = 3
"""Forward passes that a training step on a clip is worth: backward is twice forward."""
TIMED_CLIPS = 2
State = Literal["recorded", "features cached", "to do", "cannot be run"]


@dataclass(frozen=True)
class Planned:
    """One task of a plan."""

    task: ResolvedTask
    source: Path | Manifest
    session: Session | None
    """None for a task that cannot be run."""
    state: State
    clips: int = 0
    """Number of clips to encode (a training clip counts three times), without those of earlier tasks of the plan."""
    note: str = ""
    """Why the task cannot be run, or how many missing files count as wrong."""
    kept_tokens: frozenset[str] = frozenset()
    """Keys of passes whose tokens a task of the plan needs that is not recorded yet."""


def plan_tasks(
    encoder: Encoder,
    jobs: Sequence[tuple[ResolvedTask, Path | Manifest]],
    output: Path,
    cache: FeatureCache,
    *,
    seed: int,
    report: Report = silent,
) -> list[Planned]:
    """The state of every task, by dataset; only the identity of the data is computed.

    Args:
        report: is called with the number of files read for that so far, and the number of files to read.
    """
    order = list(dict.fromkeys(task.dataset.dataset for task, _ in jobs))
    opened: dict[tuple[str, Path | int], Manifest] = {}
    plan: list[Planned] = []
    seen: set[str] = set()
    for task, source in sorted(jobs, key=lambda job: order.index(job[0].dataset.dataset)):
        place = (task.dataset.dataset, source if isinstance(source, Path) else id(source))
        try:
            if place not in opened:
                opened[place] = open_dataset(task.dataset, source) if isinstance(source, Path) else source
            session = open_session(encoder.card, task, opened[place], seed=seed, report=report)
            opened[place] = session.manifest
            planned, passes = _state(encoder, session, source, output, cache)
        except Exception as error:  # the state of the task is this error, with which a run would end
            plan.append(Planned(task, source, None, "cannot be run", note=reason(error)))
            continue
        plan.append(replace(planned, clips=sum(count for name, count in passes.items() if name not in seen)))
        seen |= passes.keys()
    kept = frozenset(
        cache.key(encoder.card, planned.session.split(one), one)
        for planned in plan
        if planned.session is not None and planned.state != "recorded"
        for one in planned.session.passes
        if one.is_cached and one.tokens and isinstance(one.clip, ClipSpec)
    )
    return [replace(planned, kept_tokens=kept) for planned in plan]


def run_planned(
    encoder: Encoder,
    planned: Planned,
    output: Path,
    cache: FeatureCache,
    *,
    seed: int,
    world: World = SINGLE_PROCESS,
    report: Report = silent,
) -> Found:
    """One task of a plan; raises as ``find_or_evaluate`` does."""
    if planned.session is None:  # again, for the error in its own type and with its traceback
        return find_or_evaluate(
            encoder, planned.task, planned.source, output, seed=seed, report=report, cache=cache, world=world
        )
    return find_or_run(
        encoder, planned.session, output, cache, kept_tokens=planned.kept_tokens, world=world, report=report
    )


def seconds_per_clip(encoder: Encoder) -> float:
    """Time for one clip on this machine, from a few after one to warm up."""
    card = encoder.card
    clip_BCTHW = torch.zeros(TIMED_CLIPS, 3, card.num_frames, card.image_size, card.image_size)
    encoded(encoder, clip_BCTHW).token_BND.cpu()
    started = time.monotonic()
    encoded(encoder, clip_BCTHW).token_BND.cpu()
    return (time.monotonic() - started) / TIMED_CLIPS


def _state(
    encoder: Encoder, session: Session, source: Path | Manifest, output: Path, cache: FeatureCache
) -> tuple[Planned, dict[str, int]]:
    """A task with its state, and the clips to encode by name of the pass; tasks that name one pass share it."""
    planned = Planned(session.task, source, session, "recorded")
    if Store(output).find(session.key) is not None:
        return planned, {}
    clips = {
        _pass_name(encoder, session, cache, number): _clips_to_do(encoder, session, cache, one)
        for number, one in enumerate(session.passes)
    }
    to_do = {name: count for name, count in clips.items() if count}
    return replace(planned, state="to do" if to_do else "features cached", note=_missing_files(session)), to_do


def _pass_name(encoder: Encoder, session: Session, cache: FeatureCache, number: int) -> str:
    one = session.passes[number]
    if one.is_cached:
        return cache.key(encoder.card, session.split(one), one)
    return f"{session.task.task} {number}"


def _clips_to_do(encoder: Encoder, session: Session, cache: FeatureCache, one: Pass) -> int:
    """Clips that a pass sends through the network; decoding is not counted, nor what a protocol does with features."""
    split = session.split(one)
    num_found = len(split.samples) - len(split.missing)
    if one.is_cached:
        is_maps = isinstance(one.clip, SequenceClip)
        missing = num_missing_maps(cache, encoder, split, one) if is_maps else cache.num_missing(encoder, split, one)
        return min(num_found, missing) * one.num_clips(0)
    if one.clips_per_sample is None:
        return sum(one.num_clips(len(open_media(sample))) for sample in split.samples if sample.path.exists())
    is_folded = one.network == "training" and session.task.folds != "official"
    folds = len({sample.group for sample in split.samples}) if is_folded else 1
    return num_found * one.clips_per_sample * folds * (TRAINING_FACTOR if one.network == "training" else 1)


def _missing_files(session: Session) -> str:
    """How many files of each split are missing, in words; empty if none."""
    counts = [
        f"{len(split.missing):,} of the {len(split.samples):,} files that the {split.name} list names"
        for split in session.splits
        if split.missing
    ]
    return f"{' and '.join(counts)} are missing; the protocol counts them as wrong" if counts else ""
