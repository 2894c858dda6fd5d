"""The two sides of the comparison: one step of ours, one of the plain formulation, on the same model and batch.

Shapes: B clips, C colours, T frames, H W pixels, N tubes, M masked ones of a clip, W target width.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from sigma_bench.bench.plain import PlainFormulation
from sigma_bench.data.tube_masking import draw_mask
from sigma_bench.specs.masked_video import MaskedVideoRecipe
from sigma_bench.specs.recipe import IMAGENET_MEAN, IMAGENET_STD
from sigma_bench.training.masked_video import MaskedVideoMethod
from sigma_bench.training.method import build_method

Mark = Callable[[str], None]
"""Called with the name of the phase that ends."""


class Batch(NamedTuple):
    """What one step sees."""

    clip_BCTHW: Tensor
    mask_BN: Tensor


def comparable_method(recipe: MaskedVideoRecipe) -> MaskedVideoMethod:
    """The method of a comparable recipe, its weights drawn from seed 0."""
    method = build_method(recipe, seed=0)
    assert isinstance(method, MaskedVideoMethod)
    return method


def make_batch(recipe: MaskedVideoRecipe, batch_size: int, device: torch.device) -> Batch:
    """Random pictures, normalised, and the recipe's masks."""
    encoder = recipe.encoder
    generator = torch.Generator().manual_seed(0)
    size = (batch_size, 3, encoder.num_frames, encoder.image_size, encoder.image_size)
    mean, std = (torch.tensor(values).view(3, 1, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    clip_BCTHW = (torch.rand(size, generator=generator) - mean) / std
    masks = [draw_mask(recipe.mask, clip.transpose(0, 1), encoder.grid(), generator) for clip in clip_BCTHW]
    return Batch(clip_BCTHW.to(device), torch.stack(masks).to(device))


def our_loss(method: MaskedVideoMethod, batch: Batch, mark: Mark) -> Tensor:
    """Loss of the step that training takes; ``forward`` ends with the decoder."""
    hook = method.model.decoder.register_forward_hook(lambda *unused: mark("forward"))
    try:
        return method.step(batch.clip_BCTHW, batch.mask_BN).loss
    finally:
        hook.remove()


def plain_loss(formulation: PlainFormulation, batch: Batch, mark: Mark) -> Tensor:
    """The same loss by the plain formulation."""
    target_BMW, guess_BMW = formulation.forward(batch.clip_BCTHW, batch.mask_BN)
    mark("forward")
    return formulation.loss(target_BMW, guess_BMW)
