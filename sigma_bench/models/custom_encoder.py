"""Custom encoders: ``as_encoder`` makes one from a torch module.

Shapes: B clips, C colours, T frames, H W pixels, N = T' x H' x W' tokens, D width.
"""

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sigma_bench.failures import failure_sentence
from sigma_bench.models.code_digest import code_digest, weights_sha256
from sigma_bench.models.custom_backbone import CustomBackbone, TrainableParts, set_drop_path, trainable_parts
from sigma_bench.models.custom_checks import (
    require_call_order,
    require_drop_paths,
    require_gradients,
    require_same_training,
    trace,
    two_batches,
)
from sigma_bench.models.custom_geometry import (
    FixedGridError,
    evaluation_mode,
    grid_of,
    measured_geometry,
    require_colours,
    require_geometry,
    require_min_frames,
    returns_own_grid,
)
from sigma_bench.models.encoder import Features
from sigma_bench.models.encoder_output import token_mistake, typed
from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.specs.strict import parse_spec


class CustomEncoder:
    """A torch module of the user as an encoder.

    Clips are encoded in evaluation mode and without gradients.  The module itself is left as it is, since the user may
    be training it.
    """

    _grid_is_fixed: bool | None = None
    """Whether all clips have the same grid; None as long as no clip has left this open."""

    def __init__(self, network: nn.Module, card: EncoderCard, grid: tuple[int, int, int]) -> None:
        self._network, self._grid = network, grid
        self._device = torch.device("cpu")
        self.card = card

    def to(self, device: torch.device | str) -> "CustomEncoder":
        """The same encoder, its weights on ``device``."""
        self._network.to(device)
        self._device = torch.device(device)
        return self

    @torch.inference_mode()
    def encode(self, clip_BCTHW: Tensor) -> Features:
        """Tokens of normalised clips (B, C, T, H, W).

        Rows and columns follow the size of the frames: cells have the size in pixels that they have in clips of the
        card's size.

        Raises:
            ValueError: the network does not return float32 tokens (B, N, D) with the width of the card and the number
                of tokens of the grid, on the device of the encoder; or the clip is shorter than the card allows; or the
                network fails for frames of another size than the card's.  Other exceptions of the network are passed
                on.
            FixedGridError: the network returns the tokens of the card's grid for a clip of another length or size.
        """
        card, frames = self.card, clip_BCTHW.shape[2]
        if card.min_frames is not None and frames < card.min_frames:
            raise ValueError(f"model '{card.model}' takes clips of at least {card.min_frames} frames, not of {frames}")
        try:
            with evaluation_mode(self._network):
                token_BND = self._network(clip_BCTHW.to(self._device))
        except Exception as error:
            self._add_circumstances(error, clip_BCTHW)
            if self._is_own_size(clip_BCTHW) or isinstance(error, torch.OutOfMemoryError):
                raise
            raise ValueError(self._size_mistake(clip_BCTHW, f"fails: {failure_sentence(error)}")) from error
        grid = grid_of(clip_BCTHW, card, self._grid)
        mistake = token_mistake(token_BND, len(clip_BCTHW), grid, card.feature_width)
        self._refuse_fixed_grid(token_BND, clip_BCTHW, grid)
        if mistake is not None and not self._is_own_size(clip_BCTHW):
            raise ValueError(self._size_mistake(clip_BCTHW, f"returns {mistake}"))
        if mistake is None and not _same_device(token_BND.device, self._device):
            mistake = (
                f"tokens on {token_BND.device} while the encoder is on {self._device}; do not move them in forward"
            )
        if mistake is not None:
            raise ValueError(f"model '{card.model}': the network returns {mistake}")
        return Features(token_BND, grid)

    def _refuse_fixed_grid(self, token_BND: object, clip_BCTHW: Tensor, grid: tuple[int, int, int]) -> None:
        """FixedGridError if a clip with another grid than the card's has the tokens of the card's grid."""
        own = (len(clip_BCTHW), math.prod(self._grid), self.card.feature_width)
        if grid == self._grid or not isinstance(token_BND, Tensor) or tuple(token_BND.shape) != own:
            return
        if math.prod(grid) != own[1]:
            raise FixedGridError(self.card, self._grid, clip_BCTHW)
        if self._grid_is_fixed is None:  # this clip would have as many tokens in a grid that follows it
            clip_BCTHW = clip_BCTHW.to(self._device)
            self._grid_is_fixed = returns_own_grid(self._network, clip_BCTHW, self.card, self._grid)
        if self._grid_is_fixed:
            raise FixedGridError(self.card, self._grid, clip_BCTHW)

    def _is_own_size(self, clip_BCTHW: Tensor) -> bool:
        return tuple(clip_BCTHW.shape[-2:]) == (self.card.image_size, self.card.image_size)

    def _size_mistake(self, clip_BCTHW: Tensor, found: str) -> str:
        """Description of what a network does for frames of another size than the card's."""
        height, width = clip_BCTHW.shape[-2:]
        size, (_, rows, columns) = self.card.image_size, self._grid
        return (
            f"model '{self.card.model}' takes no frames of {height} x {width} px: with {rows} x {columns} tokens for "
            f"{size} x {size} px, the network {found}"
        )

    def _add_circumstances(self, error: Exception, clip_BCTHW: Tensor) -> None:
        """Add notes to an exception of the network; ``failure_sentence`` shows them."""
        error.add_note(f"for clips (B, C, T, H, W) of shape {tuple(clip_BCTHW.shape)}")
        others = {str(p.dtype) for p in self._network.parameters() if p.is_floating_point()} - {str(torch.float32)}
        if others:
            error.add_note(f"its weights are {', '.join(sorted(others))} and clips float32: call network.float()")


