"""Model arguments applied to a loaded encoder: an intermediate layer, its norm, class tokens and the precision.

A layer is chosen by removing the blocks after it, so the tokens of an intermediate layer pass through the final norm of
the network unless ``norm`` is false, as in V-JEPA 2.
"""

from functools import partial

import torch
from torch import Tensor, nn

from sigma_bench.models.encoder import Encoder, Features, NetworkEncoder, TokenFunction
from sigma_bench.specs.fingerprint import digest
from sigma_bench.specs.model_arguments import ModelArguments


def with_arguments(encoder: Encoder, arguments: ModelArguments) -> Encoder:
    """The encoder with these arguments, which become part of its name and identity; its network is changed.

    Raises:
        ValueError: the encoder is a custom encoder or a control without a network, or its network has no such layer,
            norm or class token.
    """
    if arguments == ModelArguments():
        return encoder
    where = f"model '{encoder.card.model}'"
    if not isinstance(encoder, NetworkEncoder):
        raise ValueError(
            f"{where}: model arguments apply to networks that are loaded by name; a custom encoder chooses its tokens "
            "and their precision in its own code"
        )
    changes = {
        "layer": _cut(encoder, arguments.layer, where),
        "pooling": _set_pooling(encoder, arguments.pooling, where),
        "norm": _set_norm(encoder, arguments.norm, where),
        "dtype": _set_dtype(encoder, arguments.dtype),
    }
    given = {key: value for key, value in changes.items() if value is not None}
    if given:
        suffix = ",".join(f"{key}={str(value).lower()}" for key, value in given.items())
        encoder.card = encoder.card.model_copy(
            update={
                "model": f"{encoder.card.model}[{suffix}]",
                "num_parameters": sum(parameter.numel() for parameter in encoder.network.parameters()),
                "code_sha256": digest([encoder.card.code_sha256, given]),
            }
        )
    return encoder


def _cut(encoder: NetworkEncoder, layer: int | None, where: str) -> int | None:
    """Remove the blocks after a layer; returns its number from 0, or None if it is the last one."""
    if layer is None:
        return None
    if encoder.parts is None:
        raise ValueError(
            f"{where}: layer={layer}, but a {type(encoder.network).__name__} has no list of blocks of one width"
        )
    blocks = encoder.network.get_submodule(encoder.parts.blocks)
    assert isinstance(blocks, nn.ModuleList | nn.Sequential)
    if not -len(blocks) <= layer < len(blocks):
        raise ValueError(f"{where}: layer={layer}, but its layers are 0 to {len(blocks) - 1} (-1 is the last)")
    number = layer % len(blocks)
    if _shapes(blocks[number]) != _shapes(blocks[-1]):
        raise ValueError(
            f"{where}: layer={layer}, but block {number} has other shapes than the last one, so its tokens may have "
            "another width or grid; choose a later layer"
        )
    encoder.network.set_submodule(encoder.parts.blocks, blocks[: number + 1])
    return None if number == len(blocks) - 1 else number


def _shapes(block: nn.Module) -> dict[str, torch.Size]:
    return {name: parameter.shape for name, parameter in block.named_parameters()}


def _set_norm(encoder: NetworkEncoder, norm: bool | None, where: str) -> bool | None:
    """Remove the final norm, or apply that of pooled features to tokens; returns None if nothing changes."""
    parts = encoder.parts
    if norm is None or (parts is not None and norm == (parts.norm is not None)):
        return None
    if parts is None or (norm and parts.pooled_norm is None):
        raise ValueError(f"{where}: norm={str(norm).lower()}, but the network has no norm after its blocks")
    if norm:
        assert parts.pooled_norm is not None
        encoder.tokens = partial(_normed, encoder.tokens, parts.pooled_norm)
    else:
        assert parts.norm is not None
        encoder.network.set_submodule(parts.norm, nn.Identity())
        encoder.parts = parts._replace(norm=None)
    return norm


def _normed(tokens: TokenFunction, norm: str, network: nn.Module, clip_BCTHW: Tensor) -> Features:
    features = tokens(network, clip_BCTHW)
    return Features(network.get_submodule(norm)(features.token_BND), features.grid)


def _set_pooling(encoder: NetworkEncoder, pooling: str | None, where: str) -> str | None:
    if pooling != "class":
        return None
    if encoder.class_tokens is None:
        raise ValueError(f"{where}: pooling=class, but the network has no class token for every frame")
    encoder.tokens = encoder.class_tokens
    return pooling


def _set_dtype(encoder: NetworkEncoder, dtype: str | None) -> str | None:
    if dtype in (None, "float32"):
        return None
    encoder.network.to(getattr(torch, str(dtype)))
    return dtype
