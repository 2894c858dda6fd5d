"""Vision models of Hugging Face transformers that are used as encoders: one entry of ``FAMILIES`` per architecture.

An entry states the class, what surrounds its tensors in a folder, how tokens are obtained from its output, and which
frames and sizes it takes.  Token functions return the tokens in order time, row, column, without class and register
tokens, and refuse clips for which the class would compute something else without an error:

- TimeSformer (time is the fast axis of its tokens) reads the number of frames and the width of the image from its
  configuration, which is therefore set to those of the clip.
- ViViT takes clips of its own frames and size only.
- VideoPrism repeats the positions of a clip of one frame unless it is told to interpolate them.
- DINOv3 and other image models cut off rows and columns of pixels that do not fill a patch.

Shapes: B clips or images, C colours, T frames, H W pixels, N tokens, D width.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from sigma_bench.models.encoder import Features, Parts, TokenFunction
from sigma_bench.models.frame_encoder import framewise
from sigma_bench.models.huggingface_preprocessor import Colour
from sigma_bench.specs.recipe import IMAGENET_MEAN, IMAGENET_STD

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
HALF = (0.5, 0.5, 0.5)
_CUT = ("clip_vision_model", "siglip_vision_model")
"""Models published with images that patches do not fill, such as SigLIP's of 384 px with patches of 14 px."""


@dataclass(frozen=True)
class Family:
    """How an architecture of transformers is used as an encoder."""

    name: str
    """Name in tables."""
    model: str
    """Class in transformers."""
    tokens: TokenFunction
    parts: Callable[[Any], Parts]
    """Parts of a network that ``prepare`` returned."""
    prefixes: tuple[str, ...] = ()
    """Prefixes of the names of its tensors in folders of models that contain it, such as classifiers."""
    heads: tuple[str, ...] = ()
    """Beginnings of names of other tensors in such folders, on which the tokens do not depend."""
    arguments: Callable[[Iterable[str]], dict[str, Any]] = lambda names: {}
    """Arguments of the class for a folder with tensors of these names."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Changes of the configuration that leave out parts on which the tokens do not depend."""
    prepare: Callable[[Any], nn.Module] = lambda model: model
    """The network of a loaded model, without parameters on which the tokens do not depend."""
    class_tokens: TokenFunction | None = None
    is_video: bool = False
    is_fixed: bool = False
    """Whether clips must have the frames and the size of the configuration."""
    mean: Colour = IMAGENET_MEAN
    std: Colour = IMAGENET_STD
    has_offset: bool = False
    """Whether the class of its preprocessor subtracts 1 before it normalises."""


