"""One evaluation: encoder + resolved task + data -> record.  Nothing is written here but cached features.

Shapes: S samples or clips.
"""

import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from sigma_bench.data.decoder import DecodeError
from sigma_bench.data.manifest import Manifest, Split
from sigma_bench.metrics.accuracy import mean_class_accuracy, top1
from sigma_bench.metrics.uncertainty import bootstrap_interval
from sigma_bench.models.encoder import Encoder
from sigma_bench.protocols.classification import Report, classify, teaching_and_scored
from sigma_bench.protocols.features import FeatureCache
from sigma_bench.protocols.predictions import groups_of, labels_of
from sigma_bench.protocols.segmentation import SegmentedClip, segment_sequence
from sigma_bench.records.provenance import capture, now
from sigma_bench.records.record import DataIdentity, Interval, Record, Score, Selection, SplitIdentity
from sigma_bench.records.store import predictions_reference
from sigma_bench.specs.fingerprint import task_fingerprint
from sigma_bench.specs.protocol import SegmentationProtocol, Uncertainty
from sigma_bench.specs.task import ResolvedTask

ACCURACIES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "top1": top1,
    "mean_class_accuracy": mean_class_accuracy,
}


@dataclass(frozen=True)
class _Outcome:
    """What a protocol found out, before it is dressed as a record."""

    scores: tuple[Score, ...]
    controls: dict[str, float]
    selections: tuple[Selection, ...]
    scored: int
    failures: Mapping[str, str]
    arrays: dict[str, np.ndarray]


def evaluate(
    encoder: Encoder,
    task: ResolvedTask,
    manifest: Manifest,
    cache: FeatureCache,
    *,
    seed: int,
    report: Report = lambda phase, done, total: None,
) -> tuple[Record, dict[str, np.ndarray]]:
    """Run one task once: its record and the predictions to store beside it.

    Raises:
        ValueError: the task does not fit the encoder or the data, or samples fail that may not.
    """
    started, clock = now(), time.monotonic()
    if isinstance(task.protocol, SegmentationProtocol):
        outcome = _segmentation(encoder, task, manifest, seed=seed, report=report)
    else:
        outcome = _classification(encoder, task, manifest, cache, seed=seed, report=report)
    record = Record(
        task=task,
        fingerprint=task_fingerprint(task),
        model=encoder.card,
        seed=seed,
        data=data_identity(manifest, task, scored=outcome.scored, failures=outcome.failures),
        scores=outcome.scores,
        controls=outcome.controls,
        selections=outcome.selections,
        predictions=predictions_reference(outcome.arrays),
        provenance=capture(started=started, seconds={"evaluate": time.monotonic() - clock}),
    )
    return record, outcome.arrays


def data_identity(
    manifest: Manifest, task: ResolvedTask, *, scored: int = 0, failures: Mapping[str, str] | None = None
) -> DataIdentity:
    """Which samples a task uses of a manifest, and how many of them were scored."""
    splits: tuple[Split, ...]
    if isinstance(task.protocol, SegmentationProtocol):
        splits = (manifest.splits["test"],)
    else:
        splits = teaching_and_scored(manifest, task)
    last = splits[-1].name
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
            )
            for split in splits
        },
    )


def _classification(
    encoder: Encoder, task: ResolvedTask, manifest: Manifest, cache: FeatureCache, *, seed: int, report: Report
) -> _Outcome:
    _, scored = teaching_and_scored(manifest, task)
    predictions = classify(encoder, task, manifest, cache, seed=seed, report=report)
    predictions.require_exactly(scored)
    truth_S, predicted_S, group_S = labels_of(scored), predictions.predicted_S, groups_of(scored)

    def on(metric: Callable[[np.ndarray, np.ndarray], float]) -> Callable[[np.ndarray], float]:
        return lambda index: metric(truth_S[index], predicted_S[index])

    scores = [
        _score(name, on(ACCURACIES[name]), group_S, task.protocol.uncertainty, seed) for name in task.protocol.metrics
    ]
    share = np.bincount(truth_S) / len(truth_S)
    arrays = {"ids": np.array(scored.ids), "groups": group_S, "truth": truth_S, "predicted": predicted_S}
    return _Outcome(
        tuple(scores),
        {"chance": float(share.max())},
        predictions.selections,
        len(scored.ids),
        predictions.failures,
        arrays,
    )


def _segmentation(encoder: Encoder, task: ResolvedTask, manifest: Manifest, *, seed: int, report: Report) -> _Outcome:
    protocol, split = task.protocol, manifest.splits["test"]
    assert isinstance(protocol, SegmentationProtocol)
    if protocol.num_frames % encoder.card.tubelet_frames:
        raise ValueError(f"task '{task.task}': {protocol.num_frames} frames do not divide into the encoder's tubelets")
    split.require_present()
    clips: list[SegmentedClip] = []
    for done, sample in enumerate(split.samples, start=1):
        try:
            clips += segment_sequence(encoder, sample, protocol, seed=seed)
        except DecodeError as error:
            raise ValueError(
                f"task '{task.task}': a sequence cannot be read and every one must count: {error}"
            ) from error
        report("segmentation", done, len(split.samples))
    value_S = np.array([clip.miou for clip in clips])
    sequence_S = np.array([clip.sequence for clip in clips])
    score = _score("miou", lambda index: float(value_S[index].mean()), sequence_S, protocol.uncertainty, seed)
    controls = {
        "all_background": float(np.mean([clip.all_background_miou for clip in clips])),
        "oracle_tubes": float(np.mean([clip.oracle_tube_miou for clip in clips])),
    }
    arrays = {
        "ids": np.array([clip.id for clip in clips]),
        "sequences": sequence_S,
        "miou": value_S,
        "frame_index": np.stack([clip.index_T for clip in clips]),
        "clusters": np.stack([clip.cluster_THW for clip in clips]),
        "truth": np.stack([clip.truth_THW for clip in clips]),
    }
    return _Outcome((score,), controls, (), len(split.samples), {}, arrays)


def _score(
    metric: str, statistic: Callable[[np.ndarray], float], group_S: np.ndarray, uncertainty: Uncertainty, seed: int
) -> Score:
    """A metric on all samples, with its bootstrap interval over the units the protocol names."""
    units = group_S if uncertainty.unit == "group" else np.arange(len(group_S))
    rng = np.random.default_rng([seed, zlib.crc32(metric.encode())])
    low, high, num_units = bootstrap_interval(
        statistic, units, level=uncertainty.level, replicates=uncertainty.replicates, rng=rng
    )
    interval = Interval(
        method=uncertainty.method,
        unit=uncertainty.unit,
        level=uncertainty.level,
        replicates=uncertainty.replicates,
        num_units=num_units,
        low=low,
        high=high,
    )
    value = statistic(np.arange(len(group_S)))
    return Score(metric=metric, value=value, unit="fraction", higher_is_better=True, interval=interval)