class TrainableCustomEncoder(CustomEncoder):
    """A custom encoder with known embedding, blocks and final norm, which can be fine-tuned."""

    def __init__(
        self, network: nn.Module, card: EncoderCard, grid: tuple[int, int, int], parts: TrainableParts
    ) -> None:
        super().__init__(network, card, grid)
        self.parts = parts

    def backbone(self, drop_path: float) -> CustomBackbone:
        """A copy of the network for training, without its final norm, after checks on a few clips.

        Raises:
            ValueError: forward does not call each block once, in order, and then the norm; the tokens of a clip in
                training mode depend on more than the clip; a parameter has no influence on the tokens; or the blocks
                cannot apply the drop path.
        """
        where = f"model '{self.card.model}'"
        backbone = CustomBackbone(copy.deepcopy(self._network), self.parts)
        drop_paths = set_drop_path(backbone, drop_path, where=where)
        batches = [clip_BCTHW.to(self._device) for clip_BCTHW in two_batches(self.card)]
        first, second = (trace(backbone, batch, drop_paths, seed=seed) for seed, batch in enumerate(batches))
        require_call_order(backbone, first, where=where)
        require_same_training(backbone, first, second, self.card.feature_width, where=where)
        require_drop_paths(drop_paths, first, second, where=where)
        require_gradients(backbone, batches[0], where=where)
        return backbone


def _same_device(one: torch.device, other: torch.device) -> bool:
    return one.type == other.type and (other.index is None or one.index == other.index)


