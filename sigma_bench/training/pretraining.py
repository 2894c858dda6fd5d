"""One pretraining run, from a recipe and data to a folder with a checkpoint and the training history."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from sigma_bench.data.datasets import open_dataset
from sigma_bench.data.identity import identified
from sigma_bench.data.manifest import Manifest, Sample
from sigma_bench.data.training_videos import TrainingVideos
from sigma_bench.models.checkpoints import CustomVideos, RunOrigin, read_checkpoint, save_checkpoint
from sigma_bench.models.training_content import short_digest, write_training_content
from sigma_bench.models.zoo import CHECKPOINT_NAME
from sigma_bench.records.lock import exclusive
from sigma_bench.records.store import write_atomically
from sigma_bench.specs.catalogue import load_dataset
from sigma_bench.specs.fingerprint import digest, recipe_fingerprint
from sigma_bench.specs.recipe import Recipe
from sigma_bench.training.distribution import joined_processes
from sigma_bench.training.loop import train
from sigma_bench.training.method import build_method, method_class
from sigma_bench.training.monitoring import Progress
from sigma_bench.training.processes import on_main
from sigma_bench.training.resume import STATE_NAME, require_same_run
from sigma_bench.training.run_plan import RunOptions, plan_of
from sigma_bench.training.warm_start import WarmStart

HISTORY_NAME = "history.json"
_NAMES = ("recipe", "summary", "checkpoint_every_steps")
"""Keys of a recipe that do not change the weights."""


def run_recipe(
    recipe: Recipe,
    source: Path | TrainingVideos,
    folder: Path,
    *,
    seed: int,
    teacher: str | None = None,
    init: WarmStart | None = None,
    device: str | torch.device = "auto",
    options: RunOptions = RunOptions(),
    report: Callable[[Progress], None] = lambda progress: None,
) -> Path:
    """Pretrain a model by a recipe, continue a run that was stopped, or find the checkpoint of a run that is finished.

    Under torchrun, all processes call this function.

    Args:
        recipe: result of ``specs.catalogue.load_recipe``.
        source: folder that holds the datasets of the recipe, or custom videos for a recipe without datasets.
        folder: folder of this run, for checkpoint, training history, TensorBoard events and resumable state.
        seed: draws the initial weights and all batches.
        teacher: name of a model that replaces the teacher of the recipe, such as a local file of the same weights.
        init: weights that the run starts from; by default random ones.
        device: ``auto``, ``cpu`` or ``cuda``.
        options: how the run is computed, which changes results by rounding only.
        report: is called on the main process with the progress of the run, every tenth step.

    Returns:
        The path of the checkpoint.

    Raises:
        ValueError: the data or the teacher cannot be found, the folder belongs to another run or is being written by
            another process, or training diverges.
        Preempted: the process received a signal to stop; the state is saved.
    """
    method_of_recipe = method_class(recipe)
    with joined_processes(device) as processes, exclusive(folder, active=processes.is_main):
        path = folder / CHECKPOINT_NAME
        _require_same_settings(path, recipe, source, seed=seed, init=init)
        samples, data_sha256 = on_main(processes, lambda: training_samples(recipe, source))
        frozen = method_of_recipe.open_teacher(recipe, folder, seed=seed, name=teacher)
        given = [*([frozen.sha256] if frozen else []), *(init.identity if init else [])]
        identity = digest([recipe_fingerprint(recipe), seed, data_sha256, *given])
        if _is_finished(path, identity):
            return path
        require_same_run(folder / STATE_NAME, identity=identity)
        if processes.is_main:
            write_atomically(folder / "recipe.json", recipe.model_dump_json(indent=1).encode())
        method = build_method(
            recipe,
            seed=seed,
            teacher=frozen.to(processes.device) if frozen else None,
            group=processes.group,
            activation_checkpointing=options.activation_checkpointing,
        )
        origin = RunOrigin(videos=_custom_videos(source), init=init.load_into(method.model) if init else None)
        model, history = train(
            plan_of(recipe),
            method,
            samples,
            identity=identity,
            seed=seed,
            folder=folder,
            processes=processes,
            options=options,
            report=report,
        )
        if processes.is_main:
            write_atomically(folder / HISTORY_NAME, json.dumps(history).encode())
            if digests := _content(samples, source, init):
                write_training_content(folder, digests, identity=identity)
            save_checkpoint(path, model.state_dict(), recipe, seed=seed, identity=identity, origin=origin)
            (folder / STATE_NAME).unlink()  # last, because a run is finished once its checkpoint exists
        processes.wait()
        return path


def _is_finished(path: Path, identity: str) -> bool:
    if path.exists() and read_checkpoint(path).identity != identity:
        raise _another_run(path, ["data, teacher or init"])
    return path.exists()


def _require_same_settings(
    path: Path, recipe: Recipe, source: Path | TrainingVideos, *, seed: int, init: WarmStart | None
) -> None:
    """ValueError for the checkpoint of a run with other settings, before videos are read."""
    if not path.exists():
        return
    found = read_checkpoint(path)
    before, videos = found.origin, _custom_videos(source)
    init_sha256 = None if before.init is None else before.init.sha256
    differences = {
        f"recipe ({_changed_keys(found.recipe, recipe)})": recipe_fingerprint(found.recipe)
        != recipe_fingerprint(recipe),
        f"seed ({found.seed} there, {seed} here)": found.seed != seed,
        f"data ({before.videos or 'datasets'} there, {videos or 'datasets'} here)": before.videos != videos,
        f"init ({before.init.model if before.init else 'none'} there)": init_sha256 != (init and init.sha256),
    }
    if any(differences.values()):
        raise _another_run(path, [name for name, differs in differences.items() if differs])


def _changed_keys(found: Recipe, recipe: Recipe) -> str:
    """The first keys of a recipe with other values than in the recipe of a checkpoint."""
    there, here = _flat(found.model_dump(mode="json")), _flat(recipe.model_dump(mode="json"))
    keys = [key for key in {**there, **here} if there.get(key) != here.get(key) and key not in _NAMES]
    shown = [f"{key} is {there.get(key, 'absent')} there and {here.get(key, 'absent')} here" for key in keys[:3]]
    return ", ".join([*shown, *([f"and {len(keys) - 3} more"] if len(keys) > 3 else [])])


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The values of a recipe by dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in content.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _another_run(path: Path, differences: list[str]) -> ValueError:
    return ValueError(
        f"{path}: the end of a run with another {' and another '.join(differences)}; choose another --output, or leave "
        "it out and name this run with --set recipe=NAME"
    )


def _custom_videos(source: Path | TrainingVideos) -> CustomVideos | None:
    if isinstance(source, Path):
        return None
    return CustomVideos(name=source.manifest.dataset, num_videos=len(source.manifest.splits["train"].samples))


def _content(samples: list[Sample], source: Path | TrainingVideos, init: WarmStart | None) -> set[str]:
    """Short digests of the custom videos of this run and of the run that it starts from."""
    own = samples if isinstance(source, TrainingVideos) else ()
    return {short_digest(sample.content) for sample in own if sample.content} | (
        set(init.training_content) if init else set()
    )


def on_custom_videos(recipe: Recipe, videos: TrainingVideos, *, renamed: bool) -> Recipe:
    """The recipe without datasets, for custom videos.

    Args:
        renamed: whether the name of the videos is added to that of the recipe, so that the model has another name than
            one on the datasets of the recipe.
    """
    changes: dict[str, Any] = {"data": recipe.data.model_copy(update={"datasets": ()})}
    if renamed:
        changes["recipe"] = re.sub(r"[^A-Za-z0-9._@+=-]+", "_", f"{recipe.recipe}-{videos.manifest.dataset}")[:100]
    return recipe.model_copy(update=changes)


def training_samples(recipe: Recipe, source: Path | TrainingVideos) -> tuple[list[Sample], str]:
    """Training samples of all datasets of the recipe, or custom videos, and the digest of their identity.

    Raises:
        ValueError: a dataset is not there or has no train split, or the recipe names no dataset.
    """
    manifests = [source.manifest] if isinstance(source, TrainingVideos) else _manifests(recipe, source)
    samples: list[Sample] = []
    digests = []
    for manifest in manifests:
        split = identified(manifest, [manifest.splits["train"]]).splits["train"]
        samples += split.samples
        digests.append([manifest.dataset, split.sha256])
    return samples, digest(digests)


def _manifests(recipe: Recipe, data_root: Path) -> Iterator[Manifest]:
    if not recipe.data.datasets:
        raise ValueError(f"recipe '{recipe.recipe}' names no datasets; give custom videos as --csv or --folders")
    for name in recipe.data.datasets:
        manifest = open_dataset(load_dataset(name), data_root)
        if "train" not in manifest.splits:
            raise ValueError(
                f"recipe '{recipe.recipe}': {name} has no train split, which pretraining needs; name other datasets"
            )
        yield manifest
