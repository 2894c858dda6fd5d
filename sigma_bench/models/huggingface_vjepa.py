"""V-JEPA 2 from Hugging Face folders (``model_type`` vjepa2): facebook/vjepa2-vitl-fpc64-256 and its relatives.

The network is that of jepa_vit.py under other names, with three matrices for query, key and value.  The class of
transformers numbers rows and columns by ``crop_size`` even if the clip has another size, and therefore computes
something else than the released code there; here they are those of the clip, as in the released code.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sigma_bench.models.encoder import NetworkEncoder
from sigma_bench.models.huggingface_preprocessor import read_preprocessing
from sigma_bench.models.jepa_encoder import jepa_encoder, load_network, resized
from sigma_bench.models.jepa_vit import JepaSpec
from sigma_bench.models.video_encoder import geometry_suffix
from sigma_bench.models.weights_file import model_name, read_weights, state_dict_in
from sigma_bench.specs.recipe import IMAGENET_MEAN, IMAGENET_STD
from sigma_bench.specs.strict import parse_spec

DEFAULTS: dict[str, Any] = {
    "patch_size": 16, "tubelet_size": 2, "crop_size": 256, "frames_per_clip": 64, "hidden_size": 1024,
    "num_hidden_layers": 24, "num_attention_heads": 16, "mlp_ratio": 4.0, "layer_norm_eps": 1e-6,
}  # fmt: skip
"""Values of settings that a config.json does not state."""
FIXED = {"in_chans": 3, "hidden_act": "gelu", "qkv_bias": True}
"""Settings for which the network here has one value only."""
NOT_NEEDED = ("predictor.", "pooler.", "classifier.")
"""Prefixes of tensors after the encoder."""
_LAYER = re.compile(r"encoder\.layer\.(\d+)\.(.+)")
_PARTS = ("query", "key", "value")
_SEPARATE = re.compile(rf"attention\.({'|'.join(_PARTS)})\.(weight|bias)")


def open_folder(
    folder: Path, config: Mapping[str, Any], *, num_frames: int | None = None, image_size: int | None = None
) -> NetworkEncoder:
    """The encoder of a folder.

    Args:
        config: content of its config.json.
        num_frames, image_size: geometry of clips, by default that of the configuration and the preprocessor.

    Raises:
        ValueError: the weights are incomplete or do not fit the configuration, it describes a network that is not
            built in, or the network cannot take the clips.
    """
    where = str(folder)
    preprocessing = read_preprocessing(folder, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    own = _geometry(config, preprocessing.size, where=where)
    file = read_weights(folder)
    tensors = official_names(state_dict_in(file, ()), where=where)
    spec = resized(own, num_frames, image_size, where=where)
    network, report = load_network(spec, tensors, may_be_unexpected=NOT_NEEDED, where=where)
    return jepa_encoder(
        network,
        replace(report, layout="Hugging Face vjepa2", metadata=dict(config)),
        model=model_name(folder) + geometry_suffix(spec, own),
        checkpoint_sha256=file.sha256,
        mean=preprocessing.mean,
        std=preprocessing.std,
    )


def official_names(tensors: Mapping[str, Tensor], *, where: str) -> dict[str, Tensor]:
    """The tensors under the names of the released code, with query, key and value in one tensor; other names stay.

    Raises:
        ValueError: a block lacks query, key or value, their shapes or types differ, or two names stand for one tensor.
    """
    renamed: dict[str, Tensor] = {}
    apart: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        short = name.removeprefix("vjepa2.")
        layer = _LAYER.fullmatch(short)
        if layer and (part := _SEPARATE.fullmatch(layer[2])):
            found, key = apart.setdefault(f"blocks.{layer[1]}.attn.qkv.{part[2]}", {}), part[1]
        else:
            found, key = renamed, _official_name(short, layer)
        if key in found:
            raise ValueError(f"{where}: '{name}' and another name stand for the same tensor")
        found[key] = tensor
    for name, parts in apart.items():
        kinds = {(parts[part].shape, parts[part].dtype) if part in parts else None for part in _PARTS}
        if len(kinds) > 1:
            raise ValueError(f"{where}: '{name}' is not made of query, key and value of one shape and type")
        renamed[name] = torch.cat([parts[part] for part in _PARTS])
    return renamed


def _official_name(short: str, layer: re.Match[str] | None) -> str:
    if layer:
        return f"blocks.{layer[1]}." + re.sub(r"^attention\.", "attn.", layer[2])
    short = re.sub(r"^encoder\.embeddings\.patch_embeddings\.", "patch_embed.", short)
    return re.sub(r"^encoder\.layernorm\.", "norm.", short)


def _geometry(config: Mapping[str, Any], crop: int | None, *, where: str) -> JepaSpec:
    """The geometry of the configuration; the size of the preprocessor has precedence over ``crop_size``."""
    for key, value in FIXED.items():
        if config.get(key, value) != value:
            raise ValueError(f"{where}: config.json says {key} {config[key]!r}; the network here has {value!r} only")
    if config.get("quantization_config"):
        raise ValueError(f"{where}: the weights are quantised; use the original ones")
    stated = DEFAULTS | {key: config[key] for key in DEFAULTS if config.get(key) is not None}
    width, heads, ratio = (stated[key] for key in ("hidden_size", "num_attention_heads", "mlp_ratio"))
    if not (isinstance(width, int) and isinstance(heads, int) and heads > 0 and width % heads == 0):
        raise ValueError(f"{where}: config.json states a width of {width} and {heads} heads, which must divide it")
    if isinstance(ratio, bool) or not isinstance(ratio, int | float) or not 0 < ratio < 1000:
        raise ValueError(f"{where}: config.json says mlp_ratio {ratio!r}, which is not a positive number")
    geometry = {
        "variant": "vjepa2",
        "num_frames": stated["frames_per_clip"],
        "image_size": crop or stated["crop_size"],
        "patch_size": stated["patch_size"],
        "tubelet_frames": stated["tubelet_size"],
        "width": width,
        "depth": stated["num_hidden_layers"],
        "num_heads": heads,
        "mlp_width": int(width * ratio),
        "layer_norm_eps": stated["layer_norm_eps"],
    }
    return parse_spec(JepaSpec, geometry, where=f"{where}: config.json")
