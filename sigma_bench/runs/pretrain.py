"""One pretraining run: recipe + data -> checkpoint folder with weights and training history."""

import json
from collections.abc import Callable
from pathlib import Path

from sigma_bench.data.catalogue import open_dataset
from sigma_bench.data.clips import PretrainingVideos
from sigma_bench.data.manifest import Sample
from sigma_bench.models.checkpoints import read_checkpoint, save_checkpoint
from sigma_bench.models.zoo import CHECKPOINT_NAME
from sigma_bench.records.store import write_atomically
from sigma_bench.specs.catalogue import load_dataset
from sigma_bench.specs.fingerprint import digest, recipe_fingerprint
from sigma_bench.specs.recipe import Recipe
from sigma_bench.training.loop import Progress, train
from sigma_bench.training.resume import STATE_NAME

HISTORY_NAME = "history.json"
MEMORY_LIMIT_BYTES = 4 * 2**30


def pretrain(
    recipe: Recipe,
    data_root: Path,
    folder: Path,
    *,
    seed: int,
    num_pieces: int = 1,
    report: Callable[[Progress], None] = lambda progress: None,
) -> Path:
    """Run a recipe, or continue or merely find it in ``folder``: path of the checkpoint.

    Raises:
        ValueError: the data is not there, the folder holds another run, or training diverges.
    """
    samples, data_sha256 = training_samples(recipe, data_root)
    identity = digest([recipe_fingerprint(recipe), seed, data_sha256])
    path = folder / CHECKPOINT_NAME
    if path.exists():
        if read_checkpoint(path).identity != identity:
            raise ValueError(f"{path}: the end of a run with another recipe, seed or data; choose another --output")
        return path
    write_atomically(folder / "recipe.json", recipe.model_dump_json(indent=1).encode())
    videos = PretrainingVideos(samples, image_size=recipe.encoder.image_size, limit_bytes=MEMORY_LIMIT_BYTES)
    model, history = train(
        recipe, videos, identity=identity, seed=seed, folder=folder, num_pieces=num_pieces, report=report
    )
    write_atomically(folder / HISTORY_NAME, json.dumps(history).encode())
    save_checkpoint(path, model.state_dict(), recipe, seed=seed, identity=identity)
    (folder / STATE_NAME).unlink()
    return path


def training_samples(recipe: Recipe, data_root: Path) -> tuple[list[Sample], str]:
    """Train samples of all the recipe's datasets, labels unused, and the digest of what they are."""
    samples: list[Sample] = []
    digests = []
    for name in recipe.data.datasets:
        split = open_dataset(load_dataset(name), data_root).splits["train"]
        samples += split.samples
        digests.append([name, split.sha256])
    return samples, digest(digests)
