"""Protocols that carry the masks of a first frame through a sequence."""

from typing import Literal

from sigma_bench.specs.base_protocol import BaseProtocol
from sigma_bench.specs.recipe import Count, Positive

DavisMetric = Literal["jf_mean", "j_mean", "j_recall", "j_decay", "f_mean", "f_recall", "f_decay"]


class PropagationProtocol(BaseProtocol):
    """Semi-supervised video object segmentation by label propagation (DINO, arXiv 2104.14294, section 4.2.2)."""

    kind: Literal["propagation"]
    short_side: Count | Literal["encoder", "twice_encoder"]
    """Of the frames the encoder sees, pixels; ``encoder``: the size of its clips; ``twice_encoder``: twice that."""
    aspect: Literal["squash", "keep"]
    """``squash``: a square; ``keep``: the long side follows, floored to a multiple of ``long_side_multiple_px``."""
    long_side_multiple_px: Count
    frame_to_clip: Literal["repeat"]
    """A frame is encoded by itself, repeated until it fills one tubelet: one map per frame for every encoder."""
    context_frames: Count
    """Frames before the current one whose soft masks are remembered, beside the first frame's."""
    radius_patches: Count
    """A patch looks at context patches at most so many rows and columns away."""
    top_k: Count
    """Most similar context patches that count, over all context frames together."""
    temperature: Positive
    """A context patch of cosine s counts with weight exp(s / temperature)."""
    scored_frames: Literal["without_first_and_last"]
    """The official rule of the semi-supervised track."""
    void_label: Literal["background"]
    """The official rule of the semi-supervised track: void (255) is no object and is not left out."""
    on_decode_failure: Literal["fail"]
    metrics: tuple[DavisMetric, ...]

    @property
    def unused_keys(self) -> tuple[str, ...]:
        return ("long_side_multiple_px",) if self.aspect == "squash" else ()
