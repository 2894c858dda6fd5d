"""An encoder with the four heads of the cycle detector: class and box of every anchor, left and right.

Shapes: B clips, C T H W a clip, N tokens, D width, A anchors; the axis of 2 is left and right.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from sigma_bench.models.encoder import Encoder, require_trainable
from sigma_bench.models.encoder_output import encoded
from sigma_bench.protocols.counting.spec import CountingProtocol
from sigma_bench.specs.encoder_card import EncoderCard


class CycleDetector(nn.Module):
    """Pooled tokens, normalised, then one linear layer that holds the four heads.

    A frozen encoder is no part of the module: what is saved is what is trained.
    """

    def __init__(self, encoder: Encoder, protocol: CountingProtocol) -> None:
        super().__init__()
        self._halves = 2 if protocol.pooling == "halves" else 1
        self._num_anchors = len(protocol.anchors)
        if protocol.backbone == "trained":
            self.backbone = require_trainable(encoder).backbone(0.0)
        else:
            self._tokens: Callable[[Tensor], Tensor] = lambda clip_BCTHW: encoded(encoder, clip_BCTHW).token_BND
        width = self._halves * encoder.card.feature_width
        self.norm = nn.LayerNorm(width)
        self.heads = nn.Linear(width, 2 * self._num_anchors * 3)

    def forward(self, clip_BCTHW: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of negative and positive (B, 2, A, 2), and boxes (B, 2, A)."""
        token_BND = self.backbone(clip_BCTHW) if hasattr(self, "backbone") else self._tokens(clip_BCTHW)
        pooled_BD = token_BND.unflatten(1, (self._halves, -1)).mean(2).flatten(1).to(self.norm.weight.device)
        said = self.heads(self.norm(pooled_BD)).unflatten(1, (2, self._num_anchors, 3))
        return said[..., :2], said[..., 2]


def make_detector(encoder: Encoder, protocol: CountingProtocol, seed: int, device: torch.device) -> CycleDetector:
    """A detector with its first weights; ValueError where encoder and protocol do not fit."""
    frames_per_half(encoder.card, protocol)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return CycleDetector(encoder, protocol).to(device)


def frames_per_half(card: EncoderCard, protocol: CountingProtocol) -> int:
    """Frames of each half of a clip.

    Raises:
        ValueError: an odd number of frames, fewer than two in a half, halves that no tubelet border divides, or more
            frames than a frozen encoder promises to take.
    """
    asked = protocol.frames_per_half
    half = card.num_frames // 2 if asked == "encoder" else asked
    if (asked == "encoder" and card.num_frames % 2) or half < 2 or half % card.tubelet_frames:
        raise ValueError(
            f"model '{card.model}' takes {card.num_frames} frames in tubelets of {card.tubelet_frames}; counting shows "
            f"it two halves of {half} frames, which must be two or more and whole tubelets"
        )
    if protocol.backbone == "frozen" and 2 * half > card.num_frames:
        raise ValueError(
            f"model '{card.model}' takes {card.num_frames} frames; frozen, it cannot be shown {2 * half}: lower "
            "frames_per_half, or say 'encoder' there"
        )
    return half


def image_size(card: EncoderCard, protocol: CountingProtocol) -> int:
    """Side of a clip in pixels."""
    return card.image_size if protocol.image_size == "encoder" else protocol.image_size
