"""The encoder contract: a function of clips and a card.  Pooling, views and heads belong to protocols.

Shapes: B clips, C colours, T frames, H W pixels, N = T' x H' x W' tokens, D width.
"""

import copy
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, Self, runtime_checkable

import torch
from timm.layers import DropPath
from torch import Tensor, nn

from sigma_bench.models.checkpoints import LoadReport
from sigma_bench.models.video_vit import drop_path_rates
from sigma_bench.specs.encoder_card import EncoderCard


@dataclass(frozen=True)
class Features:
    """The output of an encoder."""

    token_BND: Tensor
    """Float32 tokens (B, N, D) of B clips, N tokens of width D each, in order time, row, column."""
    grid: tuple[int, int, int]
    """Time slots T', rows H' and columns W' of the tokens; their product is N."""


class Encoder(Protocol):
    """A function of normalised clips, with a card that describes it."""

    @property
    def card(self) -> EncoderCard:
        """Identity of the encoder, and frames, size and normalisation of its clips."""
        ...

    def encode(self, clip_BCTHW: Tensor) -> Features:
        """Tokens of float32 clips (B, C, T, H, W) that are normalised as the card states.

        A clip may have fewer frames than the card states, down to one tubelet.
        """
        ...


class Parts(NamedTuple):
    """Dotted names of the parts of a network, by which it can be cut after a block and trained."""

    blocks: str
    """The ``nn.ModuleList`` or ``nn.Sequential`` of transformer blocks."""
    norm: str | None
    """The final norm of the tokens; None if they have none."""
    pooled_norm: str | None = None
    """A norm that the published model applies after pooling, and not to tokens."""
    branches: tuple[str, ...] = ()
    """Modules inside a block whose output is a residual branch, for blocks without ``DropPath`` modules."""
    branches_per_block: int = 2
    unused: tuple[str, ...] = ()
    """Modules and parameters on which the tokens do not depend."""


TokenFunction = Callable[[nn.Module, Tensor], Features]
"""The tokens that a network gives for normalised clips (B, C, T, H, W) on its device and in its dtype."""


