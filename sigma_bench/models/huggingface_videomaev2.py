"""The configuration of VideoMAE v2's repositories on the Hugging Face hub (OpenGVLab/VideoMAEv2-Base, -Large, ...).

Their ``config.json`` names remote code, which is never run: the tensors have the names of released fine-tuned files
with the prefix ``model.``.  The ``model_type`` is ``VideoMAEv2_...``, and ``model_config`` holds the arguments of the
network, which are honoured or refused here.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from sigma_bench.models.geometry import Stated, count
from sigma_bench.models.huggingface_preprocessor import read_json, read_preprocessing
from sigma_bench.models.video_vit import LAYER_NORM_EPS
from sigma_bench.specs.recipe import IMAGENET_MEAN, IMAGENET_STD

MODEL_TYPE = "VideoMAEv2"
_FIXED: dict[str, Any] = {
    "in_chans": 3, "qkv_bias": True, "qk_scale": None, "use_learnable_pos_emb": False, "norm_layer": "nn.LayerNorm",
}  # fmt: skip
"""Settings for which the network here has one value only."""
_STATED = {"num_heads", "num_frames", "img_size", "layer_norm_eps", "use_mean_pooling"}
_COMPARED = {"embed_dim", "depth", "patch_size", "tubelet_size", "mlp_ratio", "cos_attn"}
"""Settings that the tensors determine too."""
_WITHOUT_EFFECT = {
    "num_classes", "drop_rate", "attn_drop_rate", "drop_path_rate", "head_drop_rate", "init_scale", "init_values",
    "with_cp", "use_checkpoint",
}  # fmt: skip
"""Settings of training, of the classifier, or of initial values."""


def read_model_config(folder: Path) -> dict[str, Any] | None:
    """The arguments of the network in the config.json of a folder; None if it has no config.json.

    Raises:
        ValueError: it describes another kind of model, or a property that the network here does not have.
    """
    where = folder / "config.json"
    content = read_json(where)
    if content is None:
        return None
    if not str(content.get("model_type", "")).startswith(MODEL_TYPE):
        raise ValueError(
            f"{where}: describes a '{content.get('model_type')}', but the tensors have the names of VideoMAE v2"
        )
    config = content.get("model_config")
    if not isinstance(config, dict):
        raise ValueError(f"{where}: lacks the mapping 'model_config', in which VideoMAE v2 describes its network")
    for key, value in _FIXED.items():
        if config.get(key, value) != value:
            raise ValueError(f"{where}: model_config says {key} {config[key]!r}; the network here has {value!r} only")
    known = _FIXED.keys() | _STATED | _COMPARED | _WITHOUT_EFFECT
    if unknown := sorted(config.keys() - known):
        raise ValueError(f"{where}: the meaning of the key '{unknown[0]}' in model_config is not known here")
    return config


def stated_by_model_config(config: Mapping[str, Any], folder: Path) -> Stated:
    """Heads, frames, size, epsilon and normalisation that a folder states."""
    preprocessing = read_preprocessing(folder, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    return Stated(
        num_heads=count(config.get("num_heads")),
        num_frames=count(config.get("num_frames")),
        image_size=count(config.get("img_size")),
        mean=preprocessing.mean,
        std=preprocessing.std,
        layer_norm_eps=config.get("layer_norm_eps", LAYER_NORM_EPS),
    )


def require_fit(tensors: Mapping[str, Tensor], config: Mapping[str, Any], *, where: str) -> None:
    """ValueError unless configuration and tensors agree.

    Args:
        tensors: under the names of this project.
    """
    width, _, tubelet, patch, _ = tensors["encoder.patch_embed.proj.weight"].shape
    found = {
        "embed_dim": width,
        "tubelet_size": tubelet,
        "patch_size": patch,
        "depth": len({name.split(".")[2] for name in tensors if name.startswith("encoder.blocks.")}),
        "cos_attn": any(name.endswith(".attn.scale") for name in tensors),
    }
    for key, value in found.items():
        if config.get(key, value) != value:
            raise ValueError(f"{where}: model_config says {key} {config[key]}, the file holds {value}")
    hidden, ratio = len(tensors.get("encoder.blocks.0.mlp.fc1.weight", ())), config.get("mlp_ratio", 4)
    if not isinstance(ratio, int | float) or int(width * ratio) != hidden:
        raise ValueError(f"{where}: model_config says mlp_ratio {ratio}, the MLPs in the file are {hidden} wide")
