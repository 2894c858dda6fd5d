"""Checks of what an encoder returns, with the likely cause of a wrong result and what to do.

Shapes: B clips, C colours, T frames, H W pixels, N = T' x H' x W' tokens, D width.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from sigma_bench.models.encoder import Encoder, Features, NetworkEncoder
from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.specs.passes import Precision

TOLERANCE = 1e-3
"""Greatest difference between the tokens of a clip encoded alone and in a batch, relative to their spread."""


def encoded(encoder: Encoder, clip_BCTHW: Tensor, precision: Precision = "float32") -> Features:
    """The features of normalised clips, computed without gradients.

    Args:
        precision: ``bfloat16`` computes under autocast; tokens are float32 in any case.

    Raises:
        ValueError: the encoder does not return ``Features`` of float32 tokens that fill their grid and have the width
            of its card.
    """
    with torch.no_grad(), _autocast(precision):
        features = encode_in_float32(encoder, clip_BCTHW)
    if precision == "bfloat16" and isinstance(features, Features) and isinstance(features.token_BND, Tensor):
        features = Features(features.token_BND.float(), features.grid)
    mistake = features_mistake(features, encoder.card, len(clip_BCTHW), clip_BCTHW.shape[2])
    if mistake is not None:
        raise ValueError(f"model '{encoder.card.model}': {mistake}")
    return features


def encode_in_float32(encoder: Encoder, clip_BCTHW: Tensor) -> Features:
    """What an encoder returns; tokens of a network with float64 weights are rounded to float32, as protocols use."""
    features = encoder.encode(clip_BCTHW)
    if isinstance(encoder, NetworkEncoder):
        return Features(features.token_BND.float(), features.grid)
    return features


@contextmanager
def _autocast(precision: Precision) -> Iterator[None]:
    """Context of mixed precision on the CPU and, if there is one, on the GPU, since an encoder may be on either."""
    is_mixed = precision == "bfloat16"
    on_gpu = is_mixed and torch.cuda.is_available()
    with (
        torch.autocast("cpu", torch.bfloat16, enabled=is_mixed),
        torch.autocast("cuda", torch.bfloat16, enabled=on_gpu),
    ):
        yield


def features_mistake(features: Any, card: EncoderCard, num_clips: int, frames: int) -> str | None:
    """Description of what is wrong with the features of clips of ``frames`` frames; None if they are right."""
    if (mistake := _kind_mistake(features)) is not None:
        return mistake
    grid = features.grid
    if grid[0] * card.tubelet_frames != frames:
        return f"the grid is {grid}, but {frames} frames in tubelets of {card.tubelet_frames} make other time slots"
    return token_mistake(features.token_BND, num_clips, grid, card.feature_width)


def token_mistake(found: object, num_clips: int, grid: tuple[int, int, int], width: int) -> str | None:
    """Description of an output that is not float32 tokens (B, N, D), with advice; None if the output is right.

    Args:
        grid: time slots, rows and columns of the tokens.
        width: features of a token, D.
    """
    if not isinstance(found, Tensor):
        return no_tensor(found)
    shape, expected = tuple(found.shape), (num_clips, math.prod(grid), width)
    if shape != expected:
        found_shape = (
            f"a tensor of shape {shape}, not (B, N, D) = {expected} for the grid {tuple(grid)} and the width {width}"
        )
        guess = _guess(shape, expected, grid)
        return f"{found_shape}: {guess}" if guess else found_shape
    if found.dtype != torch.float32:
        return f"tokens of {found.dtype}; return float32, as tokens.float() makes them"
    return None


def typed(found: object) -> str:
    """The type of a value, for an error."""
    return "None" if found is None else f"an object of type {type(found).__name__}"


def no_tensor(found: object) -> str:
    """Description of an output that is not a tensor, with advice on what to return instead."""
    advice = "return the tensor of tokens (B, N, D)"
    if found is None:
        return f"None; {advice} at the end of forward"
    kind = typed(found)
    if hasattr(found, "last_hidden_state") or (isinstance(found, dict) and "last_hidden_state" in found):
        return f"{kind}; return its last_hidden_state, without a class token"
    if isinstance(found, dict):
        return f"{kind} with the keys {', '.join(map(str, list(found)[:5]))}; {advice}"
    if isinstance(found, list | tuple):
        return f"{kind} with {len(found)} items; {advice}, such as the last item"
    if hasattr(found, "__array__"):
        return f"{kind}; {advice}, as torch.from_numpy makes it"
    return f"{kind}; {advice}"


def _guess(shape: tuple[int, ...], expected: tuple[int, int, int], grid: tuple[int, int, int]) -> str:
    """The common mistake that a shape suggests; empty if none."""
    clips, tokens, width = expected
    if shape == (clips, width):
        return "this looks like pooled features; return all tokens"
    if len(shape) == 2 and shape in ((tokens, width), (clips * tokens, width)):
        return "the dimension of clips is missing; keep it as the first one"
    if shape == (clips, width, tokens):
        return "the last two dimensions look swapped; return tokens.transpose(1, 2)"
    if shape == (tokens, clips, width):
        return "the first two dimensions look swapped; return tokens.transpose(0, 1)"
    if shape in ((clips, width, *grid), (clips, *grid, width)):
        return "this looks like a map; return it with " + (
            "flatten(2).transpose(1, 2)" if shape[1] == width else "flatten(1, 3)"
        )
    if len(shape) == 3 and shape[0] == clips and shape[2] == width:
        return _guess_tokens(shape[1], tokens)
    if len(shape) == 3 and shape[:2] == (clips, tokens):
        return f"the tokens are {shape[2]} wide; correct feature_width"
    return ""


def _guess_tokens(found: int, expected: int) -> str:
    counts = f"{found} tokens for a grid of {expected}"
    if found == expected + 1:
        return f"{counts}; if one of them is a class token, leave it out, as tokens[:, 1:] does"
    if expected < found <= expected + 16:
        return f"{counts}; if {found - expected} of them are class and register tokens, leave them out"
    return f"{counts}; check the grid for this number of frames and this image size"


def _kind_mistake(features: object) -> str | None:
    if not isinstance(features, Features):
        return f"encode returns {typed(features)}; return sigma_bench.Features(tokens, grid)"
    grid = features.grid
    if not (isinstance(grid, tuple) and len(grid) == 3 and all(isinstance(cells, int) for cells in grid)):
        return f"the grid is {grid!r}; give three whole numbers: time slots, rows and columns"
    return None


def noise_clips(batch: int, frames: int, size: int) -> Tensor:
    """Smooth noise in the range of normalised colours, (B, C, T, H, W), always the same."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(batch, 3, frames, max(1, size // 8), max(1, size // 8), generator=generator)
    return torch.nn.functional.interpolate(coarse, size=(frames, size, size), mode="trilinear", align_corners=False)
