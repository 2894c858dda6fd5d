"""Pretraining of a model from a recipe; the command line is a layer over ``pretrain``."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import torch
from rich.progress import Progress, TextColumn

from sigma_bench.api.arguments import folder_of, mapping_of, name_of, path_of, seed_of, whole_number, workers_of
from sigma_bench.api.encoders import load_encoder
from sigma_bench.api.progress import progress_bars
from sigma_bench.data.training_videos import TrainingVideos, open_training_videos
from sigma_bench.failures import unexpected_errors_logged
from sigma_bench.models.checkpoints import RunOrigin, read_checkpoint
from sigma_bench.models.encoder import Encoder
from sigma_bench.resources import RUNS
from sigma_bench.specs.catalogue import load_recipe
from sigma_bench.specs.recipe import Recipe, overridden
from sigma_bench.training.decoding_failures import FAILURES_NAME
from sigma_bench.training.monitoring import Progress as TrainingProgress
from sigma_bench.training.pretraining import HISTORY_NAME, on_custom_videos, run_recipe
from sigma_bench.training.run_plan import RunOptions
from sigma_bench.training.warm_start import WarmStart, open_warm_start

MAX_MICRO_BATCHES = 1_000_000
WIDE = 140
"""Number of columns of a terminal that has room for the monitors of a method, which the page draws as well."""


@dataclass(frozen=True)
class PretrainingRun:
    """A finished pretraining run."""

    folder: Path
    """Folder of the run, with its checkpoint, history and logs."""
    checkpoint: Path
    """File of the weights, with the recipe."""

    @property
    def origin(self) -> RunOrigin:
        """Custom videos and initial weights of the run; each is None if it has none."""
        return read_checkpoint(self.checkpoint).origin

    @property
    def decoding_failures(self) -> Path | None:
        """File with the videos that were left out because they cannot be read; None if there are none."""
        path = self.folder / FAILURES_NAME
        return path if path.exists() else None

    def history(self) -> pd.DataFrame:
        """Loss, learning rate and monitors of every tenth step."""
        return pd.DataFrame(json.loads((self.folder / HISTORY_NAME).read_bytes()))

    def load_encoder(self, device: str = "auto") -> Encoder:
        """The pretrained encoder, as ``load_encoder`` returns it for the folder of the run.

        Raises:
            ValueError: there is no such device, or the checkpoint was changed or removed.
        """
        return load_encoder(str(self.folder), device=device)


def pretrain(
    recipe: str | Path | Recipe,
    *,
    data: str | Path | None = None,
    csv: str | Path | None = None,
    folders: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    init: str | Path | None = None,
    output: str | Path | None = None,
    seed: int = 0,
    teacher: str | None = None,
    device: str | torch.device = "auto",
    accumulate: int = 1,
    num_workers: int | Literal["auto"] = "auto",
    activation_checkpointing: bool = False,
    options: RunOptions | None = None,
    progress: bool = True,
) -> PretrainingRun:
    """Pretrain a model; an interrupted run continues, and a finished run is returned as it is.

    Args:
        recipe: name of a recipe, or a file that ends in .yaml.
        data: root folder that holds the datasets of the recipe.
        csv, folders: custom videos instead of ``data``, without labels: a CSV with the column ``path`` (and possibly
            ``split``, of which ``train`` is used), a list with one path per line, or a folder with any subfolders.  The
            recipe then gets the name ``<recipe>-<name of the CSV or folder>``, unless ``overrides`` state its name.
        overrides: keys of the recipe to change, nested as in its file, such as ``{"optim": {"epochs": 5}}``;
            ``optim.steps`` states the length of the run in optimiser steps instead of epochs.
        init: checkpoint whose weights the run starts from: a run folder, or a file of SIGMA or VideoMAE.  The whole
            model is loaded if the checkpoint is of the recipe's method, otherwise its encoder; of
            ``encoder:<checkpoint>``, the encoder.
        output: folder of this run; by default ``results/runs/<recipe>-seed<seed>``.
        seed: seed of weights, batches, clip starts, crops and masks.
        teacher: for SIGMA-DINO, the name or file of a model that replaces the teacher of the recipe.
        device: ``auto`` (a GPU if there is one), ``cpu`` or ``cuda``.
        accumulate: number of micro-batches per step and process; more of them save memory.
        num_workers: number of processes that decode videos, or ``auto`` (one less than the processor cores, and 0 for
            videos that the recipe keeps in memory).
        activation_checkpointing: whether to recompute activations, which saves memory for a third more computation.
        options: run options that replace ``accumulate``, ``num_workers`` and ``activation_checkpointing``.
        progress: whether to show a progress bar.

    Raises:
        ValueError: a name does not exist, data or teacher are missing, the folder belongs to another run, or training
            diverges.
        LoggedError: an unexpected error; the message names the file of its traceback.
        Preempted: the process received a signal to stop; the state is saved.
    """
    spec = recipe if isinstance(recipe, Recipe) else load_recipe(name_of("recipe", recipe))
    changes = mapping_of("overrides", overrides)
    spec, seed = overridden(spec, changes), seed_of(seed)
    teacher = teacher if teacher is None else name_of("teacher", teacher)
    init = init if init is None else name_of("init", init)
    source = _source(data, csv, folders)
    if isinstance(source, TrainingVideos):
        if "datasets" in changes.get("data", {}):
            raise ValueError("overrides: data.datasets has no effect on custom videos; leave it out")
        spec = on_custom_videos(spec, source, renamed="recipe" not in changes)
    folder = RUNS / f"{spec.recipe}-seed{seed}" if output is None else folder_of("output", output)
    how = options or RunOptions(
        num_micro_batches=whole_number("accumulate", accumulate, least=1, most=MAX_MICRO_BATCHES),
        num_workers=workers_of(num_workers),
        activation_checkpointing=activation_checkpointing,
    )
    weights = None if init is None else open_warm_start(init, spec)
    with progress_bars(TextColumn("{task.fields[numbers]}"), disable=not progress) as bars:
        for fact in (source, weights):
            if isinstance(fact, TrainingVideos | WarmStart) and not bars.disable:
                bars.print(str(fact), markup=False, soft_wrap=True)
        bar = bars.add_task(f"{spec.recipe}, seed {seed}", total=None, numbers="reading videos")

        def report(state: TrainingProgress) -> None:
            if bars.tasks[0].total is None and state.first_step and not bars.disable:
                bars.print(f"this run continues after step {state.first_step}", markup=False)
            numbers = _numbers(state, with_monitors=bars.console.width >= WIDE)
            bars.update(bar, total=state.num_steps, completed=state.step, numbers=numbers)

        with unexpected_errors_logged(folder, spec.recipe), _cleared_if_not_started(bars):
            path = run_recipe(
                spec,
                source,
                folder,
                seed=seed,
                teacher=teacher,
                init=weights,
                device=device,
                options=how,
                report=report,
            )
        if bars.tasks[0].total is None:  # the run was finished before
            bars.update(bar, total=1, completed=1)
            if not bars.disable:
                bars.print("this run was finished before; nothing was computed", markup=False)
    return PretrainingRun(folder, path)


@contextmanager
def _cleared_if_not_started(bars: Progress) -> Iterator[None]:
    """Remove the bar of a run that fails before its first step."""
    try:
        yield
    except Exception:
        if bars.tasks[0].total is None:
            bars.remove_task(bars.tasks[0].id)
        raise


def _source(data: object, csv: object, folders: object) -> Path | TrainingVideos:
    """The data root, or the custom videos; ValueError unless exactly one of the three is given."""
    custom = {"csv": csv, "folders": folders}
    paths = {argument: None if value is None else path_of(argument, value) for argument, value in custom.items()}
    if paths == {"csv": None, "folders": None}:
        if data is None:
            raise ValueError(
                "data is missing: give the root folder of the datasets, or custom videos as csv or folders"
            )
        return path_of("data", data)
    if data is not None:
        raise ValueError(f"data {data} is for the datasets of the recipe; custom videos are named by csv or folders")
    return open_training_videos(**paths)


def _numbers(state: TrainingProgress, *, with_monitors: bool) -> str:
    shown = state.monitors.items() if with_monitors else ()
    monitors = [f"{name.replace('_', ' ')} {value:.2f}" for name, value in shown]
    if state.num_failures:
        monitors.append(f"{state.num_failures} videos left out")
    speed = f"{state.clips_per_second:.0f} clips/s  wait {state.waiting_share:.0%}"
    return "  ".join([f"loss {state.loss:.2f}", speed, *monitors])