def patch_side(config: Any) -> int:
    """Side of the square of pixels of one token, in pixels.

    Raises:
        ValueError: the square is none, or a tubelet of VideoPrism has more than one frame.
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
    is_published = config.model_type in _CUT and height == width == image_side(config)
    if min(height, width) < patch or ((height % patch or width % patch) and not is_published):
        raise ValueError(f"images of {height} x {width} px do not divide into patches of {patch} px")
    return height // patch, width // patch


def _images(**options: Any) -> TokenFunction:
    """Tokens of an image model, frame by frame, after its class and register tokens."""

    def tokens(network: nn.Module, clip_BCTHW: Tensor) -> Features:
        def of_images(image_BCHW: Tensor) -> tuple[Tensor, tuple[int, int]]:
            rows, columns = cells(network.config, *image_BCHW.shape[-2:])
            token_BND = network(image_BCHW, **options).last_hidden_state
            token_BND = token_BND[:, _num_prefix_tokens(network.config) :]
            if token_BND.shape[1] != rows * columns:
                raise ValueError(
                    f"{type(network).__name__} gives {token_BND.shape[1]} tokens for images of "
                    f"{tuple(image_BCHW.shape[-2:])} px, not {rows} x {columns}"
                )
            return token_BND, (rows, columns)

        return framewise(of_images, clip_BCTHW)

    return tokens


def _class_tokens(**options: Any) -> TokenFunction:
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


def _timesformer_tokens(network: Any, clip_BCTHW: Tensor) -> Features:
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


def _vivit_tokens(network: Any, clip_BCTHW: Tensor) -> Features:
    config, frames = network.config, clip_BCTHW.shape[2]
    if frames != config.num_frames:
        raise ValueError(f"ViViT has positions for clips of {config.num_frames} frames only; found {frames}")
    grid = (frames // config.tubelet_size[0], *cells(network.config, *clip_BCTHW.shape[-2:]))
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
        batch, frames = clip_BTCHW.shape[:2]
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


def _videoprism_tokens(network: Any, clip_BCTHW: Tensor) -> Features:
    rows, columns = cells(network.config, *clip_BCTHW.shape[-2:])
    token_BTPD = network(clip_BCTHW.transpose(1, 2))
    return Features(token_BTPD.flatten(1, 2), (clip_BCTHW.shape[2], rows, columns))


def _pe_video_tokens(network: Any, clip_BCTHW: Tensor) -> Features:
    side = network.embedder.vision_model.timm_model.patch_embed.img_size
    if clip_BCTHW.shape[-2:] != side:
        raise ValueError(f"the image model of PE-video takes images of {side} px; found {clip_BCTHW.shape[-2:]}")
    token_BND = network(clip_BCTHW.transpose(1, 2).contiguous()).last_hidden_state
    return Features(token_BND, (token_BND.shape[1], 1, 1))


def _without(*names: str) -> Callable[[Any], nn.Module]:
    """``prepare`` that removes parameters by their dotted names."""

    def prepare(model: Any) -> nn.Module:
        for name in names:
            module, _, parameter = name.rpartition(".")
            setattr(model.get_submodule(module), parameter, None)
        return model

    return prepare


def _hiera_with_one_list(model: Any) -> nn.Module:
    """Hiera with all blocks in one list instead of a list of stages; a block is called like a stage."""
    model.encoder.stages = nn.ModuleList(block for stage in model.encoder.stages for block in stage.layers)
    return model


def _dino(name: str, model: str, parts: Parts, *prefixes: str) -> Family:
    return Family(
        name,
        model,
        tokens=_images(),
        parts=lambda network: parts,
        prefixes=prefixes,
        heads=("classifier.",),
        prepare=_without("embeddings.mask_token"),
        class_tokens=_class_tokens(),
    )


_DINOV2_PARTS = Parts("encoder.layer", "layernorm")
_CLIP = Family(
    "CLIP",
    "CLIPVisionModel",
    tokens=_images(interpolate_pos_encoding=True),
    parts=lambda network: Parts("encoder.layers", None, "post_layernorm", ("self_attn", "mlp")),
    prefixes=("vision_model.",),
    heads=(
        "text_model.", "logit_scale", "text_projection.", "visual_projection.", "classifier.", "embeddings.position_ids",
    ),
    class_tokens=_class_tokens(interpolate_pos_encoding=True),
    mean=CLIP_MEAN,
    std=CLIP_STD,
)  # fmt: skip
_SIGLIP = Family(
    "SigLIP",
    "SiglipVisionModel",
    tokens=_images(interpolate_pos_encoding=True),
    parts=lambda network: Parts("encoder.layers", "post_layernorm", None, ("self_attn", "mlp")),
    prefixes=("vision_model.",),
    heads=("text_model.", "logit_scale", "logit_bias", "classifier.", "head."),
    settings={"vision_use_head": False},
    mean=HALF,
    std=HALF,
)
_VIDEOPRISM = Family(
    "VideoPrism",
    "VideoPrismVisionModel",
    tokens=_videoprism_tokens,
    parts=lambda network: Parts("blocks", "norm", None, ("attention", "mlp")),
    prefixes=("vision_model.", "video_model.vision_model."),
    heads=(
        "text_model.", "classifier.", "auxiliary_layers.", "head.", "head_layernorm.",
        "video_model.auxiliary_layers.", "video_model.head.", "video_model.head_layernorm.",
    ),
    prepare=VideoPrismNetwork,
    is_video=True,
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
)  # fmt: skip
_PE_VIDEO = Family(
    "PE-video",
    "PeVideoEncoder",
    tokens=_pe_video_tokens,
    # A linear layer follows the final norm, so the norm cannot be left out.
    parts=lambda network: Parts("layers", None, None, ("self_attn", "mlp")),
    prefixes=("video_encoder.",),
    heads=("text_model.", "text_video_head.", "video_head.", "text_video_logit_scale", "text_video_logit_bias"),
    is_video=True,
    mean=HALF,
    std=HALF,
)

FAMILIES = {
    "timesformer": Family(
        "TimeSformer",
        "TimesformerModel",
        tokens=_timesformer_tokens,
        parts=lambda network: Parts(
            "encoder.layer", "layernorm", branches_per_block=3 if network.config.attention_type == "divided_space_time" else 2
        ),
        prefixes=("timesformer.",),
        heads=("classifier.",),
        is_video=True,
    ),
    "vivit": Family(
        "ViViT",
        "VivitModel",
        tokens=_vivit_tokens,
        parts=lambda network: Parts("layers", "layernorm", None, ("attention", "mlp")),
        prefixes=("vivit.",),
        heads=("classifier.", "pooler."),
        arguments=lambda names: {"add_pooling_layer": False},
        is_video=True,
        is_fixed=True,
        mean=HALF,
        std=HALF,
        has_offset=True,
    ),
    "videoprism_vision_model": _VIDEOPRISM,
    "pe_video_encoder": _PE_VIDEO,
    "dinov2": _dino("DINOv2", "Dinov2Model", _DINOV2_PARTS, "dinov2."),
    "dinov2_with_registers": _dino("DINOv2", "Dinov2WithRegistersModel", _DINOV2_PARTS, "dinov2_with_registers."),
    "dinov3_vit": _dino("DINOv3", "DINOv3ViTModel", Parts("model.layer", "norm")),
    "clip_vision_model": _CLIP,
    "siglip_vision_model": _SIGLIP,
    "hiera": Family(
        "Hiera",
        "HieraModel",
        tokens=_images(interpolate_pos_encoding=True),
        parts=lambda network: Parts("encoder.stages", None, "pooler.layernorm" if network.pooler else None),
        prefixes=("hiera.",),
        heads=("classifier.", "decoder.", "encoder_norm.", "multiscale_fusion."),
        arguments=lambda names: {"add_pooling_layer": any(name.endswith("pooler.layernorm.weight") for name in names)},
        prepare=_hiera_with_one_list,
    ),
}
"""Architectures by the ``model_type`` of their configuration."""
TOWERS = {
    "clip": ("vision_config", "clip_vision_model"),
    "siglip": ("vision_config", "siglip_vision_model"),
    "videoprism": ("vision_config", "videoprism_vision_model"),
    "pe_video": ("video_config", "pe_video_encoder"),
}
"""Models with several towers: key of the configuration of the vision model, and its ``model_type``."""