class NetworkEncoder:
    """An encoder with one network, which is frozen and in evaluation mode.

    Args:
        tokens: the tokens of clips; also called with copies of the network, in training.
        parts: names of the parts of the network; None if it is not an embedding, a list of blocks and a final norm.
        class_tokens: the class token of every frame, with the grid (T, 1, 1); None for a network without one.
        report: what happened to every tensor of the file of the encoder; None for an encoder without a file.
    """

    training_content: frozenset[str] | None = None
    """Short digests of the custom videos of its pretraining; None if they are not known."""

    def __init__(
        self,
        network: nn.Module,
        card: EncoderCard,
        tokens: TokenFunction,
        *,
        parts: Parts | None = None,
        class_tokens: TokenFunction | None = None,
        report: LoadReport | None = None,
    ) -> None:
        self.network = network.eval().requires_grad_(False)
        self.card = card
        self.tokens, self.class_tokens = tokens, class_tokens
        self.parts, self.report = parts, report

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights, in which tokens are computed."""
        return next(self.network.parameters()).dtype

    def to(self, device: torch.device | str) -> Self:
        """The same encoder, its weights on ``device``."""
        self.network.to(device)
        return self

    @torch.inference_mode()
    def encode(self, clip_BCTHW: Tensor) -> Features:
        """Tokens of normalised clips, in float32, or in float64 if the weights are float64."""
        weight = next(self.network.parameters())
        features = self.tokens(self.network, clip_BCTHW.to(weight))
        precision = torch.float64 if weight.dtype == torch.float64 else torch.float32
        return Features(features.token_BND.to(precision), features.grid)

    def backbone(self, drop_path: float) -> "Backbone":
        """As in ``TrainableEncoder``."""
        if self.parts is None:
            raise ValueError(
                f"model '{self.card.model}' is a {type(self.network).__name__}, which is not an embedding, one list of "
                "blocks and a final norm, so it cannot be fine-tuned here; choose a ViT, or a frozen protocol such as "
                "knn or linear"
            )
        if self.dtype != torch.float32:
            raise ValueError(f"model '{self.card.model}' has weights in {self.dtype}; fine-tuning needs float32")
        _require_no_dropout(self.network, self.card.model)
        return NetworkBackbone(copy.deepcopy(self.network), self.tokens, self.parts, drop_path)


class Backbone(nn.Module, ABC):
    """The trainable network of an encoder: clips (B, C, T, H, W) -> tokens (B, N, D) before the final norm.

    Layers are numbered for layer-wise learning rates.
    """

    branches_per_block = 2
    """Number of residual branches of a block to which the drop path applies."""

    @abstractmethod
    def forward(self, clip_BCTHW: Tensor) -> Tensor: ...

    def layer_of(self, parameter: str) -> int:
        """Number of the layer of a parameter: 0 for the embedding, i for the i-th block (from 1)."""
        block = re.search(r"(?:^|\.)blocks\.(\d+)\.", parameter)
        return int(block[1]) + 1 if block else 0


class NetworkBackbone(Backbone):
    """A network without its final norm, with drop paths whose rate grows linearly from 0 to ``drop_path``."""

    def __init__(self, network: nn.Module, tokens: TokenFunction, parts: Parts, drop_path: float) -> None:
        super().__init__()
        self.network, self._tokens, self._blocks = network.requires_grad_(True), tokens, parts.blocks
        self.branches_per_block = parts.branches_per_block
        if parts.norm is not None:
            network.set_submodule(parts.norm, nn.Identity())
        for name in (*parts.unused, *([parts.pooled_norm] if parts.pooled_norm else [])):
            for parameter, value in network.named_parameters():
                if f"{parameter}.".startswith(f"{name}."):
                    value.requires_grad_(False)
        blocks = list(network.get_submodule(parts.blocks).children())
        for block, rate in zip(blocks, drop_path_rates(drop_path, len(blocks)), strict=True):
            _set_drop_path(block, rate, parts.branches)

    def forward(self, clip_BCTHW: Tensor) -> Tensor:
        return self._tokens(self.network, clip_BCTHW).token_BND

    def layer_of(self, parameter: str) -> int:
        block = re.match(rf"network\.{re.escape(self._blocks)}\.(\d+)\.", parameter)
        return int(block[1]) + 1 if block else 0


def _require_no_dropout(network: nn.Module, model: str) -> None:
    """ValueError if a network has dropout, whose random numbers are not part of the examples."""
    for name, module in network.named_modules():
        rates = {key: value for key, value in vars(module).items() if key.endswith(("dropout", "dropout_prob"))}
        rates |= {"p": module.p} if isinstance(module, nn.Dropout) else {}
        for key, rate in rates.items():
            if isinstance(rate, float) and rate > 0:
                raise ValueError(
                    f"model '{model}' has a dropout of {rate:g} ('{name}.{key}'), so scores of fine-tuning would "
                    "depend on the number of processes; set it to 0 in its configuration, or choose a frozen protocol"
                )


def _set_drop_path(block: nn.Module, rate: float, branches: tuple[str, ...]) -> None:
    """Give every drop path of a block this rate; a block without drop paths gets one behind each of its branches."""
    names = [name for name, _ in block.named_modules() if name.rpartition(".")[2].startswith("drop_path")]
    for name in names:
        block.set_submodule(name, DropPath(rate))
    if not names:
        for branch in map(block.get_submodule, branches):
            branch.add_module("drop_path", DropPath(rate))
            branch.register_forward_hook(_drop_branch)


def _drop_branch(branch: nn.Module, _: Any, output: Any) -> Any:
    """Forward hook that drops the output of a branch, which may be the first item of a tuple."""
    drop_path = branch.get_submodule("drop_path")
    return (drop_path(output[0]), *output[1:]) if isinstance(output, tuple) else drop_path(output)


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
