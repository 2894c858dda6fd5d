"""The encoder contract: a function of clips and a card.  Pooling, views and heads belong to protocols.

Shapes: B clips, C colours, T frames, H W pixels, N = T' x H' x W' tokens, D width.
"""

import copy
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from timm.layers import DropPath
from torch import Tensor, nn

from sigma_bench.models.checkpoints import LoadReport
from sigma_bench.models.video_vit import VideoViT, drop_path_rates
from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.specs.fingerprint import digest, recipe_fingerprint
from sigma_bench.specs.recipe import IMAGENET_MEAN, IMAGENET_STD, EncoderSpec, Recipe


@dataclass(frozen=True)
class Features:
    """The output of an encoder."""

    token_BND: Tensor
    """Float32 tokens in order time, row, column."""
    grid: tuple[int, int, int]
    """T', H' and W', whose product is N."""


class Encoder(Protocol):
    """A function of normalised clips, with a card that describes it."""

    @property
    def card(self) -> EncoderCard: ...

    def encode(self, clip_BCTHW: Tensor) -> Features:
        """Tokens of float32 clips (B, C, T, H, W) that are normalised as the card states.

        A clip may have fewer frames than the card states, down to one tubelet.
        """
        ...


@dataclass(frozen=True)
class OpenedFile:
    """The encoder of a weight file that another project wrote, and what is known about the file."""

    encoder: Encoder
    layout: str
    """Name of the layout of the file."""
    report: LoadReport
    """What happened to every tensor of the file."""
    doubts: tuple[str, ...] = ()
    """What is allowed but looks wrong."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """What the file says beside its tensors."""


class Backbone(nn.Module, ABC):
    """The trainable network of an encoder: clips (B, C, T, H, W) -> tokens (B, N, D) before the final norm.

    Layers are numbered for layer-wise learning rates.
    """

    @abstractmethod
    def forward(self, clip_BCTHW: Tensor) -> Tensor: ...

    def layer_of(self, parameter: str) -> int:
        """Number of the layer of a parameter: 0 for the embedding, i for the i-th block (from 1)."""
        block = re.search(r"(?:^|\.)blocks\.(\d+)\.", parameter)
        return int(block[1]) + 1 if block else 0


@runtime_checkable
class TrainableEncoder(Encoder, Protocol):
    """An encoder whose network can be fine-tuned."""

    def backbone(self, drop_path: float) -> Backbone:
        """A copy of the network for training.

        Args:
            drop_path: rate of the drop path at the last block; it grows linearly from 0.

        Raises:
            ValueError: the architecture is not an embedding, a list of blocks and one final norm.
        """
        ...


def require_trainable(encoder: Encoder) -> TrainableEncoder:
    """The encoder; ValueError if its network cannot be fine-tuned."""
    if not isinstance(encoder, TrainableEncoder):
        raise ValueError(
            f"model '{encoder.card.model}' has no network that can be trained; choose a frozen protocol for it, such "
            "as knn or linear"
        )
    return encoder


class VideoViTEncoder:
    """A video ViT with the encoder's final norm, all tubes visible, in evaluation mode."""

    def __init__(self, vit: VideoViT, card: EncoderCard, report: LoadReport | None = None) -> None:
        self._vit = vit.eval().requires_grad_(False)
        self.card = card
        self.spec = vit.spec
        self.report = report
        """What happened to every tensor of its file; None for an encoder without a file."""

    def to(self, device: torch.device | str) -> "VideoViTEncoder":
        """The same encoder, its weights on ``device``."""
        self._vit.to(device)
        return self

    @torch.inference_mode()
    def encode(self, clip_BCTHW: Tensor) -> Features:
        token_BND = self._vit(clip_BCTHW.to(next(self._vit.parameters()).device))
        frames, height, width = clip_BCTHW.shape[2:]
        slots, rows, _ = self._vit.spec.grid(frames, height)
        return Features(token_BND, (slots, rows, self._vit.spec.grid(frames, width)[2]))

    def backbone(self, drop_path: float) -> Backbone:
        return VideoBackbone(copy.deepcopy(self._vit), drop_path)


class VideoBackbone(Backbone):
    """A video ViT without its final norm."""

    def __init__(self, vit: VideoViT, drop_path: float) -> None:
        super().__init__()
        self.vit = vit.requires_grad_(True)
        self.vit.norm = nn.Identity()  # type: ignore[assignment]
        for block, rate in zip(vit.blocks, drop_path_rates(drop_path, len(vit.blocks)), strict=True):
            block.drop_path = DropPath(rate)

    def forward(self, clip_BCTHW: Tensor) -> Tensor:
        return self.vit(clip_BCTHW)


def vit_card(
    vit: VideoViT,
    *,
    model: str,
    family: str,
    checkpoint_sha256: str,
    recipe: Recipe | None,
    epochs: int,
    seed: int | None,
) -> EncoderCard:
    """The card of a video ViT; ``recipe`` None means that it was never trained, or not here."""
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
        code_sha256=digest(["video_vit", spec.model_dump(mode="json")]),
        pretraining_seed=seed,
        recipe_fingerprint=recipe_fingerprint(recipe) if recipe else None,
    )