def as_encoder(
    network: nn.Module,
    *,
    name: str,
    num_frames: int,
    image_size: int,
    tubelet_frames: int,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    grid: tuple[int, int, int] | None = None,
    feature_width: int | None = None,
    min_frames: int | None = None,
    blocks: str | None = None,
    embed: str | Sequence[str] = (),
    norm: str | None = None,
    family: str = "custom",
    pretraining_data: tuple[str, ...] = (),
    pretraining_epochs: int = 0,
    pretraining_seed: int | None = None,
) -> CustomEncoder:
    """An encoder from a module that maps clips (B, C, T, H, W) to tokens (B, N, D) in order time, row, column.

    With ``blocks`` the encoder can be fine-tuned.  Fine-tuning trains a copy of the network, in which the final norm is
    replaced by the identity.  For layer-wise learning rates, the i-th block (from 1) is layer i and ``embed`` is layer
    0; every parameter has to belong to exactly one of ``blocks``, ``embed`` and ``norm``.

    Args:
        name: name of the model in tables.  Records and cached features also depend on weights, code and configuration
            of the module, so a changed module of the same name is evaluated again.
        num_frames: frames of a clip.
        image_size: height and width of a clip, pixels.
        tubelet_frames: frames per time slot of the tokens.
        mean, std: normalisation of colours from 0 to 1 with which the network was trained.
        grid: time slots, rows and columns of the tokens.  By default it is determined from the number of tokens of one
            clip, with as many rows as columns.
        feature_width: D; by default that of the tokens of one clip.
        min_frames: smallest number of frames of a clip, by default one tubelet; ``num_frames`` for a network that takes
            no shorter clips.
        blocks: name of the ``nn.ModuleList`` or ``nn.Sequential`` of blocks in the network, such as ``encoder.layers``.
        embed: names of the modules and parameters before the blocks, such as ``("patch_embed", "pos_embed")``.
        norm: name of the final norm; None for a network without one.
        family: name of the method in tables.
        pretraining_data, pretraining_epochs, pretraining_seed: shown in tables only.

    Raises:
        ValueError: a number is impossible for an encoder or cannot be determined, weights have no values, or the
            network does not have these parts.
    """
    where = f"as_encoder '{name}'"
    if not isinstance(network, nn.Module):
        raise ValueError(f"{where}: the network is {typed(network)}, not a torch.nn.Module; wrap it in one")
    require_geometry(where, num_frames, image_size, tubelet_frames, grid)
    require_min_frames(where, min_frames, num_frames, tubelet_frames)
    require_colours(where, mean, std)
    parts = trainable_parts(network, blocks, embed, norm, where=where)
    if grid is None or feature_width is None:
        clip_shape = (3, num_frames, image_size, image_size)
        grid, feature_width = measured_geometry(where, network, clip_shape, tubelet_frames, grid, feature_width)
    fields = {
        "model": name,
        "family": family,
        "num_frames": num_frames,
        "image_size": image_size,
        "tubelet_frames": tubelet_frames,
        "min_frames": min_frames,
        "mean": mean,
        "std": std,
        "feature_width": feature_width,
        "num_parameters": sum(parameter.numel() for parameter in network.parameters()),
        "pretraining_data": pretraining_data,
        "pretraining_epochs": pretraining_epochs,
        "checkpoint_sha256": "",
        "code_sha256": "",
        "pretraining_seed": pretraining_seed,
    }
    card, token_grid = parse_spec(EncoderCard, fields, where=where), (grid[0], grid[1], grid[2])
    if parts is None:
        return with_digests(CustomEncoder(network, card, token_grid))
    return with_digests(TrainableCustomEncoder(network, card, token_grid, parts))


def with_digests(encoder: CustomEncoder) -> CustomEncoder:
    """The encoder, after the digests of weights and code in its card have been updated."""
    network = encoder._network
    rest: dict[str, Any] = {
        name: value
        for name, value in vars(encoder).items()
        if name not in ("card", "_device", "_grid_is_fixed", "_network")
    }
    if encoder.card.min_frames is not None:
        rest["min_frames"] = encoder.card.min_frames  # protocols repeat still frames to this length
    with evaluation_mode(network):  # TorchScript keeps its mode among what it computes
        digests = {
            "checkpoint_sha256": weights_sha256(network),
            "code_sha256": code_digest(network, type(encoder), rest),
        }
    encoder.card = encoder.card.model_copy(update=digests)
    return encoder
