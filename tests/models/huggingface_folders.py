"""Small random models of transformers, written as folders of Hugging Face."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

transformers = pytest.importorskip("transformers")

VIT = {"hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 2}
IMAGE = {**VIT, "intermediate_size": 48, "image_size": 32, "patch_size": 8}
TEXT = {**VIT, "intermediate_size": 48, "vocab_size": 20, "max_position_embeddings": 8}
TIMESFORMER = {**IMAGE, "num_frames": 4}
HIERA = {"embed_dim": 8, "image_size": [64, 64], "depths": [1, 1, 2, 1], "num_heads": [1, 2, 4, 8]}
VIDEOPRISM = {
    "hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 48, "image_size": 36, "num_frames": 4,
    "num_spatial_layers": 2, "num_temporal_layers": 1, "num_auxiliary_layers": 1,
}  # fmt: skip
PE_VIDEO = {
    **VIT, "intermediate_size": 48, "head_dim": 16, "vision_config": {
        "model_type": "timm_wrapper", "architecture": "vit_pe_core_tiny_patch16_384",
        "model_args": {"img_size": 32, "depth": 1, "embed_dim": 32, "num_heads": 2},
    },
}  # fmt: skip
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "timesformer": ("TimesformerModel", TIMESFORMER),
    "timesformer_joint": ("TimesformerModel", {**TIMESFORMER, "attention_type": "joint_space_time"}),
    "timesformer_space": ("TimesformerModel", {**TIMESFORMER, "attention_type": "space_only"}),
    "timesformer_classifier": ("TimesformerForVideoClassification", TIMESFORMER),
    "vivit": ("VivitModel", {**IMAGE, "num_frames": 4, "tubelet_size": [2, 8, 8]}),
    "vivit_classifier": ("VivitForVideoClassification", {**IMAGE, "num_frames": 4, "tubelet_size": [2, 8, 8]}),
    "videoprism": ("VideoPrismVisionModel", VIDEOPRISM),
    "videoprism_classifier": ("VideoPrismForVideoClassification", VIDEOPRISM),
    "pe_video": ("PeVideoEncoder", PE_VIDEO),
    "dinov2": ("Dinov2Model", IMAGE),
    "dinov2_swiglu": ("Dinov2ForImageClassification", {**IMAGE, "use_swiglu_ffn": True}),
    "dinov2_registers": ("Dinov2WithRegistersModel", {**IMAGE, "num_register_tokens": 3}),
    "dinov3": ("DINOv3ViTModel", {**IMAGE, "num_register_tokens": 4}),
    "dinov3_gated": ("DINOv3ViTModel", {**IMAGE, "use_gated_mlp": True, "hidden_act": "silu"}),
    "clip_vision": ("CLIPVisionModel", IMAGE),
    "clip_projection": ("CLIPVisionModelWithProjection", {**IMAGE, "projection_dim": 8}),
    "clip": ("CLIPModel", {"vision_config": IMAGE, "text_config": TEXT, "projection_dim": 8}),
    "siglip_vision": ("SiglipVisionModel", IMAGE),
    "siglip": ("SiglipModel", {"vision_config": IMAGE, "text_config": TEXT}),
    "hiera": ("HieraModel", HIERA),
    "hiera_pretraining": (
        "HieraForPreTraining",
        {**HIERA, "decoder_hidden_size": 8, "decoder_depth": 1, "decoder_num_heads": 1},
    ),
}
"""Class and configuration by a short name."""
VIDEO = {"timesformer": 4, "vivit": 4, "videoprism": 4, "pe": 5}
"""Number of frames of the clips of video models, by the beginning of the name."""


def small_model(name: str, **changes: Any) -> Any:
    """A model in evaluation mode with random values, so large that every tensor matters."""
    class_name, settings = MODELS[name]
    model_class = getattr(transformers, class_name)
    generator = torch.Generator().manual_seed(0)
    model = model_class(model_class.config_class(**{**settings, **changes})).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
    return model


def saved(model: Any, path: Path) -> Path:
    """The folder to which transformers writes a model."""
    model.save_pretrained(path)
    return path


def write_folder(path: Path, config: str | Mapping[str, Any], weights: Mapping[str, Tensor]) -> Path:
    path.mkdir(exist_ok=True)
    (path / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    save_file({name: value.contiguous() for name, value in weights.items()}, path / "model.safetensors")
    return path


def change_config(path: Path, **changes: Any) -> None:
    """Change settings in the config.json of a folder; None removes one."""
    settings = {**json.loads((path / "config.json").read_text()), **changes}
    (path / "config.json").write_text(json.dumps({key: value for key, value in settings.items() if value is not None}))


def weights_in_folder(path: Path) -> dict[str, Tensor]:
    return load_file(path / "model.safetensors")


def clip_for(name: str, *, frames: int | None = None, size: int | tuple[int, int] | None = None) -> Tensor:
    """A random batch of two clips (B, C, T, H, W), by default of the model's own geometry."""
    own = next((count for start, count in VIDEO.items() if name.startswith(start)), 2)
    side = 64 if name.startswith("hiera") else 36 if name.startswith("videoprism") else 32
    height, width = size if isinstance(size, tuple) else (size or side, size or side)
    return torch.randn(2, 3, frames or own, height, width, generator=torch.Generator().manual_seed(1))
