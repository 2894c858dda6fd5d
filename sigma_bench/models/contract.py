"""Does an encoder keep its contract?  Checked on synthetic clips, before anything long is started.

Shapes: B clips, C colours, T frames, H W pixels, N tokens, D width.
"""

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from sigma_bench.models.encoder import Encoder

TOLERANCE = 1e-3
"""Largest difference, relative to the features' spread, between a clip encoded alone and in a batch."""


class Check(NamedTuple):
    """One question, and what came out."""

    question: str
    passed: bool
    found: str


def check_encoder(encoder: Encoder) -> Iterator[Check]:
    """Every question of the contract in turn; what raises inside the encoder comes through."""
    card = encoder.card
    clip_BCTHW = _noise(3, card.num_frames, card.image_size)
    started = time.monotonic()
    features = encoder.encode(clip_BCTHW)
    seconds = time.monotonic() - started
    token_BND = features.token_BND
    num_tokens = features.grid[0] * features.grid[1] * features.grid[2]
    expected = (3, num_tokens, card.feature_width)
    yield Check(
        "tokens (B, N, D) with N = T' x H' x W' and the card's width",
        tuple(token_BND.shape) == expected,
        f"{tuple(token_BND.shape)}, grid {features.grid}, width {card.feature_width}",
    )
    if tuple(token_BND.shape) != expected:
        return  # nothing else can be asked
    finite = bool(torch.isfinite(token_BND).all())
    yield Check("finite values", finite, "all" if finite else f"{int((~torch.isfinite(token_BND)).sum())} are not")
    spread = float(token_BND.float().std())
    yield Check("another clip has other tokens", spread > 0 and _differs(token_BND), f"standard deviation {spread:.3g}")
    for question, again in _repeats(encoder, clip_BCTHW):
        distance = float((again() - token_BND).abs().max()) / max(spread, 1e-12)
        yield Check(question, distance <= TOLERANCE, f"largest difference {distance:.1e} of the spread")
    yield _shorter_clip(encoder)
    yield Check("no gradients are kept", not token_BND.requires_grad, f"{3 / seconds:.1f} clips/s here")


def _repeats(encoder: Encoder, clip_BCTHW: Tensor) -> Iterator[tuple[str, Callable[[], Tensor]]]:
    yield "the same clips twice give the same tokens", lambda: encoder.encode(clip_BCTHW).token_BND
    yield (
        "a clip does not depend on its batch",
        lambda: torch.cat([encoder.encode(clip[None]).token_BND for clip in clip_BCTHW]),
    )
    yield (
        "the order of the batch does not matter",
        lambda: encoder.encode(clip_BCTHW.flip(0)).token_BND.flip(0),
    )


def _shorter_clip(encoder: Encoder) -> Check:
    card = encoder.card
    frames = card.num_frames - card.tubelet_frames
    question = f"a clip of {frames} frames is allowed (unsupervised segmentation asks for it)"
    if frames < 1:
        return Check("a clip of one tubelet", True, "nothing shorter to ask")
    features = encoder.encode(_noise(1, frames, card.image_size))
    slots = frames // card.tubelet_frames
    rows_columns = features.grid[1] * features.grid[2]
    passed = features.grid[0] == slots and features.token_BND.shape[1] == slots * rows_columns
    return Check(question, passed, f"grid {features.grid}, tokens {features.token_BND.shape[1]}")


def _differs(token_BND: Tensor) -> bool:
    return not torch.equal(token_BND[0], token_BND[1])


def _noise(batch: int, frames: int, size: int) -> Tensor:
    """Smooth noise of the size of normalised colours; drawn from a stream of its own."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(batch, 3, frames, max(1, size // 8), max(1, size // 8), generator=generator)
    return torch.nn.functional.interpolate(coarse, size=(frames, size, size), mode="trilinear", align_corners=False)
