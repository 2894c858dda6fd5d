"""What a protocol gets and what it hands over; the table of all protocols.

A protocol is one module with two functions: ``splits(manifest, task)`` names the splits it uses, the scored one last,
and ``run(job)`` does the work.  Every process of a run calls ``run``; what it does alone (fitting a head on features
that are there) only the main process does, and only there an ``Outcome`` comes back.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sigma_bench.data.manifest import Manifest, Split
from sigma_bench.models.encoder import Encoder
from sigma_bench.protocols.features import FeatureCache
from sigma_bench.records.record import Selection
from sigma_bench.specs.dataset import SplitName
from sigma_bench.specs.task import ResolvedTask, require_folds_used
from sigma_bench.training.distribution import World

PROTOCOLS = {
    "attentive": "sigma_bench.protocols.attentive",
    "clustering": "sigma_bench.protocols.clustering",
    "counting": "sigma_bench.protocols.counting.protocol",
    "finetune": "sigma_bench.protocols.finetune",
    "knn": "sigma_bench.protocols.knn",
    "knn_loo": "sigma_bench.protocols.knn_loo",
    "linear": "sigma_bench.protocols.linear",
    "linear_online": "sigma_bench.protocols.finetune",
    "multilabel": "sigma_bench.protocols.multilabel",
    "propagation": "sigma_bench.protocols.propagation",
    "segmentation": "sigma_bench.protocols.segmentation",
}
"""Kind of protocol -> the module that runs it."""

Report = Callable[[str, int, int], None]
"""Phase, done, total."""


@dataclass(frozen=True)
class Job:
    """One task to be run for one model."""

    encoder: Encoder
    task: ResolvedTask
    manifest: Manifest
    cache: FeatureCache
    seed: int
    world: World
    folder: Path
    """Folder of this evaluation, from which an interrupted run continues; removed once the record is stored."""
    report: Report = lambda phase, done, total: None


@dataclass(frozen=True)
class Outcome:
    """What a protocol found out, before it is scored and dressed as a record."""

    arrays: Mapping[str, np.ndarray]
    """What the scores are computed from, under the names of ``records/scoring.py``; ``ids`` and ``groups`` always."""
    num_scored: int
    """Samples of the scored split that have a prediction or count as wrong."""
    failures: Mapping[str, str] = field(default_factory=dict)
    """Sample id -> why it could not be read."""
    selections: tuple[Selection, ...] = ()
    controls: Mapping[str, float] = field(default_factory=dict)
    """Values of the task itself, such as chance."""


def required_split(manifest: Manifest, task: ResolvedTask, name: SplitName) -> Split:
    """A split by name; ValueError where the dataset has no such split."""
    if name not in manifest.splits:
        raise ValueError(
            f"task '{task.task}': {task.protocol.protocol} needs the split {name}; {manifest.dataset} has "
            f"{' and '.join(manifest.splits)}"
        )
    return manifest.splits[name]


def masked_split(manifest: Manifest, task: ResolvedTask) -> Split:
    """The split test, whose samples are sequences with masks; ValueError where they are not."""
    split = required_split(manifest, task, "test")
    if any(sample.mask_folder is None for sample in split.samples):
        raise ValueError(f"task '{task.task}': {task.protocol.protocol} needs masks, and {manifest.dataset} has none")
    return split


class Runner(NamedTuple):
    """The two functions of a protocol's module."""

    splits: Callable[[Manifest, ResolvedTask], tuple[Split, ...]]
    run: Callable[[Job], Outcome | None]


def runner(task: ResolvedTask) -> Runner:
    """The functions that run a task; ValueError for folds that its protocol does not use."""
    require_folds_used(task)
    module = importlib.import_module(PROTOCOLS[task.protocol.kind])
    return Runner(module.splits, module.run)
