"""The encoder contract: a function of clips and a card.  Pooling, views and heads belong to protocols.

Shapes: B clips, C colours, T frames, H W pixels, N = T' x H' x W' tokens, D width.
"""

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

import torch
from torch import Tensor, nn

from sigma_bench.models.checkpoints import LoadReport
from sigma_bench.specs.encoder_card import EncoderCard


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


class NetworkEncoder(ABC):
    """Base of encoders with one network, which is frozen and in evaluation mode."""

    def __init__(self, network: nn.Module, card: EncoderCard, report: LoadReport | None = None) -> None:
        self._network = network.eval().requires_grad_(False)
        self.card = card
        self.report = report
        """What happened to every tensor of the file of the encoder; None for an encoder without a file."""

    def to(self, device: torch.device | str) -> Self:
        """The same encoder, its weights on ``device``."""
        self._network.to(device)
        return self

    @abstractmethod
    def encode(self, clip_BCTHW: Tensor) -> Features:
        """Tokens of normalised clips."""


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
