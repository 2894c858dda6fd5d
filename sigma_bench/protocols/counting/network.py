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
    """Pooling of the tokens, a layer norm, and one linear layer that holds the four heads.

    A frozen encoder is not a submodule, so that the saved state holds trained weights only.
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
        output = self.heads(self.norm(pooled_BD)).unflatten(1, (2, self._num_anchors, 3))
        return output[..., :2], output[..., 2]


def make_detector(encoder: Encoder, protocol: CountingProtocol, seed: int, device: torch.device) -> CycleDetector:
    """A detector with initial weights; ValueError if the encoder does not fit the protocol."""
    frames_per_half(encoder.card, protocol)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return CycleDetector(encoder, protocol).to(device)


def frames_per_half(card: EncoderCard, protocol: CountingProtocol) -> int:
    """Number of frames in each half of a clip.

    Raises:
        ValueError: the number of frames is odd, a half has fewer than two frames or is not a whole number of tubelets,
            or a clip has more frames than the card of a frozen encoder states, or fewer than the encoder takes.
    """
    wanted = protocol.frames_per_half
    half = card.num_frames // 2 if wanted == "encoder" else wanted
    if (wanted == "encoder" and card.num_frames % 2) or half < 2 or half % card.tubelet_frames:
        raise ValueError(
            f"model '{card.model}' takes {card.num_frames} frames in tubelets of {card.tubelet_frames}; counting gives "
            f"it two halves of {half} frames, each of which must be a whole number of tubelets and at least two frames"
        )
    if protocol.backbone == "frozen" and 2 * half > card.num_frames:
        raise ValueError(
            f"model '{card.model}' takes {card.num_frames} frames, and a frozen encoder cannot be given {2 * half}; "
            "lower frames_per_half, or set it to 'encoder'"
        )
    if card.min_frames is not None and 2 * half < card.min_frames:
        raise ValueError(
            f"model '{card.model}' takes clips of at least {card.min_frames} frames, not of {2 * half}; set "
            f"frames_per_half to {-(-card.min_frames // 2)} or more, or to 'encoder'"
        )
    return half


def image_size(card: EncoderCard, protocol: CountingProtocol) -> int:
    """Side of a clip in pixels."""
    return card.image_size if protocol.image_size == "encoder" else protocol.image_size
