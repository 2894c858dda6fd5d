"""Image models of timm as encoders of clips: every frame is encoded separately.

The result of timm's ``forward_features`` has one of three forms, given by its rank and the attribute ``output_fmt``:
tokens (B, N, C) after ``num_prefix_tokens`` class and register tokens, maps (B, C, h, w), or maps (B, h, w, C) if
``output_fmt`` is ``'NHWC'`` (such as in Swin).

Shapes: B clips or images, C colours, T frames, H W pixels, h w rows and columns of tokens, N tokens, D width.
"""

import math
from typing import Any

import torch
from timm.models import VisionTransformer
from torch import Tensor, nn

from sigma_bench.models.checkpoints import LoadReport
from sigma_bench.models.encoder import Features, NetworkEncoder, Parts
from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.specs.recipe import ImageEncoderSpec

IMAGES_AT_ONCE = 128
"""Greatest number of frames in one forward pass; 64 clips of 16 frames would take tens of gigabytes."""


def frame_tokens(model: Any, image_BCHW: Tensor) -> tuple[Tensor, tuple[int, int]]:
    """Tokens (B, N, D) of images in order row, column, and the numbers of rows and columns.

    Args:
        model: any timm image model.

    Raises:
        ValueError: the features of the model are not one token map.
    """
    feature = model.forward_features(image_BCHW)
    rank = feature.ndim if isinstance(feature, Tensor) else 0
    if rank == 4:
        channels_last = getattr(model, "output_fmt", None) == "NHWC"
        map_BhwD = feature if channels_last else feature.permute(0, 2, 3, 1)
        return map_BhwD.flatten(1, 2), (map_BhwD.shape[1], map_BhwD.shape[2])
    if rank == 3:
        token_BND = feature[:, getattr(model, "num_prefix_tokens", 0) :]
        reduction = model.feature_info[-1]["reduction"]
        rows, columns = (math.ceil(side / reduction) for side in image_BCHW.shape[-2:])
        if token_BND.shape[1] == rows * columns:
            return token_BND, (rows, columns)
    found = tuple(feature.shape) if rank else type(feature).__name__
    raise ValueError(
        f"{type(model).__name__} gives features of form {found} for images of {tuple(image_BCHW.shape[-2:])} px, "
        "which are neither tokens nor one feature map; choose a model that keeps a token map, such as a ViT or a CNN"
    )


class FrameEncoder(NetworkEncoder):
    """An image model that encodes a clip frame by frame.

    Outside training, a clip whose frames are all equal is encoded once.
    """

    def __init__(self, network: nn.Module, card: EncoderCard, report: LoadReport | None = None) -> None:
        parts = Parts(blocks="blocks", norm="norm") if isinstance(network, VisionTransformer) else None
        super().__init__(network, card, _clip_tokens, parts=parts, report=report)


def _clip_tokens(network: nn.Module, clip_BCTHW: Tensor) -> Features:
    batch, _, frames = clip_BCTHW.shape[:3]
    is_still = not network.training and bool((clip_BCTHW[:, :, 1:] == clip_BCTHW[:, :, :1]).all())
    read = 1 if is_still else frames
    parts = clip_BCTHW[:, :, :read].transpose(1, 2).flatten(0, 1).split(IMAGES_AT_ONCE)
    tokens, grids = zip(*(frame_tokens(network, image_BCHW) for image_BCHW in parts), strict=True)
    token_BTND = torch.cat(tokens).reshape(batch, read, tokens[0].shape[1], -1)
    return Features(token_BTND.expand(-1, frames, -1, -1).flatten(1, 2), (frames, *grids[0]))


def image_vit(spec: ImageEncoderSpec) -> VisionTransformer:
    """A ViT with a class token and no classifier; positions are interpolated for crops of another size."""
    return VisionTransformer(
        img_size=spec.image_size,
        patch_size=spec.patch_size,
        embed_dim=spec.width,
        depth=spec.depth,
        num_heads=spec.num_heads,
        num_classes=0,
        dynamic_img_size=True,
    )
