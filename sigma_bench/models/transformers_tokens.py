"""Tokens of vision models of Hugging Face transformers, in order time, row, column, without class and register tokens.

The functions refuse clips for which the class would compute something else without an error:

- TimeSformer (time is the fast axis of its tokens) reads the number of frames and the width of the image from its
  configuration, which is therefore set to those of the clip.
- ViViT takes clips of its own frames and size only.
- VideoPrism repeats the positions of a clip of one frame unless it is told to interpolate them.
- DINOv3 and other image models cut off rows and columns of pixels that do not fill a patch.

Shapes: B clips or images, C colours, T frames, H W pixels, P places of a frame, N tokens, D width.
"""

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from sigma_bench.models.encoder import Features, TokenFunction
from sigma_bench.models.frame_encoder import framewise

_CUT = ("clip_vision_model", "siglip_vision_model")
"""Models published with images that patches do not fill, such as SigLIP's of 384 px with patches of 14 px."""


def patch_side(config: Any) -> int:
    """Side of the square of pixels of one token, in pixels.

    Raises:
        ValueError: the token is not square, or a tubelet of VideoPrism has more than one frame.
    """
    if config.model_type == "hiera":
        strides = zip(config.patch_stride, config.query_stride, strict=True)
        sides = {patch * query**config.num_query_pool for patch, query in strides}
        if config.num_query_pool != len(config.depths) - 1:
            raise ValueError("num_query_pool must be the number of stages minus 1, as in all released models")
    elif hasattr(config, "tubelet_size"):
        sides = set(config.tubelet_size[1:])
        if config.model_type == "videoprism_vision_model" and config.tubelet_size[0] != 1:
            raise ValueError("tubelets of VideoPrism have one frame")
    else:
        sides = set(config.patch_size) if isinstance(config.patch_size, list | tuple) else {config.patch_size}
    if len(sides) != 1:
        raise ValueError("patches must be square")
    return sides.pop()


def image_side(config: Any) -> int:
    """Side of the images of the configuration, in pixels; ValueError if they are not square."""
    size = config.image_size
    sides = set(size) if isinstance(size, list | tuple) else {size}
    if len(sides) != 1:
        raise ValueError(f"image_size is {size}; images must be square")
    return sides.pop()


def cells(config: Any, height: int, width: int) -> tuple[int, int]:
    """Numbers of rows and columns of tokens for images of this size in pixels.

    Raises:
        ValueError: patches do not fill the image, and this is not the size with which the model was published.
    """
    patch = patch_side(config)
    if config.model_type == "timesformer" and patch in (height, width) and image_side(config) != patch:
        raise ValueError(f"TimeSformer needs more than one row and column of patches of {patch} px")
    is_published = config.model_type in _CUT and height == width == image_side(config)
    if min(height, width) < patch or ((height % patch or width % patch) and not is_published):
        raise ValueError(f"images of {height} x {width} px do not divide into patches of {patch} px")
    return height // patch, width // patch


def image_tokens(**options: Any) -> TokenFunction:
    """Tokens of an image model, frame by frame, after its class and register tokens."""

    def tokens(network: nn.Module, clip_BCTHW: Tensor) -> Features:
        def of_images(image_BCHW: Tensor) -> tuple[Tensor, tuple[int, int]]:
            rows, columns = cells(network.config, *image_BCHW.shape[-2:])
            token_BND = network(image_BCHW, **options).last_hidden_state
            token_BND = token_BND[:, _num_prefix_tokens(network.config) :]
            if token_BND.shape[1] != rows * columns:
                raise ValueError(
                    f"{type(network).__name__} gives {token_BND.shape[1]} tokens for images of "
                    f"{tuple(image_BCHW.shape[-2:])} px, not {rows} x {columns}; choose a later layer"
                )
            return token_BND, (rows, columns)

        return framewise(of_images, clip_BCTHW)

    return tokens


def class_tokens(**options: Any) -> TokenFunction:
    """The class token of every frame as the model returns it for classifiers, which includes its norm."""

    def tokens(network: nn.Module, clip_BCTHW: Tensor) -> Features:
        def of_images(image_BCHW: Tensor) -> tuple[Tensor, tuple[int, int]]:
            cells(network.config, *image_BCHW.shape[-2:])
            return network(image_BCHW, **options).pooler_output[:, None], (1, 1)

        return framewise(of_images, clip_BCTHW)

    return tokens


def _num_prefix_tokens(config: Any) -> int:
    if config.model_type in ("hiera", "siglip_vision_model"):
        return 0
    return 1 + getattr(config, "num_register_tokens", 0)


