"""Training protocols cut down to twenty steps of a one-block network, for tests and the processes they start."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sigma_bench.data.datasets import open_dataset
from sigma_bench.data.manifest import Manifest, Sample
from sigma_bench.evaluation.run import FoundRecord, find_or_evaluate
from sigma_bench.evaluation.session import SINGLE_PROCESS
from sigma_bench.models.encoder import Encoder
from sigma_bench.models.recipe_encoder import random_encoder
from sigma_bench.protocols.interface import Report
from sigma_bench.records.store import Store
from sigma_bench.specs.catalogue import load_dataset, load_task, resolve
from sigma_bench.specs.recipe import EncoderSpec
from sigma_bench.specs.task import ResolvedTask
from sigma_bench.training.distribution import Processes, joined_processes

SPEC = EncoderSpec(
    num_frames=4,
    image_size=24,
    patch_size=8,
    tubelet_frames=2,
    width=32,
    depth=1,
    num_heads=1,
    drop_path=0.0,
    layer_scale=0.0,
)
OPTIM = {"global_batch": 4, "epochs": 1, "warmup_epochs": 0.2, "lr_per_256": 0.06, "precision": "float32"}
SMALL = {
    "optim": OPTIM,
    "loader": "memory",
    "clips_at_once": 6,
    "checkpoint_every_steps": 8,
    "uncertainty": {"replicates": 20},
}
PLAIN = SMALL | {"augmentation": {"rand_augment": None, "erasing_probability": 0.0}}


def quiet(phase: str, done: int, total: int) -> None:
    pass


def tiny_encoder() -> Encoder:
    return random_encoder(SPEC, seed=0)


def tiny_task(name: str = "ssv2/finetune", overrides: Mapping[str, Any] = PLAIN) -> ResolvedTask:
    return resolve(load_task(name), dict(overrides))


def small_manifest(world: Path, **changes: Any) -> Manifest:
    """Mini SSv2; ``test`` replaces the samples of the test split, ``train`` those of the train split."""
    manifest = open_dataset(load_dataset("ssv2"), world)
    splits = {name: replace(split, samples=changes.get(name, split.samples)) for name, split in manifest.splits.items()}
    return replace(manifest, splits=splits)


def half_manifest(world: Path, **changes: Any) -> Manifest:
    """Half of mini SSv2, as ``small_manifest`` changes it."""
    splits = small_manifest(world).splits.items()
    return small_manifest(world, **{name: split.samples[: len(split.samples) // 2] for name, split in splits} | changes)


def run(
    task: ResolvedTask,
    source: Path | Manifest,
    output: Path,
    *,
    processes: Processes = SINGLE_PROCESS,
    report: Report = quiet,
) -> FoundRecord:
    return find_or_evaluate(tiny_encoder(), task, source, output, seed=0, report=report, processes=processes)


def arrays_of(output: Path, found: FoundRecord) -> Mapping[str, Any]:
    return Store(output).load_predictions(found.record.predictions)


def relabelled(sample: Sample, label: int) -> Sample:
    return replace(sample, label=label)


def shared_run(data: str, output: str) -> None:
    """The work of each of several processes: a run with all random operations."""
    with joined_processes("cpu") as processes:
        run(tiny_task(overrides=SMALL), Path(data), Path(output), processes=processes)
