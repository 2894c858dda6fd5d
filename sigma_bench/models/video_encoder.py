"""The video ViT as an encoder of clips: all tubes are visible, and the final norm is applied.

Shapes: B clips, C colours, T frames, H W pixels, N = T' x H' x W' tokens, D width.
"""

from typing import Protocol

from torch import Tensor, nn

from sigma_bench.models.encoder import Features, Parts
from sigma_bench.specs.recipe import EncoderSpec
from sigma_bench.specs.strict import parse_spec


class ClipGeometry(Protocol):
    """Anything that states the frames and the size of clips."""

    @property
    def num_frames(self) -> int: ...

    @property
    def image_size(self) -> int: ...


VIDEO_PARTS = Parts(blocks="blocks", norm="norm")


def video_tokens(vit: nn.Module, clip_BCTHW: Tensor) -> Features:
    """Tokens of a ``VideoViT``."""
    spec: EncoderSpec = vit.spec  # type: ignore[assignment]
    frames, height, width = clip_BCTHW.shape[2:]
    slots, rows, _ = spec.grid(frames, height)
    return Features(vit(clip_BCTHW), (slots, rows, spec.grid(frames, width)[2]))


def resized(spec: EncoderSpec, num_frames: int | None, image_size: int | None, *, where: str) -> EncoderSpec:
    """The geometry for clips of another length or size; positions are recomputed, not interpolated.

    Raises:
        ValueError: frames or size do not divide into tubes.
    """
    frames = spec.num_frames if num_frames is None else num_frames
    size = spec.image_size if image_size is None else image_size
    if frames < 1 or size < 1 or frames % spec.tubelet_frames or size % spec.patch_size:
        raise ValueError(
            f"{where}: cannot take {frames} frames at {size} px: its tubes are {spec.tubelet_frames} frames x "
            f"{spec.patch_size} px; use multiples of both"
        )
    return parse_spec(EncoderSpec, {**spec.model_dump(), "num_frames": frames, "image_size": size}, where=where)


def geometry_suffix(spec: ClipGeometry, own: ClipGeometry) -> str:
    """``@<frames>x<size>`` if the clips differ from those of the checkpoint, so that each has its table row."""
    if (spec.num_frames, spec.image_size) == (own.num_frames, own.image_size):
        return ""
    return f"@{spec.num_frames}x{spec.image_size}"
