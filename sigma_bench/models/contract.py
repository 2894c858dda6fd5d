"""Checks of the encoder contract on synthetic clips, before a long evaluation is started.

Shapes: B clips, C colours, T frames, H W pixels, N tokens, D width.
"""

import math
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sigma_bench.failures import failure_sentence
from sigma_bench.models.encoder import Encoder, Features
from sigma_bench.models.token_order import RIGHT_ORDER, find_token_order
from sigma_bench.specs.encoder_card import EncoderCard

TOLERANCE = 1e-3
"""Greatest difference between the tokens of a clip encoded alone and in a batch, relative to their spread."""
_CLIPS = 3


class Check(NamedTuple):
    """The result of one check."""

    question: str
    passed: bool
    found: str


def check_encoder(encoder: Encoder) -> Iterator[Check]:
    """Run the checks of the contract in order; a check fails if the encoder raises an exception."""
    card = encoder.card
    clip_BCTHW = noise_clips(_CLIPS, card.num_frames, card.image_size)
    shown_BCTHW = clip_BCTHW.clone()
    started = time.monotonic()
    question = "float32 tokens (B, N, D) with N = T' x H' x W' and the card's width"
    try:
        features = encoder.encode(shown_BCTHW)
        mistake = _features_mistake(features, card, _CLIPS, card.num_frames)
    except Exception as error:
        yield Check(question, False, _said(error))
        return
    seconds = time.monotonic() - started
    if mistake is not None:
        yield Check(question, False, mistake)
        return  # nothing else can be checked
    token_BND = features.token_BND.clone()  # a network may return the same memory every time
    yield Check(question, True, f"{tuple(token_BND.shape)}, grid {features.grid}, width {card.feature_width}")
    yield _asked("the clips are left as they are", lambda: _unchanged(clip_BCTHW, shown_BCTHW))
    finite = bool(torch.isfinite(token_BND).all())
    yield Check("finite values", finite, "all" if finite else f"{int((~torch.isfinite(token_BND)).sum())} are not")
    spread = float(token_BND.std())
    differs = not torch.equal(token_BND[0], token_BND[1])
    yield Check("another clip has other tokens", spread > 0 and differs, f"standard deviation {spread:.3g}")
    for question, why, again in _repeats(encoder, clip_BCTHW):
        yield _asked(question, lambda again=again, why=why: _equal(again(), token_BND, spread, why))  # type: ignore[misc]
    yield _asked("tokens are in order time, row, column", lambda: _order(encoder, clip_BCTHW))
    yield _shorter_clip(encoder)
    yield Check("no gradients are kept", not token_BND.requires_grad, f"{_CLIPS / seconds:.1f} clips/s here")


def token_mistake(found: object, num_clips: int, grid: tuple[int, int, int], width: int) -> str | None:
    """What is wrong with an output that should be float32 tokens (B, N, D), and what to do; None if it is right.

    Args:
        grid: time slots, rows and columns of the tokens.
        width: features of a token, D.
    """
    if not isinstance(found, Tensor):
        return no_tensor(found)
    shape, expected = tuple(found.shape), (num_clips, math.prod(grid), width)
    if shape != expected:
        said = f"a tensor of shape {shape}, not (B, N, D) = {expected} for the grid {tuple(grid)} and the width {width}"
        guess = _guess(shape, expected, grid)
        return f"{said}: {guess}" if guess else said
    if found.dtype != torch.float32:
        return _other_type(found)
    return None


def typed(found: object) -> str:
    """The type of a value, for an error."""
    return "None" if found is None else f"an object of type {type(found).__name__}"


def no_tensor(found: object) -> str:
    """What an output that is no tensor is, and what to return instead."""
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
    said = f"{found} tokens for a grid of {expected}"
    if found == expected + 1:
        return f"{said}; if one of them is a class token, leave it out, as tokens[:, 1:] does"
    if expected < found <= expected + 16:
        return f"{said}; if {found - expected} of them are class and register tokens, leave them out"
    return f"{said}; check the grid for this number of frames and this image size"


def encoded(encoder: Encoder, clip_BCTHW: Tensor) -> Features:
    """What an encoder returns for normalised clips, without gradients.

    Raises:
        ValueError: it is not ``Features`` of float32 tokens and a grid.  Shapes are left to the caller.
    """
    with torch.no_grad():
        features = encoder.encode(clip_BCTHW)
    mistake = _kind_mistake(features)
    if mistake is None and not isinstance(features.token_BND, Tensor):
        mistake = f"the tokens are {no_tensor(features.token_BND)}"
    if mistake is None and features.token_BND.dtype != torch.float32:
        mistake = f"the encoder returns {_other_type(features.token_BND)}"
    if mistake is not None:
        raise ValueError(f"model '{encoder.card.model}': {mistake}")
    return features


