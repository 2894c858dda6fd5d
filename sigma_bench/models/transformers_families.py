"""The architectures of Hugging Face transformers that are used as encoders: one entry of ``FAMILIES`` for each.

An entry states the class, what surrounds its tensors in a folder, how tokens are obtained from its output, its parts,
which frames and sizes it takes, and the normalisation of its preprocessor's class.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from sigma_bench.models.encoder import Parts, TokenFunction
from sigma_bench.models.huggingface_preprocessor import Colour
from sigma_bench.models.transformers_tokens import (
    VideoPrismNetwork,
    class_tokens,
    hiera_with_one_list,
    image_tokens,
    pe_video_tokens,
    timesformer_tokens,
    videoprism_tokens,
    vivit_tokens,
    without,
)
from sigma_bench.specs.recipe import IMAGENET_MEAN, IMAGENET_STD

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
HALF = (0.5, 0.5, 0.5)


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
    adapt: Callable[[Any, Mapping[str, Tensor]], None] = lambda config, tensors: None
    """Sets what the library does not read from a configuration and the tensors determine."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Changes of the configuration that leave out parts on which the tokens do not depend, and random numbers."""
    prepare: Callable[[Any], nn.Module] = lambda model: model
    """The network of a loaded model, without parameters on which the tokens do not depend."""
    class_tokens: TokenFunction | None = None
    is_fixed: bool = False
    """Whether clips must have the frames and the size of the configuration."""
    mean: Colour = IMAGENET_MEAN
    std: Colour = IMAGENET_STD
    has_offset: bool = False
    """Whether the class of its preprocessor subtracts 1 before it normalises."""


_RANDOM_POSITIONS = ("pos_embed_shift", "pos_embed_jitter", "pos_embed_rescale")
"""Settings of DINOv3 by which its class shifts and scales positions at random, in training mode only."""


def _dino(name: str, model: str, parts: Parts, *prefixes: str) -> Family:
    return Family(
        name,
        model,
        tokens=image_tokens(),
        parts=lambda network: parts,
        prefixes=prefixes,
        heads=("classifier.",),
        settings=dict.fromkeys(_RANDOM_POSITIONS),
        prepare=without("embeddings.mask_token"),
        class_tokens=class_tokens(),
    )


def _set_image_width(config: Any, tensors: Mapping[str, Tensor]) -> None:
    """Set the width of the image embeddings of PE-video to that of the layer after them.

    transformers 5.24 does not read ``num_classes`` of the configuration of the image model, and writes 1024 for it
    whatever its value, so it builds a model of 2 for every folder.
    """
    layer = next((tensor for name, tensor in tensors.items() if name.endswith("embedder.proj.weight")), None)
    if layer is not None and layer.ndim == 2:
        config.vision_config.num_labels = layer.shape[1]


_DINOV2_PARTS = Parts("encoder.layer", "layernorm")
_CLIP = Family(
    "CLIP",
    "CLIPVisionModel",
    tokens=image_tokens(interpolate_pos_encoding=True),
    parts=lambda network: Parts("encoder.layers", None, "post_layernorm", ("self_attn", "mlp")),
    prefixes=("vision_model.",),
    heads=(
        "text_model.", "logit_scale", "text_projection.", "visual_projection.", "classifier.",
        "embeddings.position_ids",
    ),
    class_tokens=class_tokens(interpolate_pos_encoding=True),
    mean=CLIP_MEAN,
    std=CLIP_STD,
)  # fmt: skip
_SIGLIP = Family(
    "SigLIP",
    "SiglipVisionModel",
    tokens=image_tokens(interpolate_pos_encoding=True),
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
    tokens=videoprism_tokens,
    parts=lambda network: Parts("blocks", "norm", None, ("attention", "mlp")),
    prefixes=("vision_model.", "video_model.vision_model."),
    heads=(
        "text_model.", "classifier.", "auxiliary_layers.", "head.", "head_layernorm.",
        "video_model.auxiliary_layers.", "video_model.head.", "video_model.head_layernorm.",
    ),
    prepare=VideoPrismNetwork,
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
)  # fmt: skip
_PE_VIDEO = Family(
    "PE-video",
    "PeVideoEncoder",
    tokens=pe_video_tokens,
    # A linear layer follows the final norm, so the norm cannot be left out.
    parts=lambda network: Parts("layers", None, None, ("self_attn", "mlp")),
    prefixes=("video_encoder.",),
    adapt=_set_image_width,
    heads=("text_model.", "text_video_head.", "video_head.", "text_video_logit_scale", "text_video_logit_bias"),
    mean=HALF,
    std=HALF,
)

FAMILIES = {
    "timesformer": Family(
        "TimeSformer",
        "TimesformerModel",
        tokens=timesformer_tokens,
        parts=lambda network: Parts(
            "encoder.layer",
            "layernorm",
            branches_per_block=3 if network.config.attention_type == "divided_space_time" else 2,
        ),
        prefixes=("timesformer.",),
        heads=("classifier.",),
    ),
    "vivit": Family(
        "ViViT",
        "VivitModel",
        tokens=vivit_tokens,
        parts=lambda network: Parts("layers", "layernorm", None, ("attention", "mlp")),
        prefixes=("vivit.",),
        heads=("classifier.", "pooler."),
        arguments=lambda names: {"add_pooling_layer": False},
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
        tokens=image_tokens(interpolate_pos_encoding=True),
        parts=lambda network: Parts("encoder.stages", None, "pooled_norm" if hasattr(network, "pooled_norm") else None),
        prefixes=("hiera.",),
        heads=("classifier.", "decoder.", "encoder_norm.", "multiscale_fusion."),
        arguments=lambda names: {"add_pooling_layer": any(name.endswith("pooler.layernorm.weight") for name in names)},
        prepare=hiera_with_one_list,
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
