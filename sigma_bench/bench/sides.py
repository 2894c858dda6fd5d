"""The two sides of the comparison: one step of ours, one of the plain formulation, on the same model and batch.

Both optimisers run at rate 0, so every round does the same work.

Shapes: B clips, C colours, T frames, H W pixels, N tubes, M masked ones of a clip, W target width.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from sigma_bench.bench.plain import PlainFormulation, plain_optimiser
from sigma_bench.bench.timing import WARM_UP_ROUNDS, Marks
from sigma_bench.sigma.masking import draw_mask
from sigma_bench.sigma.model import MaskedVideoModel
from sigma_bench.sigma.objective import pretraining_step
from sigma_bench.specs.recipe import IMAGENET_MEAN, IMAGENET_STD, MaskedVideoRecipe
from sigma_bench.training.memory import keep_freed_memory
from sigma_bench.training.optimiser import build_optimiser

Mark = Callable[[str], None]
"""Called with the name of the phase that ends."""
Seconds = dict[str, float]
"""By phase."""


class Batch(NamedTuple):
    """What one step sees."""

    clip_BCTHW: Tensor
    mask_BN: Tensor


def make_batch(recipe: MaskedVideoRecipe, batch_size: int, device: torch.device) -> Batch:
    """Random pictures, normalised, and the recipe's masks."""
    encoder = recipe.encoder
    generator = torch.Generator().manual_seed(0)
    size = (batch_size, 3, encoder.num_frames, encoder.image_size, encoder.image_size)
    mean, std = (torch.tensor(values).view(3, 1, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    clip_BCTHW = (torch.rand(size, generator=generator) - mean) / std
    masks = [draw_mask(recipe.mask, clip.transpose(0, 1), encoder.grid(), generator) for clip in clip_BCTHW]
    return Batch(clip_BCTHW.to(device), torch.stack(masks).to(device))


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """What the training loop wraps a forward pass in; float32 means none."""
    return torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16)


def our_loss(model: MaskedVideoModel, recipe: MaskedVideoRecipe, batch: Batch, mark: Mark) -> Tensor:
    """Loss of the step that training takes; ``forward`` ends with the decoder."""
    hook = model.decoder.register_forward_hook(lambda *unused: mark("forward"))
    try:
        return pretraining_step(model, batch.clip_BCTHW, batch.mask_BN, recipe.objective).loss
    finally:
        hook.remove()


def plain_loss(formulation: PlainFormulation, batch: Batch, mark: Mark) -> Tensor:
    """The same loss by the plain formulation."""
    target_BMW, guess_BMW = formulation.forward(batch.clip_BCTHW, batch.mask_BN)
    mark("forward")
    return formulation.loss(target_BMW, guess_BMW)


def time_steps(
    model: MaskedVideoModel,
    recipe: MaskedVideoRecipe,
    batch: Batch,
    dtype: torch.dtype,
    rounds: int,
    report: Callable[[int, int], None],
) -> dict[str, list[Seconds]]:
    """Seconds per phase of every round after warm-up, by side; the order of the sides turns with every round.

    Sides are ``plain`` and ``ours`` in ``dtype``, and in bfloat16 also ``plain float32``: half precision is no
    longer the same mathematics, and what it gains over float32 is asked for too.  Ours keeps freed memory, as the
    training loop does.
    """
    formulation = PlainFormulation(model, recipe.objective)
    ours = build_optimiser(model, recipe.optim)
    plain = plain_optimiser(ours)
    device = batch.clip_BCTHW.device
    times: dict[str, list[Seconds]] = {"plain": [], "ours": []}
    if dtype == torch.bfloat16:
        times["plain float32"] = []
    total = WARM_UP_ROUNDS + rounds
    for index in range(total):
        report(index, total)
        for side in list(times) if index % 2 else reversed(times):
            model.zero_grad(set_to_none=True)
            is_ours = side == "ours"
            keep_freed_memory(is_ours)
            marks = Marks(device)
            with autocast(device, torch.float32 if side == "plain float32" else dtype):
                loss = our_loss(model, recipe, batch, marks) if is_ours else plain_loss(formulation, batch, marks)
            marks("loss")
            loss.backward()
            marks("backward")
            (ours if is_ours else plain).step()
            marks("optimiser")
            if index >= WARM_UP_ROUNDS:
                times[side].append(marks.seconds())
    report(total, total)
    return times