def _kind_mistake(features: object) -> str | None:
    if not isinstance(features, Features):
        return f"encode returns {typed(features)}; return sigma_bench.Features(tokens, grid)"
    grid = features.grid
    if not (isinstance(grid, tuple) and len(grid) == 3 and all(isinstance(cells, int) for cells in grid)):
        return f"the grid is {grid!r}; give three whole numbers: time slots, rows and columns"
    return None


def _other_type(token_BND: Tensor) -> str:
    return f"tokens of {token_BND.dtype}; return float32, as tokens.float() makes them"


def _features_mistake(features: Any, card: EncoderCard, num_clips: int, frames: int) -> str | None:
    if (mistake := _kind_mistake(features)) is not None:
        return mistake
    grid = features.grid
    if grid[0] * card.tubelet_frames != frames:
        return f"the grid is {grid}, but {frames} frames in tubelets of {card.tubelet_frames} make other time slots"
    return token_mistake(features.token_BND, num_clips, grid, card.feature_width)


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, ValueError) and str(error).startswith("model '") else failure_sentence(error)


def _asked(question: str, answer: Callable[[], tuple[bool, str]]) -> Check:
    try:
        return Check(question, *answer())
    except Exception as error:
        return Check(question, False, _said(error))


def _unchanged(clip_BCTHW: Tensor, shown_BCTHW: Tensor) -> tuple[bool, str]:
    same = torch.equal(clip_BCTHW, shown_BCTHW)
    return same, "all" if same else "the network writes into its input; work on a copy, such as clip.clone()"


def _equal(again_BND: Tensor, token_BND: Tensor, spread: float, why: str) -> tuple[bool, str]:
    distance = float((again_BND - token_BND).abs().max()) / max(spread, 1e-12)
    found = f"largest difference {distance:.1e} of the spread"
    return distance <= TOLERANCE, found if distance <= TOLERANCE else f"{found}; {why}"


def _repeats(encoder: Encoder, clip_BCTHW: Tensor) -> Iterator[tuple[str, str, Callable[[], Tensor]]]:
    """Ways to encode the same clips again, each with the usual reason for a different result."""
    batch = (
        "the cause may be statistics over the batch, such as a BatchNorm in training mode, or a reshape that mixes "
        "clips and tokens"
    )
    yield (
        "the same clips twice give the same tokens",
        "the cause may be dropout or another random draw that is always on, or a state that calls change",
        lambda: encoder.encode(clip_BCTHW.clone()).token_BND,
    )
    yield (
        "a clip does not depend on its batch",
        batch,
        lambda: torch.cat([encoder.encode(clip[None].clone()).token_BND for clip in clip_BCTHW]),
    )
    yield (
        "the order of the batch does not matter",
        batch,
        lambda: encoder.encode(clip_BCTHW.flip(0)).token_BND.flip(0),
    )


def _order(encoder: Encoder, clip_BCTHW: Tensor) -> tuple[bool, str]:
    order = find_token_order(encoder, clip_BCTHW)
    if order.num_places == 0:
        return True, "there is only one token"
    found = f"{order.num_hits} of {order.num_places} disturbed tubes change the token of their place"
    if order.is_right:
        return True, found
    other = "" if order.likeliest == RIGHT_ORDER else f"; the order looks like {order.likeliest}"
    return False, f"{found}{other}; reorder the tokens in forward"


def _shorter_clip(encoder: Encoder) -> Check:
    card = encoder.card
    frames = card.num_frames - card.tubelet_frames
    if frames < 1:
        return Check("a clip of one tubelet", True, "nothing shorter to ask")

    def answer() -> tuple[bool, str]:
        features = encoder.encode(noise_clips(1, frames, card.image_size))
        mistake = _features_mistake(features, card, 1, frames)
        return mistake is None, mistake or f"grid {features.grid}, tokens {features.token_BND.shape[1]}"

    return _asked(f"a clip of {frames} frames is allowed (unsupervised segmentation asks for it)", answer)


def noise_clips(batch: int, frames: int, size: int) -> Tensor:
    """Smooth noise of the size of normalised colours, (B, C, T, H, W); drawn from a stream of its own."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(batch, 3, frames, max(1, size // 8), max(1, size // 8), generator=generator)
    return torch.nn.functional.interpolate(coarse, size=(frames, size, size), mode="trilinear", align_corners=False)
