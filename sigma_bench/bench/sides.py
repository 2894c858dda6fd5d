"""The two sides of the comparison: one step of ours, one of the plain formulation, on the same model and batch.

Shapes: B clips, C colours, T frames, H W pixels, N tubes, M masked ones of a clip, W target width.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from sigma_bench.bench.plain import PlainFormulation
from sigma_bench.sigma.masking import draw_mask
from sigma_bench.sigma.model import MaskedVideoModel
from sigma_bench.sigma.objective import pretraining_step
from sigma_bench.specs.recipe import IMAGENET_MEAN, IMAGENET_STD, MaskedVideoRecipe

Mark = Callable[[str], None]
"""Called with the name of the phase that ends."""


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
