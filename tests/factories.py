"""Hand-made records with known numbers; no model, no data, no clock."""

from collections.abc import Mapping
from typing import Any

from sigma_bench.records.record import (
    Candidate,
    DataIdentity,
    Interval,
    PredictionsRef,
    Provenance,
    Record,
    Score,
    Selection,
    SplitIdentity,
)
from sigma_bench.specs.dataset import DatasetCard, SplitSpec
from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.specs.fingerprint import digest, task_fingerprint
from sigma_bench.specs.protocol import BaseProtocol, parse_protocol
from sigma_bench.specs.task import ResolvedTask

_UNCERTAINTY = {"method": "bootstrap", "unit": "sample", "level": 0.95, "replicates": 1000}
_CLIP = {"sampling": {"sampler": "uniform"}, "crop": "centre"}
_PROTOCOLS: dict[str, dict[str, Any]] = {
    "knn": {
        "protocol": "knn@1",
        "kind": "knn",
        "summary": "Nearest neighbours.",
        "clip": _CLIP,
        "neighbours": 10,
        "temperature": 0.07,
        "on_decode_failure": "fail",
        "metrics": ["top1", "mean_class_accuracy"],
        "uncertainty": _UNCERTAINTY,
    },
    "linear": {
        "protocol": "linear@1",
        "kind": "linear",
        "summary": "A linear layer.",
        "clip": _CLIP,
        "learning_rates": [0.1],
        "weight_decays": [0.1, 0.01],
        "held_out_fraction": 0.2,
        "momentum": 0.9,
        "batch_size": 256,
        "epochs": 10,
        "least_steps": 100,
        "on_decode_failure": "fail",
        "metrics": ["top1", "mean_class_accuracy"],
        "uncertainty": _UNCERTAINTY,
    },
    "clustering": {
        "protocol": "segmentation@1",
        "kind": "segmentation",
        "summary": "Clusters against masks.",
        "labels": "dataset",
        "num_frames": 16,
        "frame_draw": "random_sorted",
        "num_draws": 1,
        "window_statistics": "shared",
        "feature_scope": "clip",
        "batch_clips": 16,
        "pca_dimensions": 10,
        "upsampling": "bilinear_features",
        "evaluation_size": "encoder",
        "pool": "clip",
        "clusters": "labels_present",
        "kmeans_iterations": 10,
        "kmeans_restarts": 1,
        "kmeans_max_points_per_centroid": 256,
        "matching": "hungarian_iou",
        "background_counts": True,
        "metrics": ["miou"],
        "uncertainty": _UNCERTAINTY,
    },
}
_ASKS = {"ucf101": "appearance", "ssv2": "motion", "cifar100": "appearance", "davis2017": "segmentation"}


def make_protocol(kind: str, **overrides: Any) -> BaseProtocol:
    """The protocol ``knn``, ``linear``, ``clustering`` or ``overclustering``, with keys replaced."""
    base = dict(_PROTOCOLS["clustering" if kind == "overclustering" else kind])
    if kind == "overclustering":
        base |= {"clusters": 10, "matching": "majority_precision"}
    return parse_protocol(base | overrides, where="test")


def make_task(task: str = "ucf101/knn", **overrides: Any) -> ResolvedTask:
    """A resolved task by the name of a dataset and a protocol's kind, with protocol keys replaced."""
    dataset, kind = task.split("/")
    asks = _ASKS[dataset]
    card = DatasetCard(
        dataset=dataset,
        title=dataset.upper(),
        media="masked_frames" if asks == "segmentation" else "video",
        reader=dataset,
        classes=None if asks == "segmentation" else 10,
        splits={"train": SplitSpec(samples=200), "test": SplitSpec(samples=100)},
        split_note="first official split",
        group="source video",
        layout=("videos/*.avi",),
        licence="none",
        source="made up",
        citation="made up",
    )
    protocol = make_protocol(kind, **overrides)
    return ResolvedTask(task=task, dataset=card, protocol=protocol, asks=asks, folds="official")  # type: ignore[arg-type]


