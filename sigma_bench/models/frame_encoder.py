"""Image models of timm as encoders of clips: every frame is encoded separately.

The result of timm's ``forward_features`` has one of three forms, given by its rank and the attribute ``output_fmt``:
tokens (B, N, C) after ``num_prefix_tokens`` class and register tokens, maps (B, C, h, w), or maps (B, h, w, C) if
``output_fmt`` is ``'NHWC'`` (such as in Swin).  The tokens of Hiera come in the order of its mask units and are put
back in the order row, column.

Whether tokens pass a final norm follows the published model: models that pool by a mean (EVA-02, BEiT) have a norm
after pooling only.

Shapes: B clips or images, C colours, T frames, H W pixels, h w rows and columns of tokens, N tokens, D width.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from timm.models import Beit, Eva, Hiera, VisionTransformer, VisionTransformerSAM
from torch import Tensor, nn

from sigma_bench.models.checkpoints import LoadReport
from sigma_bench.models.encoder import Features, NetworkEncoder, Parts
from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.specs.recipe import ImageEncoderSpec

ImageFunction = Callable[[Tensor], tuple[Tensor, tuple[int, int]]]
"""Images (B, C, H, W) -> tokens (B, N, D) in order row, column, and the numbers of rows and columns."""
IMAGES_AT_ONCE = 128
"""Greatest number of frames in one forward pass; 64 clips of 16 frames would take tens of gigabytes."""


class ImageSizes(NamedTuple):
    """The sizes of images that a network takes."""

    multiple: int = 1
    """Height and width are multiples of this number of pixels."""
    only: int | None = None
    """The one height and width; None for any."""


def framewise(tokens_of_images: ImageFunction, clip_BCTHW: Tensor) -> Features:
    """The tokens of clips of any number of frames, each frame encoded separately.

    Without gradients, a batch whose clips are all still is encoded once per clip.

    Args:
        tokens_of_images: it receives at most ``IMAGES_AT_ONCE`` images at a time, with gradients all of them, since
            the drop path draws once for each clip of a batch.
    """
    batch, _, frames = clip_BCTHW.shape[:3]
    is_still = not torch.is_grad_enabled() and bool((clip_BCTHW[:, :, 1:] == clip_BCTHW[:, :, :1]).all())
    read = 1 if is_still else frames
    at_once = batch * read if torch.is_grad_enabled() else IMAGES_AT_ONCE
    chunks = clip_BCTHW[:, :, :read].transpose(1, 2).flatten(0, 1).split(at_once)
    tokens, grids = zip(*map(tokens_of_images, chunks), strict=True)
    token_BTND = torch.cat(tokens).unflatten(0, (batch, read))
    return Features(token_BTND.expand(-1, frames, -1, -1).flatten(1, 2), (frames, *grids[0]))


def frame_tokens(model: Any, image_BCHW: Tensor) -> tuple[Tensor, tuple[int, int]]:
    """Tokens (B, N, D) of images in order row, column, and the numbers of rows and columns.

    Args:
        model: any timm image model.

    Raises:
        ValueError: the features of the model are not one token map.
    """
    feature = model.forward_features(image_BCHW)
    if isinstance(model, Hiera):
        feature = model.reroll(feature, len(model.blocks) - 1)
    rank = feature.ndim if isinstance(feature, Tensor) else 0
    if rank == 4:
        channels_last = isinstance(model, Hiera) or getattr(model, "output_fmt", None) == "NHWC"
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

    A network that takes images of one size only has to be built for the image size of the card.
    """

    def __init__(self, network: nn.Module, card: EncoderCard, report: LoadReport | None = None) -> None:
        sizes = image_sizes(network, card.image_size)
        super().__init__(
            network,
            card,
            partial(_clip_tokens, sizes=sizes),
            parts=image_parts(network),
            class_tokens=partial(_class_tokens, sizes=sizes) if has_class_token(network) else None,
            report=report,
        )


def image_sizes(model: Any, built_px: int) -> ImageSizes:
    """The sizes of images that a model of timm takes, which was built for images of ``built_px`` pixels."""
    takes_any = isinstance(model, VisionTransformerSAM) or getattr(model, "dynamic_img_size", False)
    if takes_any and isinstance(model, VisionTransformer | Eva | VisionTransformerSAM):
        patch: Any = model.feature_info[-1]["reduction"]
        return ImageSizes(multiple=patch)
    is_fixed = getattr(model, "pretrained_cfg", {}).get("fixed_input_size", False)
    return ImageSizes(only=built_px) if is_fixed else ImageSizes()


def image_parts(model: nn.Module) -> Parts | None:
    """The parts of a ViT, of the classes EVA and BEiT, or of Hiera; None for any other model.

    The stages of other models (Swin, ConvNeXt, ResNet) are no single list of blocks.
    """
    if not isinstance(model, VisionTransformer | Eva | Beit | Hiera):
        return None
    found = dict(model.named_modules())
    norms = [None if isinstance(found.get(name), nn.Identity | None) else name for name in ("norm", "fc_norm")]
    if isinstance(model, Hiera):
        norms = [None, "head.norm"]
    drop_paths = [
        name for name, _ in model.blocks[0].named_modules() if name.rpartition(".")[2].startswith("drop_path")
    ]
    return Parts("blocks", norm=norms[0], pooled_norm=norms[1], branches_per_block=len(drop_paths))


def has_class_token(model: nn.Module) -> bool:
    """Whether the first token of a model of timm is a class token."""
    return isinstance(model, VisionTransformer | Eva | Beit) and model.cls_token is not None


def _clip_tokens(network: nn.Module, clip_BCTHW: Tensor, *, sizes: ImageSizes) -> Features:
    _require_size(network, clip_BCTHW, sizes)
    return framewise(lambda image_BCHW: frame_tokens(network, image_BCHW), clip_BCTHW)


def _class_tokens(network: Any, clip_BCTHW: Tensor, *, sizes: ImageSizes) -> Features:
    _require_size(network, clip_BCTHW, sizes)
    return framewise(lambda image_BCHW: (network.forward_features(image_BCHW)[:, :1], (1, 1)), clip_BCTHW)


def _require_size(network: nn.Module, clip_BCTHW: Tensor, sizes: ImageSizes) -> None:
    """ValueError unless the network takes frames of this size."""
    height, width = clip_BCTHW.shape[-2:]
    name = f"{type(network).__name__} takes no frames of {height} x {width} px"
    if sizes.only is not None and (height, width) != (sizes.only, sizes.only):
        raise ValueError(f"{name}: it was built for {sizes.only} x {sizes.only} px and takes no other size")
    if height % sizes.multiple or width % sizes.multiple:
        raise ValueError(f"{name}: they are not multiples of its patch size of {sizes.multiple} px")


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