def timesformer_tokens(network: Any, clip_BCTHW: Tensor) -> Features:
    batch, _, frames, _, width = clip_BCTHW.shape
    config, (rows, columns) = network.config, cells(network.config, *clip_BCTHW.shape[-2:])
    own = network.embeddings.position_embeddings.shape[1] - 1
    if rows != columns and (rows * columns == own or columns == 1):
        raise ValueError(
            f"TimeSformer would use wrong positions for {rows} x {columns} patches, since it cannot tell them from "
            f"{math.isqrt(own)} x {math.isqrt(own)}; use another size"
        )
    config.num_frames, config.image_size = frames, width
    token_BND = network(clip_BCTHW.transpose(1, 2)).last_hidden_state
    if config.attention_type == "space_only":  # clips are (B * T) images
        token_BND = token_BND[:, 1:].unflatten(0, (batch, frames)).flatten(1, 2)
    else:
        token_BND = token_BND[:, 1:].unflatten(1, (rows * columns, frames)).transpose(1, 2).flatten(1, 2)
    return Features(token_BND, (frames, rows, columns))


def vivit_tokens(network: Any, clip_BCTHW: Tensor) -> Features:
    config, (frames, height, width) = network.config, clip_BCTHW.shape[2:]
    grid, side = (frames // config.tubelet_size[0], *cells(config, height, width)), image_side(config)
    if (frames, height, width) != (config.num_frames, side, side):
        raise ValueError(
            f"ViViT has positions for clips of {config.num_frames} frames x {side} px only; found {frames} frames of "
            f"{height} x {width} px"
        )
    return Features(network(clip_BCTHW.transpose(1, 2)).last_hidden_state[:, 1:], grid)


class VideoPrismNetwork(nn.Module):
    """``VideoPrismVisionModel`` with its spatial and temporal blocks in one list.

    Spatial blocks attend inside each frame; a norm follows; temporal blocks attend along time at each place.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.config, self.num_spatial = model.config, len(model.spatial_layers)
        self.spatial_embeddings, self.temporal_embeddings = model.spatial_embeddings, model.temporal_embeddings
        self.blocks = nn.ModuleList([*model.spatial_layers, *model.temporal_layers])
        self.spatial_norm, self.norm = model.layernorm1, model.layernorm2

    def forward(self, clip_BTCHW: Tensor) -> Tensor:
        """Tokens (B, T, P, D) of the P places of every frame."""
        batch = len(clip_BTCHW)
        if len(self.blocks) <= self.num_spatial:
            raise ValueError(f"VideoPrism has tokens of clips after its {self.num_spatial} spatial blocks only")
        token = self.spatial_embeddings(clip_BTCHW, interpolate_pos_encoding=True)  # (B * T, P, D)
        for block in self.blocks[: self.num_spatial]:
            token = block(token)
        token = self.spatial_norm(token)
        token = self.temporal_embeddings(token, clip_BTCHW.shape, interpolate_pos_encoding=True)  # (B * P, T, D)
        for block in self.blocks[self.num_spatial :]:
            token = block(token)
        return self.norm(token).unflatten(0, (batch, -1)).transpose(1, 2)


def videoprism_tokens(network: Any, clip_BCTHW: Tensor) -> Features:
    rows, columns = cells(network.config, *clip_BCTHW.shape[-2:])
    token_BTPD = network(clip_BCTHW.transpose(1, 2))
    return Features(token_BTPD.flatten(1, 2), (clip_BCTHW.shape[2], rows, columns))


def pe_video_tokens(network: Any, clip_BCTHW: Tensor) -> Features:
    side = network.embedder.vision_model.timm_model.patch_embed.img_size
    if clip_BCTHW.shape[-2:] != side:
        raise ValueError(f"the image model of PE-video takes images of {side} px; found {clip_BCTHW.shape[-2:]}")
    token_BND = network(clip_BCTHW.transpose(1, 2).contiguous()).last_hidden_state
    return Features(token_BND, (token_BND.shape[1], 1, 1))


def without(*names: str) -> Callable[[Any], nn.Module]:
    """``prepare`` that removes parameters by their dotted names."""

    def prepare(model: Any) -> nn.Module:
        for name in names:
            module, _, parameter = name.rpartition(".")
            setattr(model.get_submodule(module), parameter, None)
        return model

    return prepare


def hiera_with_one_list(model: Any) -> nn.Module:
    """Hiera with all blocks in one list instead of a list of stages; a block is called like a stage.

    The norm of pooled tokens becomes ``pooled_norm``, so that no pooling is done.
    """
    model.encoder.stages = nn.ModuleList(block for stage in model.encoder.stages for block in stage.layers)
    if model.pooler is not None:
        model.pooled_norm, model.pooler = model.pooler.layernorm, None
    return model
