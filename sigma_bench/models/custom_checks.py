"""Checks of a custom network before training, on a few synthetic clips in training mode.

Dropout and batch statistics are refused: a record is the same on any number of processes and after a resumed run only
if the network draws no random numbers and the tokens of a clip do not depend on other clips.

Shapes: B clips, C colours, T frames, H W pixels, N tokens, D width.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sigma_bench.models.custom_backbone import BRANCHES_PER_BLOCK, CustomBackbone
from sigma_bench.models.encoder_output import TOLERANCE, noise_clips
from sigma_bench.specs.encoder_card import EncoderCard

_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


class Trace(NamedTuple):
    """Observations of one forward pass: tokens, order of the calls of blocks and norm, and inputs of drop paths."""

    token_BND: Tensor
    calls: list[str]
    branches: list[tuple[int, Tensor]]
    """For each call of a drop path, the number of its block and the norm of each row of its input."""


def two_batches(card: EncoderCard) -> tuple[Tensor, Tensor]:
    """Two batches of two clips that differ in their first clip."""
    clip_BCTHW = noise_clips(3, card.num_frames, card.image_size)
    return clip_BCTHW[[0, 1]], clip_BCTHW[[2, 1]]


@torch.no_grad()
def trace(
    backbone: CustomBackbone, clip_BCTHW: Tensor, drop_paths: Sequence[Sequence[nn.Module]], *, seed: int
) -> Trace:
    """Observe a forward pass in training mode without dropped branches; random numbers come from ``seed``."""
    calls: list[str] = []
    branches: list[tuple[int, Tensor]] = []
    handles = [
        module.register_forward_pre_hook(lambda _, args, name=name: calls.append(name))
        for name, module in _watched(backbone)
    ]
    for number, of_block in enumerate(drop_paths):

        def note(_: nn.Module, args: Any, number: int = number) -> None:
            branches.append((number, args[0].flatten(1).norm(dim=1)))

        handles += [drop_path.register_forward_pre_hook(note) for drop_path in of_block]
    backbone.train()
    for drop_path in chain(*drop_paths):
        drop_path.eval()
    devices = [clip_BCTHW.device] if clip_BCTHW.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices):
            torch.manual_seed(seed)
            token_BND = backbone(clip_BCTHW)
    finally:
        backbone.eval()
        for handle in handles:
            handle.remove()
    return Trace(token_BND, calls, branches)


def require_call_order(backbone: CustomBackbone, found: Trace, *, where: str) -> None:
    """ValueError unless each block is called once, in order, and the norm once after them."""
    expected = [name for name, _ in _watched(backbone)]
    if found.calls != expected:
        called = ", ".join(found.calls[: len(expected) + 1]) or "none of them"
        raise ValueError(
            f"{where}: forward has to call each block once, in order, and then the norm ({', '.join(expected)}), but "
            f"it calls {called}; name the parts that forward calls, or choose a frozen protocol"
        )


def require_same_training(backbone: CustomBackbone, first: Trace, second: Trace, width: int, *, where: str) -> None:
    """ValueError unless the tokens of the clip that two batches share are equal and have this width."""
    if first.token_BND.shape[2] != width:
        raise ValueError(
            f"{where}: the tokens are {width} wide and {first.token_BND.shape[2]} before the norm "
            f"'{backbone.parts.norm}'; name a norm that keeps the width"
        )
    one_ND, other_ND = first.token_BND[1], second.token_BND[1]
    if float((one_ND - other_ND).abs().max()) > TOLERANCE * float(one_ND.std()):
        raise ValueError(
            f"{where}: in training mode, the tokens of a clip depend on random numbers or on the other clips of the "
            f"batch{_likeliest(backbone)}, so scores would depend on the number of processes; build the network with a "
            "dropout of 0 and without batch statistics, or choose a frozen protocol"
        )


def require_drop_paths(drop_paths: Sequence[Sequence[nn.Module]], first: Trace, second: Trace, *, where: str) -> None:
    """ValueError unless forward applies drop paths to one or two branches per block, with the batch dimension first."""
    for number, of_block in enumerate(drop_paths):
        rows = [row_B for block, row_B in first.branches if block == number]
        if of_block and not 1 <= len(rows) <= BRANCHES_PER_BLOCK:
            raise ValueError(
                f"{where}: forward applies the drop path of block {number} to {len(rows)} branches, where 1 or "
                f"{BRANCHES_PER_BLOCK} are expected; evaluate with --set drop_path=0.0"
            )
    for (_, one_B), (_, other_B) in zip(first.branches, second.branches, strict=True):
        half = len(one_B) // 2
        if len(one_B) % 2 or not torch.allclose(one_B[half:], other_B[half:], rtol=TOLERANCE):
            raise ValueError(
                f"{where}: the first dimension of what enters a drop path is not the batch, so no example can be "
                "dropped; build the network batch first, or evaluate with --set drop_path=0.0"
            )


def require_gradients(backbone: CustomBackbone, clip_BCTHW: Tensor, *, where: str) -> None:
    """ValueError unless every parameter has an influence on the tokens."""
    names, parameters = zip(*backbone.network.named_parameters(), strict=True)
    with torch.enable_grad():
        token_BND = backbone(clip_BCTHW)
        if not token_BND.requires_grad:
            raise ValueError(
                f"{where}: forward computes no gradients; remove torch.no_grad, inference_mode or detach from it"
            )
        gradients = torch.autograd.grad(token_BND.sum(), parameters, allow_unused=True)
    unused = [name for name, gradient in zip(names, gradients, strict=True) if gradient is None]
    if unused:
        raise ValueError(
            f"{where}: the tokens do not depend on the parameter '{unused[0]}'"
            f"{f' and {len(unused) - 1} more' if len(unused) > 1 else ''}; remove from the network what the tokens do "
            "not need"
        )


def _watched(backbone: CustomBackbone) -> list[tuple[str, nn.Module]]:
    norm = backbone.parts.norm
    blocks = [(f"block {number}", block) for number, block in enumerate(backbone.blocks)]
    return [*blocks, *([(f"norm '{norm}'", backbone.network.get_submodule(norm))] if norm else [])]


def _likeliest(backbone: CustomBackbone) -> str:
    """The first dropout or batch norm of torch, in brackets; empty if there is none."""
    for name, module in backbone.network.named_modules():
        rate = _dropout_of(module)
        if rate > 0 or isinstance(module, _BATCH_NORMS):
            return f" ('{name}' is a {type(module).__name__}{f' with a dropout of {rate:g}' if rate else ''})"
    return ""


def _dropout_of(module: nn.Module) -> float:
    """The rate of a dropout module, or of a module with an attribute ``dropout`` such as ``nn.MultiheadAttention``."""
    rate = module.p if isinstance(module, _DROPOUTS) else getattr(module, "dropout", 0.0)
    return rate if isinstance(rate, float) else 0.0
