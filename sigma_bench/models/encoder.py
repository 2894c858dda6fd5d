"""The encoder contract: a function of clips, and a card.  Pooling, views, heads and banks belong to protocols.

Shapes: B clips, C colours, T frames, H W pixels, N = T' x H' x W' tokens, D width.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from sigma_bench.models.checkpoints import load_strictly, read_checkpoint
from sigma_bench.models.video_vit import VideoViT
from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.specs.fingerprint import recipe_fingerprint
from sigma_bench.specs.recipe import FAMILY_NAMES, IMAGENET_MEAN, IMAGENET_STD, EncoderSpec, Recipe

PRETRAINING_ONLY = ("decoder.", "encoder_to_decoder.", "mask_token", "projector.", "prototypes.")
"""Parts of a pretraining checkpoint that an encoder does not need."""


@dataclass(frozen=True)
class Features:
    """What an encoder gives back: tokens in order time, row, column, and their grid."""

    token_BND: Tensor
    grid: tuple[int, int, int]


class Encoder(Protocol):
    """Anything that turns normalised clips into tokens."""

    @property
    def card(self) -> EncoderCard: ...

    def encode(self, clip_BCTHW: Tensor) -> Features:
        """Tokens of float32 clips normalised as the card says; fewer frames than the card's are allowed."""
        ...


class VideoViTEncoder:
    """A video ViT with the encoder's final norm, all tubes visible, in evaluation mode."""

    def __init__(self, vit: VideoViT, card: EncoderCard) -> None:
        self._vit = vit.eval().requires_grad_(False)
        self.card = card

    @torch.inference_mode()
    def encode(self, clip_BCTHW: Tensor) -> Features:
        token_BND = self._vit(clip_BCTHW)
        grid = self._vit.spec.grid(clip_BCTHW.shape[2], clip_BCTHW.shape[3])
        return Features(token_BND, grid)


def pretrained_encoder(path: Path, name: str | None = None) -> VideoViTEncoder:
    """The encoder of a checkpoint written by ``sigma-bench pretrain``; ValueError says what does not fit."""
    checkpoint = read_checkpoint(path)
    recipe = checkpoint.recipe
    vit = VideoViT(recipe.encoder)
    inner = {key.removeprefix("encoder."): value for key, value in checkpoint.tensors.items()}
    load_strictly(vit, inner, may_be_unexpected=PRETRAINING_ONLY, where=str(path))
    card = vit_card(
        vit,
        model=name or recipe.recipe,
        family=FAMILY_NAMES[recipe.objective.kind],
        checkpoint_sha256=checkpoint.sha256,
        recipe=recipe,
        epochs=checkpoint.epochs,
        seed=checkpoint.seed,
    )
    return VideoViTEncoder(vit, card)


def vit_card(
    vit: VideoViT,
    *,
    model: str,
    family: str,
    checkpoint_sha256: str,
    recipe: Recipe | None,
    epochs: int,
    seed: int,
) -> EncoderCard:
    """The card of a video ViT; ``recipe`` None means that it was never trained."""
    spec: EncoderSpec = vit.spec
    return EncoderCard(
        model=model,
        family=family,
        num_frames=spec.num_frames,
        image_size=spec.image_size,
        tubelet_frames=spec.tubelet_frames,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        feature_width=spec.width,
        num_parameters=sum(parameter.numel() for parameter in vit.parameters()),
        pretraining_data=recipe.data.datasets if recipe else (),
        pretraining_epochs=epochs,
        checkpoint_sha256=checkpoint_sha256,
        pretraining_seed=seed,
        recipe_fingerprint=recipe_fingerprint(recipe) if recipe else None,
    )
