"""Plans: what several evaluations of one encoder will compute, determined before the first one starts.

Evaluations that need the same clips of the same samples share one pass of the encoder.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

import torch

from sigma_bench.data.datasets import DataPlace, TaskOnData, open_dataset
from sigma_bench.data.manifest import Manifest
from sigma_bench.data.media_opening import open_media
from sigma_bench.evaluation.cautions import log_cautions
from sigma_bench.evaluation.cost import TRAINING_FACTOR, CostModel, Predicted
from sigma_bench.evaluation.run import FoundRecord, find_or_evaluate, find_or_evaluate_session, require_room
from sigma_bench.evaluation.session import SINGLE_PROCESS, Session, open_session
from sigma_bench.failures import reason
from sigma_bench.models.encoder import Encoder
from sigma_bench.protocols.feature_cache import FeatureCache
from sigma_bench.protocols.interface import Report, silent
from sigma_bench.protocols.token_maps import num_missing_maps
from sigma_bench.records.store import Store
from sigma_bench.specs.clip import ClipSpec, SequenceClip
from sigma_bench.specs.folds import share_to_test
from sigma_bench.specs.passes import Pass
from sigma_bench.specs.task import ResolvedTask
from sigma_bench.training.distribution import Processes

State = Literal["recorded", "features cached", "to do", "cannot be run"]


@dataclass(frozen=True)
class Planned:
    """One task of a plan."""

    task: ResolvedTask
    source: DataPlace
    session: Session | None
    """None for a task that cannot be run."""
    state: State
    clips_of_passes: Mapping[int, int] = field(default_factory=dict)
    """Number of a pass -> clips to encode, without those that earlier tasks of the plan encode; a training clip counts
    three times."""
    note: str = ""
    """Why the task cannot be run, or the number of missing files that count as wrong."""
    kept_tokens: frozenset[str] = frozenset()
    """Keys of passes whose tokens are needed by a task of the plan that is not recorded yet."""
    predicted: Predicted | None = None
    """Predicted time, see ``with_costs``."""

    @property
    def clips(self) -> int:
        """Number of clips to encode in all passes."""
        return sum(self.clips_of_passes.values())


def plan_tasks(
    encoder: Encoder,
    tasks: Sequence[TaskOnData],
    output: Path,
    cache: FeatureCache,
    *,
    seed: int,
    limit: int | float | None = None,
    report: Report = silent,
) -> list[Planned]:
    """The state of every task, tasks of one dataset together; nothing is computed except the identity of the data.

    Args:
        output: folder of the records.
        limit: number or fraction of samples of each split, for partial evaluations.
        report: is called with the number of files read for the identity so far, and the number of files to read.
    """
    order = list(dict.fromkeys(task.dataset.dataset for task, _ in tasks))
    opened: dict[tuple[str, Path | int | None], Manifest] = {}
    plan: list[Planned] = []
    seen: set[str] = set()
    for task, source in sorted(tasks, key=lambda each: order.index(each[0].dataset.dataset)):
        place = (task.dataset.dataset, id(source) if isinstance(source, Manifest) else source)
        try:
            if place not in opened:
                opened[place] = source if isinstance(source, Manifest) else open_dataset(task.dataset, source)
            session = open_session(encoder.card, task, opened[place], seed=seed, limit=limit, report=report)
            if limit is None and share_to_test(task.folds) is None:  # other parts of the data depend on the task
                opened[place] = session.manifest
            planned, passes = _state(encoder, session, source, output, cache)
        except Exception as error:  # a run of the task would raise it again, see run_planned
            plan.append(Planned(task, source, None, "cannot be run", note=reason(error)))
            continue
        mine = {number: clips for name, (number, clips) in passes.items() if name not in seen}
        plan.append(replace(planned, clips_of_passes=mine))
        seen |= passes.keys()
    log_cautions(encoder, (planned.session for planned in plan if planned.session is not None))
    kept = frozenset(
        cache.key(encoder.card, planned.session.split(pass_), pass_)
        for planned in plan
        if planned.session is not None and planned.state != "recorded"
        for pass_ in planned.session.passes
        if pass_.is_cached and pass_.tokens and isinstance(pass_.clip, ClipSpec)
    )
    return [replace(planned, kept_tokens=kept) for planned in plan]


def run_planned(
    encoder: Encoder,
    planned: Planned,
    output: Path,
    cache: FeatureCache,
    *,
    seed: int,
    limit: int | float | None = None,
    processes: Processes = SINGLE_PROCESS,
    report: Report = silent,
) -> FoundRecord:
    """Run one task of a plan or find its record; raises as ``find_or_evaluate``."""
    if planned.session is None:  # opened again, so that the error is raised with its type and traceback
        return find_or_evaluate(
            encoder,
            planned.task,
            planned.source,
            output,
            seed=seed,
            limit=limit,
            report=report,
            cache=cache,
            processes=processes,
        )
    return find_or_evaluate_session(
        encoder,
        planned.session,
        output,
        cache,
        kept_tokens=planned.kept_tokens,
        predicted=planned.predicted,
        processes=processes,
        report=report,
    )


def with_costs(plan: Sequence[Planned], encoder: Encoder, cache: FeatureCache, device: torch.device) -> list[Planned]:
    """The plan with the predicted time of every task that is to be computed.

    A task whose time cannot be measured, such as one whose encoder fails, has no prediction; its run raises the error.
    """
    model = CostModel(encoder, device, cache.num_workers, cache.batch_size)
    return [replace(planned, predicted=_predicted(model, planned)) for planned in plan]


def _predicted(model: CostModel, planned: Planned) -> Predicted | None:
    if planned.session is None or planned.state == "recorded":
        return None
    try:
        return model.predict(planned.session, planned.clips_of_passes)
    except Exception:
        return None


def _state(
    encoder: Encoder, session: Session, source: DataPlace, output: Path, cache: FeatureCache
) -> tuple[Planned, dict[str, tuple[int, int]]]:
    """A task with its state, and name of a pass -> its number and clips to encode; tasks share a pass of one name."""
    planned = Planned(session.task, source, session, "recorded")
    if Store(output).find(session.key) is not None:
        return planned, {}
    require_room(encoder, session, cache)
    to_do = {
        _pass_name(encoder, session, cache, number): (number, clips)
        for number, pass_ in enumerate(session.passes)
        if (clips := _clips_to_do(encoder, session, cache, pass_))
    }
    return replace(planned, state="to do" if to_do else "features cached", note=_missing_files(session)), to_do


def _pass_name(encoder: Encoder, session: Session, cache: FeatureCache, number: int) -> str:
    pass_ = session.passes[number]
    if pass_.is_cached:
        return cache.key(encoder.card, session.split(pass_), pass_)
    return f"{session.task.task} {number}"


def _clips_to_do(encoder: Encoder, session: Session, cache: FeatureCache, pass_: Pass) -> int:
    """Number of clips of a pass that the network has not seen yet; decoding and work on features are not counted."""
    split = session.split(pass_)
    num_found = len(split.samples) - len(split.missing)
    if pass_.is_cached:
        count_missing = partial(num_missing_maps, cache) if isinstance(pass_.clip, SequenceClip) else cache.num_missing
        return min(num_found, count_missing(encoder, split, pass_)) * pass_.num_clips(0)
    if pass_.clips_per_sample is None:
        return sum(pass_.num_clips(len(open_media(sample))) for sample in split.samples if sample.path.exists())
    times = max(1, len(set(split.folds)) - 1) if pass_.is_training else 1  # each fold is left out of one training
    return num_found * pass_.clips_per_sample * times * (TRAINING_FACTOR if pass_.network == "training" else 1)


def _missing_files(session: Session) -> str:
    """A sentence with the number of missing files of each split; empty if there are none."""
    counts = [
        f"{len(split.missing):,} of the {len(split.samples):,} files that the {split.name} list names"
        for split in session.splits
        if split.missing
    ]
    return f"{' and '.join(counts)} are missing; the protocol counts them as wrong" if counts else ""
