"""Checks of an encoder on synthetic clips, before a long evaluation is started.

Shapes: B clips, C colours, T frames, H W pixels, N tokens, D width.
"""

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from sigma_bench.failures import failure_sentence, reason
from sigma_bench.models.custom_geometry import FixedGridError
from sigma_bench.models.encoder import Encoder, TrainableEncoder
from sigma_bench.models.encoder_output import TOLERANCE, encode_in_float32, features_mistake, noise_clips
from sigma_bench.models.token_order import RIGHT_ORDER, find_token_order

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
        features = encode_in_float32(encoder, shown_BCTHW)
        mistake = features_mistake(features, card, _CLIPS, card.num_frames)
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
    yield _larger_frames(encoder)
    yield Check("no gradients are kept", not token_BND.requires_grad, f"{_CLIPS / seconds:.1f} clips/s here")
    can_train = (
        getattr(encoder, "parts", None) is not None and getattr(encoder, "dtype", torch.float32) == torch.float32
    )
    if isinstance(encoder, TrainableEncoder) and can_train:
        yield check_training(encoder)


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
        lambda: encode_in_float32(encoder, clip_BCTHW.clone()).token_BND,
    )
    yield (
        "a clip does not depend on its batch",
        batch,
        lambda: torch.cat([encode_in_float32(encoder, clip[None].clone()).token_BND for clip in clip_BCTHW]),
    )
    yield (
        "the order of the batch does not matter",
        batch,
        lambda: encode_in_float32(encoder, clip_BCTHW.flip(0)).token_BND.flip(0),
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
    frames = card.num_frames - card.tubelet_frames if card.min_frames is None else card.min_frames
    if frames == card.num_frames:
        return Check(f"clips of {frames} frames only", True, "as the card says; protocols ask for no shorter clips")
    if frames < 1:
        return Check("a clip of one tubelet", True, "there is no shorter clip")

    def answer() -> tuple[bool, str]:
        try:
            features = encode_in_float32(encoder, noise_clips(1, frames, card.image_size))
        except FixedGridError:
            return True, "not taken, because the token grid is fixed"
        mistake = features_mistake(features, card, 1, frames)
        return mistake is None, mistake or f"taken, grid {features.grid}, {features.token_BND.shape[1]} tokens"

    check = _asked(f"a clip of {frames} frames", answer)
    needed = "" if check.passed else "; unsupervised segmentation needs shorter clips, unless the token grid is fixed"
    return check._replace(found=f"{check.found}{needed}")


def _larger_frames(encoder: Encoder) -> Check:
    """Whether frames of twice the size are encoded or refused with a ValueError; both are allowed."""
    card, side = encoder.card, 2 * encoder.card.image_size
    frames = max(card.tubelet_frames, card.min_frames or 0)

    def answer() -> tuple[bool, str]:
        try:
            features = encode_in_float32(encoder, noise_clips(1, frames, side))
        except FixedGridError:
            return True, "not taken, because the token grid is fixed"
        except ValueError:
            return True, "not taken, so label propagation needs short_side 'encoder'"
        mistake = features_mistake(features, card, 1, frames)
        return mistake is None, mistake or f"taken, grid {features.grid}"

    return _asked(f"frames of {side} x {side} px", answer)


def check_training(encoder: TrainableEncoder) -> Check:
    """Whether the network can be fine-tuned, by one forward and backward pass of its copy for training."""
    question = "the network can be fine-tuned"
    card = encoder.card
    try:
        backbone = encoder.backbone(0.0).eval()
        trained = {name: value for name, value in backbone.named_parameters() if value.requires_grad}
        with torch.enable_grad():
            token_BND = backbone(noise_clips(1, card.num_frames, card.image_size).to(next(iter(trained.values()))))
            gradients = torch.autograd.grad(token_BND.sum(), list(trained.values()), allow_unused=True)
    except Exception as error:
        return Check(question, False, reason(error))
    unused = [name for name, gradient in zip(trained, gradients, strict=True) if gradient is None]
    if unused:
        return Check(
            question,
            False,
            f"the tokens do not depend on '{unused[0]}'{f' and {len(unused) - 1} more' * (len(unused) > 1)}",
        )
    if token_BND.shape[2] != card.feature_width:
        return Check(question, False, f"the tokens are {token_BND.shape[2]} wide before the final norm")
    return Check(question, True, f"embedding and {max(map(backbone.layer_of, trained))} blocks")
