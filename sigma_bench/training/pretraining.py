"""One pretraining run, from a recipe and data to a folder with a checkpoint and the training history."""

import json
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from sigma_bench.data.catalogue import open_dataset
from sigma_bench.data.identity import identified
from sigma_bench.data.manifest import Sample
from sigma_bench.models.checkpoints import read_checkpoint, save_checkpoint
from sigma_bench.models.zoo import CHECKPOINT_NAME
from sigma_bench.records.lock import exclusive
from sigma_bench.records.store import write_atomically
from sigma_bench.specs.catalogue import load_dataset
from sigma_bench.specs.fingerprint import digest, recipe_fingerprint
from sigma_bench.specs.recipe import Recipe
from sigma_bench.training.batches import RunOptions
from sigma_bench.training.distribution import joined_world
from sigma_bench.training.loop import train
from sigma_bench.training.method import build_method, method_class
from sigma_bench.training.monitoring import Progress
from sigma_bench.training.plan import plan_of
from sigma_bench.training.processes import on_main
from sigma_bench.training.resume import STATE_NAME

HISTORY_NAME = "history.json"


def pretrain(
    recipe: Recipe,
    data_root: Path,
    folder: Path,
    *,
    seed: int,
    teacher: str | None = None,
    device: str | torch.device = "auto",
    options: RunOptions = RunOptions(),
    report: Callable[[Progress], None] = lambda progress: None,
) -> Path:
    """Pretrain a model; the path of its checkpoint.

    A run that was stopped continues from its last state, and the checkpoint of a finished run is returned as it is.
    Under torchrun all processes call this function.

    Args:
        recipe: from ``specs.catalogue.load_recipe``.
        data_root: holds the recipe's datasets.
        folder: of this run; it gets the checkpoint, the training history, TensorBoard events and the resumable state.
        seed: draws initial weights and every batch.
        teacher: model name to use instead of the recipe's, such as a local file of the same weights.
        device: ``auto``, ``cpu`` or ``cuda``.
        options: how the run is computed, which changes no result but rounding.
        report: called on the main process with the progress of the run, every tenth step.

    Raises:
        ValueError: the data or the teacher cannot be found, the folder belongs to another run or is being written by
            another process, or training diverges.
        Preempted: asked to stop; the state is saved.
    """
    trained_by = method_class(recipe)
    with joined_world(device) as world, exclusive(folder, active=world.is_main):
        samples, data_sha256 = on_main(world, lambda: training_samples(recipe, data_root))
        frozen = trained_by.open_teacher(recipe, folder, seed=seed, name=teacher)
        identity = digest([recipe_fingerprint(recipe), seed, data_sha256, *([frozen.sha256] if frozen else [])])
        path = folder / CHECKPOINT_NAME
        if _is_finished(path, identity):
            return path
        if world.is_main:
            write_atomically(folder / "recipe.json", recipe.model_dump_json(indent=1).encode())
        method = build_method(
            recipe,
            seed=seed,
            teacher=frozen.to(world.device) if frozen else None,
            group=world.group,
            activation_checkpointing=options.activation_checkpointing,
        )
        model, history = train(
            plan_of(recipe),
            method,
            samples,
            identity=identity,
            seed=seed,
            folder=folder,
            world=world,
            options=options,
            report=report,
        )
        if world.is_main:
            _finish(path, model, history, recipe, seed=seed, identity=identity)
        world.wait()
        return path


def _is_finished(path: Path, identity: str) -> bool:
    if path.exists() and read_checkpoint(path).identity != identity:
        raise ValueError(
            f"{path}: the end of a run with another recipe, seed, data or teacher; choose another --output"
        )
    return path.exists()


def _finish(
    path: Path, model: nn.Module, history: list[dict[str, float]], recipe: Recipe, *, seed: int, identity: str
) -> None:
    """The state is removed last: a run is finished when its checkpoint exists, and only then needs no state."""
    write_atomically(path.with_name(HISTORY_NAME), json.dumps(history).encode())
    save_checkpoint(path, model.state_dict(), recipe, seed=seed, identity=identity)
    path.with_name(STATE_NAME).unlink()


def training_samples(recipe: Recipe, data_root: Path) -> tuple[list[Sample], str]:
    """Train samples of all the recipe's datasets, labels unused, and the digest of what they are."""
    samples: list[Sample] = []
    digests = []
    for name in recipe.data.datasets:
        manifest = open_dataset(load_dataset(name), data_root)
        if "train" not in manifest.splits:
            raise ValueError(f"recipe '{recipe.recipe}': {name} has no train split to learn from; name other datasets")
        split = identified(manifest, [manifest.splits["train"]]).splits["train"]
        samples += split.samples
        digests.append([name, split.sha256])
    return samples, digest(digests)
