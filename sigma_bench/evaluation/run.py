"""From a session to its record; a finished evaluation is found by its key and not computed again."""

import shutil
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from sigma_bench.data.datasets import DataPlace
from sigma_bench.data.manifest import Manifest
from sigma_bench.data.video import ffmpeg_versions
from sigma_bench.evaluation.cost import Predicted
from sigma_bench.evaluation.reading import readings
from sigma_bench.evaluation.requirements import require_predictions, run_of
from sigma_bench.evaluation.session import SINGLE_PROCESS, Session, open_session
from sigma_bench.models.encoder import Encoder
from sigma_bench.protocols.feature_cache import FeatureCache
from sigma_bench.protocols.interface import Evaluation, Predictions, Report, silent
from sigma_bench.records.lock import exclusive
from sigma_bench.records.provenance import capture, now
from sigma_bench.records.record import Record
from sigma_bench.records.scoring import score_all
from sigma_bench.records.store import Store
from sigma_bench.specs.fingerprint import digest
from sigma_bench.specs.protocol import BaseProtocol
from sigma_bench.specs.strict import first_problem
from sigma_bench.specs.task import ResolvedTask
from sigma_bench.training.distribution import Processes
from sigma_bench.training.processes import on_all, on_main

MAX_NAMED_CLASSES = 100
"""Largest number of classes whose names a record holds."""


@dataclass(frozen=True)
class FoundRecord:
    """The record of an evaluation and its file."""

    record: Record
    path: Path
    was_there: bool
    """Whether the record was found and nothing was computed."""


def find_or_evaluate(
    encoder: Encoder,
    task: ResolvedTask,
    source: DataPlace,
    output: Path,
    *,
    seed: int,
    limit: int | float | None = None,
    report: Report = silent,
    cache: FeatureCache | None = None,
    processes: Processes = SINGLE_PROCESS,
) -> FoundRecord:
    """The record of a task, whose session is opened first, found in ``output`` or made; all processes call this.

    Args:
        source: where the data are.
        limit: number or fraction of samples of each split, for a partial evaluation.
        output: folder of the records.
        cache: feature cache; by default the one in ``output``.

    Raises:
        ValueError: as ``open_session`` and ``find_or_evaluate_session``.
    """
    session = on_main(
        processes, lambda: open_session(encoder.card, task, source, seed=seed, limit=limit, report=report)
    )
    return find_or_evaluate_session(
        encoder, session, output, cache or FeatureCache(output / "features"), processes=processes, report=report
    )


def find_or_evaluate_session(
    encoder: Encoder,
    session: Session,
    output: Path,
    cache: FeatureCache,
    *,
    kept_tokens: frozenset[str] = frozenset(),
    predicted: Predicted | None = None,
    processes: Processes = SINGLE_PROCESS,
    report: Report = silent,
) -> FoundRecord:
    """The record of an open session, found in ``output`` or made by running the session; all processes call this.

    Args:
        output: folder of the records.
        kept_tokens: keys of cache entries whose tokens are needed by another evaluation of the same plan.
        predicted: predicted time, which the record holds beside the actual time.

    Raises:
        ValueError: samples cannot be read and the protocol does not allow it, the task does not fit the encoder, the
            output folder cannot be written, the cache has no room, or another process runs the same evaluation.
    """
    store = Store(output)
    found = on_main(processes, lambda: store.find(session.key))
    if found is not None:
        return FoundRecord(found[0], found[1], was_there=True)
    on_main(processes, lambda: require_room(encoder, session, cache))
    folder = output / "unfinished" / digest(session.key)[:32]
    evaluation = session.evaluation(
        encoder, cache, folder=folder, processes=processes, kept_tokens=kept_tokens, report=report
    )
    with ExitStack() as held:
        on_main(processes, lambda: held.enter_context(exclusive(folder)))
        record, path = _recorded(evaluation, session, store, predicted)
    return FoundRecord(record, path, was_there=False)


def require_room(encoder: Encoder, session: Session, cache: FeatureCache) -> None:
    """ValueError if the cache has no room for the tokens of a session; nothing is computed but their number."""
    passes = [(session.split(pass_), pass_) for pass_ in session.passes]
    cache.require_room_for_tokens(encoder, passes, session.task.protocol.without_cache)


def _recorded(
    evaluation: Evaluation[BaseProtocol], session: Session, store: Store, predicted: Predicted | None
) -> tuple[Record, Path]:
    """Run, score and store an evaluation; an exception of one process is raised by all."""

    def run_and_store() -> tuple[Record, Path] | None:
        started, clock = now(), time.monotonic()
        predictions = run_protocol(evaluation)
        if predictions is None:
            return None
        try:
            seconds = {"evaluate": time.monotonic() - clock}
            if predicted is not None:
                seconds |= {"predicted_low": predicted.seconds.low, "predicted_high": predicted.seconds.high}
            record = _record(evaluation, session, predictions, store, started, seconds)
        except ValidationError as error:
            where = f"the protocol kind '{evaluation.protocol.kind}' gives scores or controls that no record can hold"
            raise ValueError(f"{where}: {first_problem(Record, error)}") from error
        path = store.add(record)
        shutil.rmtree(evaluation.folder, ignore_errors=True)
        return record, path

    done = on_all(evaluation.processes, run_and_store)[0]
    assert done is not None  # the main process has a record
    return done


def run_protocol(evaluation: Evaluation[BaseProtocol]) -> Predictions | None:
    """Call the function ``run`` of the protocol's package; it returns None on all processes but the main one."""
    found = run_of(evaluation.protocol)(evaluation)
    if found is None and not evaluation.processes.is_main:
        return None
    require_predictions(evaluation.protocol, found, evaluation.splits[-1])
    return found


def _record(
    evaluation: Evaluation[BaseProtocol],
    session: Session,
    predictions: Predictions,
    store: Store,
    started: datetime,
    seconds: dict[str, float],
) -> Record:
    scores = score_all(evaluation.protocol, predictions.arrays, evaluation.seed)
    reading = readings(session, evaluation.encoder.card, predictions.failures)
    return Record(
        task=evaluation.task,
        fingerprint=session.fingerprint,
        model=evaluation.encoder.card,
        seed=evaluation.seed,
        data=session.data_identity(scored=predictions.num_scored, failures=predictions.failures),
        scores=scores,
        controls=dict(predictions.controls),
        selections=predictions.selections,
        predictions=store.add_predictions(predictions.arrays),
        provenance=capture(
            started=started,
            seconds=seconds,
            num_processes=evaluation.processes.size,
            ffmpeg=ffmpeg_versions(name for split in reading.values() for name in split.decoders),
            reading=reading,
            class_names=_class_names(session.manifest),
        ),
    )


def _class_names(manifest: Manifest) -> tuple[str, ...] | None:
    """The names of few classes of custom data, which pictures show."""
    few = manifest.data_source == "user" and manifest.classes is not None and len(manifest.classes) <= MAX_NAMED_CLASSES
    return manifest.classes if few else None
