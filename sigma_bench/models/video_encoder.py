"""The video ViT as an encoder of clips: all tubes are visible, and the final norm is applied.

Shapes: B clips, C colours, T frames, H W pixels, N = T' x H' x W' tokens, D width.
"""

import copy

import torch
from timm.layers import DropPath
from torch import Tensor, nn

from sigma_bench.models.checkpoints import LoadReport
from sigma_bench.models.encoder import Backbone, Features, NetworkEncoder
from sigma_bench.models.video_vit import VideoViT, drop_path_rates
from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.specs.recipe import EncoderSpec
from sigma_bench.specs.strict import parse_spec


class VideoViTEncoder(NetworkEncoder):
    """A video ViT as an encoder."""

    def __init__(self, vit: VideoViT, card: EncoderCard, report: LoadReport | None = None) -> None:
        super().__init__(vit, card, report)
        self._vit, self.spec = vit, vit.spec

    @torch.inference_mode()
    def encode(self, clip_BCTHW: Tensor) -> Features:
        token_BND = self._network(clip_BCTHW.to(next(self._network.parameters()).device))
        frames, height, width = clip_BCTHW.shape[2:]
        slots, rows, _ = self.spec.grid(frames, height)
        return Features(token_BND, (slots, rows, self.spec.grid(frames, width)[2]))

    def backbone(self, drop_path: float) -> Backbone:
        return VideoBackbone(copy.deepcopy(self._vit), drop_path)


class VideoBackbone(Backbone):
    """A video ViT without its final norm."""

    def __init__(self, vit: VideoViT, drop_path: float) -> None:
        super().__init__()
        self.vit = vit.requires_grad_(True)
        self.vit.norm = nn.Identity()  # type: ignore[assignment]
        for block, rate in zip(vit.blocks, drop_path_rates(drop_path, len(vit.blocks)), strict=True):
            block.drop_path = DropPath(rate)

    def forward(self, clip_BCTHW: Tensor) -> Tensor:
        return self.vit(clip_BCTHW)


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


def geometry_suffix(spec: EncoderSpec, own: EncoderSpec) -> str:
    """``@<frames>x<size>`` if the clips differ from those of the checkpoint, so that each has its table row."""
    if (spec.num_frames, spec.image_size) == (own.num_frames, own.image_size):
        return ""
    return f"@{spec.num_frames}x{spec.image_size}"