def make_record(
    model: str = "mini_sigma_mlp",
    task: str = "ucf101/knn",
    value: float = 0.7,
    low: float | None = None,
    high: float | None = None,
    *,
    scores: Mapping[str, float] | None = None,
    family: str = "SIGMA-MLP",
    seed: int = 0,
    pretraining_seed: int | None = 0,
    pretraining_data: tuple[str, ...] = ("k400",),
    checkpoint: str | None = None,
    world: str = "mini",
    scored: int = 100,
    failed_ids: tuple[str, ...] = (),
    started: str = "2025-01-01T00:00:00.000+00:00",
    controls: Mapping[str, float] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Record:
    """A record whose first metric has the given value, or every metric of ``scores``; the interval is +-0.05.

    Checkpoints follow from model and pretraining seed, so records of one model and seed agree without saying so.
    """
    resolved = make_task(task, **dict(overrides or {}))
    values = scores or {resolved.protocol.metrics[0]: value}
    return Record(
        task=resolved,
        fingerprint=task_fingerprint(resolved),
        model=_card(model, family, pretraining_seed, pretraining_data, checkpoint or digest([model, pretraining_seed])),
        seed=seed,
        data=_data(task.split("/")[0], world, scored, failed_ids),
        scores=tuple(_score(metric, number, low, high) for metric, number in values.items()),
        controls=dict(controls or {}),
        selections=_selections() if task.endswith("/linear") else (),
        predictions=PredictionsRef(sha256="0" * 64, file="predictions/" + "0" * 64 + ".npz"),
        provenance=Provenance(
            sigma_bench="0.1.0",
            commit="abc1234",
            dirty=False,
            versions={"python": "3.11.0", "torch": "2.0.0"},
            hardware="one processor",
            num_processes=1,
            command=("sigma-bench", "evaluate", model, task),
            started_utc=started,
            seconds={"features": 1.5},
        ),
    )


def _card(
    model: str, family: str, pretraining_seed: int | None, pretraining_data: tuple[str, ...], checkpoint: str
) -> EncoderCard:
    return EncoderCard(
        model=model,
        family=family,
        num_frames=16,
        image_size=64,
        tubelet_frames=2,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        feature_width=192,
        num_parameters=1_500_000,
        pretraining_data=pretraining_data,
        pretraining_epochs=10,
        checkpoint_sha256=checkpoint,
        code_sha256="c" * 64,
        pretraining_seed=pretraining_seed,
        recipe_fingerprint=None,
    )


def _data(dataset: str, world: str, scored: int, failed_ids: tuple[str, ...]) -> DataIdentity:
    train = SplitIdentity(
        manifest_sha256=digest([dataset, "train"]),
        expected=200,
        found=200,
        scored=200,
        failed_ids=(),
        decoders={"decord": 200},
    )
    test = SplitIdentity(
        manifest_sha256=digest([dataset, "test"]),
        expected=100,
        found=100,
        scored=scored,
        failed_ids=failed_ids,
        decoders={"decord": 90, "pyav": 10},
    )
    return DataIdentity(world=world, num_classes=10, splits={"train": train, "test": test})  # type: ignore[arg-type]


def _score(metric: str, value: float, low: float | None, high: float | None) -> Score:
    interval = Interval(
        method="bootstrap",
        unit="sample",
        level=0.95,
        replicates=1000,
        num_units=100,
        low=value - 0.05 if low is None else low,
        high=value + 0.05 if high is None else high,
    )
    return Score(metric=metric, value=value, unit="fraction", higher_is_better=True, interval=interval)


def _selections() -> tuple[Selection, ...]:
    grid = (Candidate(setting={"C": 0.1}, held_out_top1=0.5), Candidate(setting={"C": 1.0}, held_out_top1=0.6))
    return (Selection(rule="best held-out top-1", grid=grid, chosen={"C": 1.0}, warnings=("did not converge",)),)
