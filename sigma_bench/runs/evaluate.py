"""One evaluation: encoder + resolved task + data -> record.  Nothing is written here but what can be resumed."""

import time
from collections import Counter
from collections.abc import Mapping

import numpy as np

from sigma_bench.data.manifest import Manifest, shared_groups
from sigma_bench.protocols.job import Job, runner
from sigma_bench.records.provenance import capture, now
from sigma_bench.records.record import DataIdentity, Record, SplitIdentity
from sigma_bench.records.scoring import score_all
from sigma_bench.records.store import predictions_reference
from sigma_bench.specs.fingerprint import task_fingerprint
from sigma_bench.specs.task import ResolvedTask


def evaluate(job: Job) -> tuple[Record, Mapping[str, np.ndarray]] | None:
    """Run one task once: its record and the predictions to store beside it; None on all but the main process.

    Raises:
        ValueError: the task does not fit the encoder or the data, or samples fail that may not.
    """
    started, clock, task = now(), time.monotonic(), job.task
    require_units(job.manifest, task)
    outcome = runner(task).run(job)
    if outcome is None:
        return None
    record = Record(
        task=task,
        fingerprint=task_fingerprint(task),
        model=job.encoder.card,
        seed=job.seed,
        data=data_identity(job.manifest, task, scored=outcome.num_scored, failures=outcome.failures),
        scores=score_all(task.protocol, outcome.arrays, job.seed),
        controls=dict(outcome.controls),
        selections=outcome.selections,
        predictions=predictions_reference(outcome.arrays),
        provenance=capture(
            started=started, seconds={"evaluate": time.monotonic() - clock}, num_processes=job.world.size
        ),
    )
    return record, outcome.arrays


def require_units(manifest: Manifest, task: ResolvedTask) -> None:
    """ValueError, now and not after an hour, where one group is all that is scored: no score has an interval."""
    groups = {sample.group for sample in runner(task).splits(manifest, task)[-1].samples}
    if task.protocol.uncertainty.unit == "group" and len(groups) == 1:
        raise ValueError(
            f"task '{task.task}': all that is scored belongs to one group, '{groups.pop()}', and an interval needs "
            "two; score more of them, or say --set uncertainty.unit=sample where samples of a group are independent"
        )


def data_identity(
    manifest: Manifest, task: ResolvedTask, *, scored: int = 0, failures: Mapping[str, str] | None = None
) -> DataIdentity:
    """Which samples a task uses of a manifest, and how many of them were scored."""
    splits = runner(task).splits(manifest, task)
    last = splits[-1].name
    shared = shared_groups(splits[0], splits[-1]) if len(splits) > 1 else ()
    return DataIdentity(
        world=manifest.world,
        num_classes=len(manifest.classes) if manifest.classes else None,
        splits={
            split.name: SplitIdentity(
                manifest_sha256=split.sha256,
                expected=split.expected,
                found=len(split.samples) - len(split.missing),
                scored=scored if split.name == last else 0,
                failed_ids=tuple(i for i in split.ids if i in (failures or {})),
                decoders=dict(Counter(sample.decoder for sample in split.samples if sample.decoder)),
                official=split.official,
            )
            for split in splits
        },
        shared_groups=len(shared),
    )
