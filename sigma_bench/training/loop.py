"""The pretraining loop: batches in, weights out; resumable at every checkpoint.

Shapes: B clips, C colours, T frames, H W pixels, N tubes.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sigma_bench.data.clips import PretrainingVideos
from sigma_bench.data.transforms import normalised_clip
from sigma_bench.sigma.masking import tube_mask
from sigma_bench.sigma.model import MaskedVideoModel, build_model
from sigma_bench.sigma.objective import accumulate_gradients
from sigma_bench.specs.recipe import IMAGENET_MEAN, IMAGENET_STD, Recipe
from sigma_bench.training.optimiser import build_optimiser, set_learning_rate
from sigma_bench.training.resume import STATE_NAME, load_state, save_state
from sigma_bench.training.schedule import learning_rate

LOG_EVERY_STEPS = 10


@dataclass(frozen=True)
class Progress:
    """What the loop reports after each logged step."""

    step: int
    num_steps: int
    loss: float
    lr: float
    prototypes_used: int | None
    clips_per_second: float

    def as_row(self) -> dict[str, float]:
        """The row kept in the training history; nothing in it depends on the machine's speed."""
        row: dict[str, float] = {"step": self.step, "loss": self.loss, "lr": self.lr}
        if self.prototypes_used is not None:
            row["prototypes_used"] = self.prototypes_used
        return row


def train(
    recipe: Recipe,
    videos: PretrainingVideos,
    *,
    identity: str,
    seed: int,
    folder: Path,
    num_pieces: int = 1,
    report: Callable[[Progress], None] = lambda progress: None,
) -> tuple[MaskedVideoModel, list[dict[str, float]]]:
    """Run a recipe to its end, continuing from ``folder`` if a run was stopped there: model and history.

    Args:
        identity: digest of recipe, seed and data; a state that says otherwise is refused.
        num_pieces: pieces in which each global batch is computed, to save memory; the method stays the same.

    Raises:
        ValueError: fewer videos than one batch, a state of another run in the folder, or a loss that is not finite.
    """
    optim = recipe.optim
    steps_per_epoch = len(videos) // optim.global_batch
    if steps_per_epoch == 0:
        raise ValueError(
            f"recipe '{recipe.recipe}': {len(videos)} videos do not fill one batch of {optim.global_batch}"
        )
    num_steps = optim.epochs * steps_per_epoch
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build_model(recipe)
    optimiser = build_optimiser(model, optim)
    state = folder / STATE_NAME
    first, history = load_state(state, model, optimiser, identity=identity)
    started = time.monotonic()
    for step in range(first, num_steps):
        clip_BCTHW, mask_BN = make_batch(recipe, videos, seed=seed, step=step)
        set_learning_rate(optimiser, learning_rate(optim, step, num_steps, steps_per_epoch))
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=optim.precision == "bfloat16"):
            out = accumulate_gradients(model, clip_BCTHW, mask_BN, recipe.objective, num_pieces)
        optimiser.step()
        done = step + 1
        if done % LOG_EVERY_STEPS == 0 or done == num_steps:
            loss = require_finite(out.loss.item(), videos, recipe, seed=seed, step=step)
            used = None if out.prototypes_used is None else int(out.prototypes_used)
            speed = (done - first) * optim.global_batch / (time.monotonic() - started)
            progress = Progress(done, num_steps, loss, optimiser.param_groups[0]["lr"], used, speed)
            history.append(progress.as_row())
            report(progress)
        if done % recipe.checkpoint_every_steps == 0 or done == num_steps:
            save_state(state, model, optimiser, step=done, identity=identity, history=history)
    return model, history


def make_batch(recipe: Recipe, videos: PretrainingVideos, *, seed: int, step: int) -> tuple[Tensor, Tensor]:
    """Clips (B, C, T, H, W), normalised, and masks (B, N) of one step; a pure function of seed and step."""
    encoder = recipe.encoder
    rng = np.random.default_rng([seed, step])
    frame_BTCHW = videos.batch(
        batch_indices(len(videos), recipe.optim.global_batch, seed=seed, step=step),
        num_frames=encoder.num_frames,
        stride_frames=recipe.data.stride_frames,
        rng=rng,
    )
    generator = torch.Generator().manual_seed(int(rng.integers(2**63 - 1)))
    mask_BN = tube_mask(len(frame_BTCHW), encoder.grid(), recipe.mask.ratio, generator)
    return normalised_clip(frame_BTCHW, IMAGENET_MEAN, IMAGENET_STD), mask_BN


def batch_indices(num_videos: int, batch_size: int, *, seed: int, step: int) -> list[int]:
    """Videos of one step: every epoch is one seeded permutation, its incomplete last batch dropped."""
    epoch, position = divmod(step, num_videos // batch_size)
    order = np.random.default_rng([seed, epoch, num_videos]).permutation(num_videos)
    return order[position * batch_size : (position + 1) * batch_size].tolist()


def require_finite(loss: float, videos: PretrainingVideos, recipe: Recipe, *, seed: int, step: int) -> float:
    """The loss, or a ValueError that names the step and the videos of its batch."""
    if math.isfinite(loss):
        return loss
    ids = [videos.ids[i] for i in batch_indices(len(videos), recipe.optim.global_batch, seed=seed, step=step)]
    raise ValueError(
        f"recipe '{recipe.recipe}', step {step + 1}: the loss is {loss}; the run stops here and its last checkpoint "
        f"is kept; lower the learning rate, or look at this batch: {', '.join(ids[:8])}, ..."
    )
