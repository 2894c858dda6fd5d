"""One pretraining run: recipe + data (+ teacher) -> checkpoint folder with weights and training history."""

import json
from collections.abc import Callable
from pathlib import Path

from torch import nn

from sigma_bench.data.catalogue import open_dataset
from sigma_bench.data.identity import identified
from sigma_bench.data.manifest import Sample
from sigma_bench.evaluation.lock import exclusive
from sigma_bench.models.checkpoints import read_checkpoint, save_checkpoint
from sigma_bench.models.frame_encoder import FrameEncoder
from sigma_bench.models.zoo import CHECKPOINT_NAME, load_encoder
from sigma_bench.protocols.sharing import by_main
from sigma_bench.records.store import write_atomically
from sigma_bench.sigma.teacher import Teacher
from sigma_bench.specs.catalogue import load_dataset
from sigma_bench.specs.fingerprint import digest, recipe_fingerprint
from sigma_bench.specs.recipe import Recipe, SigmaDinoObjective
from sigma_bench.training.batches import RunOptions
from sigma_bench.training.distribution import joined_world
from sigma_bench.training.loop import train
from sigma_bench.training.methods import build_method
from sigma_bench.training.monitoring import Progress
from sigma_bench.training.plan import plan_of
from sigma_bench.training.resume import STATE_NAME

HISTORY_NAME = "history.json"


def pretrain(
    recipe: Recipe,
    data_root: Path,
    folder: Path,
    *,
    seed: int,
    teacher: str | None = None,
    device: str = "auto",
    options: RunOptions = RunOptions(),
    report: Callable[[Progress], None] = lambda progress: None,
) -> Path:
    """Run a recipe, or continue or merely find it in ``folder``: path of the checkpoint.

    Args:
        teacher: model name that takes the place of the recipe's, such as a local file of the same weights.

    Raises:
        ValueError: the data or the teacher is not there, the folder holds another run or is being written by
            another process, or training diverges.
        Preempted: asked to stop; the state is saved.
    """
    with joined_world(device) as world, exclusive(folder, active=world.is_main):
        samples, data_sha256 = by_main(world, lambda: training_samples(recipe, data_root))
        frozen = open_teacher(recipe, folder, seed=seed, name=teacher)
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
            recompute=options.recompute,
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
    """The checkpoint comes last but one: a run is finished when it is there, and only then is its state not needed."""
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


def open_teacher(recipe: Recipe, folder: Path, *, seed: int, name: str | None) -> Teacher | None:
    """The frozen teacher of a SIGMA-DINO recipe; ``run:<recipe>`` is that recipe's run with the same seed, beside
    this run's folder."""
    if not isinstance(recipe.objective, SigmaDinoObjective):
        if name is not None:
            raise ValueError(f"recipe '{recipe.recipe}' has no teacher; leave --teacher out")
        return None
    name = name or recipe.objective.teacher.model
    kind, _, other = name.partition(":")
    if kind == "run":
        beside = folder.parent / f"{other}-seed{seed}"
        if not (beside / CHECKPOINT_NAME).exists():
            raise ValueError(
                f"recipe '{recipe.recipe}' needs the teacher of recipe '{other}' in {beside}: run 'sigma-bench "
                f"pretrain {other}' with the same --seed first, or name another with --teacher"
            )
        name = str(beside)
    encoder = load_encoder(name)
    if not isinstance(encoder, FrameEncoder):
        raise ValueError(f"teacher '{name}' is a video model; SIGMA-DINO takes an image model")
    return Teacher(encoder, recipe.objective.teacher, recipe.encoder)
