"""VideoMAE in the layout of Hugging Face transformers: config.json and model.safetensors or pytorch_model.bin.

The network is that of this project under other names, with three matrices for query, key and value instead of one.
Query and value biases are ``q_bias`` and ``v_bias`` in published files, and ``query.bias`` and ``value.bias`` in memory
since version 5; versions in between load published files with biases of zero and without a warning.  Therefore it is an
error if the configuration states a bias that the file lacks.  A key bias shifts all scores of a query by the same
amount, which does not change the softmax, so it is ignored.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sigma_bench.models.geometry import HEADS_BY_WIDTH, Stated, count
from sigma_bench.specs.recipe import IMAGENET_MEAN, IMAGENET_STD

LAYER_NORM_EPS = 1e-12
"""Epsilon of a model whose configuration does not state it."""
PROJECTION = "embeddings.patch_embeddings.projection.weight"
_LAYER = re.compile(r"(?:encoder\.layer|decoder\.decoder_layers)\.(\d+)\.(.+)")
_INNER = {
    "attention.attention.q_bias": "attn.q_bias",
    "attention.attention.v_bias": "attn.v_bias",
    "attention.attention.query.bias": "attn.q_bias",
    "attention.attention.value.bias": "attn.v_bias",
    **{
        f"{theirs}.{kind}": f"{ours}.{kind}"
        for theirs, ours in (
            ("attention.output.dense", "attn.proj"),
            ("intermediate.dense", "mlp.fc1"),
            ("output.dense", "mlp.fc2"),
            ("layernorm_before", "norm1"),
            ("layernorm_after", "norm2"),
        )
        for kind in ("weight", "bias")
    },
}
_OUTER = {
    "embeddings.patch_embeddings.projection.": "encoder.patch_embed.proj.",
    "embeddings.position_embeddings": "encoder.pos_embed",
    "position_embeddings": "decoder.pos_embed",
    "layernorm.": "encoder.norm.",
    "fc_norm.": "encoder.fc_norm.",
    "classifier.": "head.",
}
_QKV = tuple(f"attention.attention.{kind}.weight" for kind in ("query", "key", "value"))
_KEY_BIAS = "attention.attention.key.bias"


def is_huggingface(tensors: Mapping[str, Tensor]) -> bool:
    """Whether the names are those of a VideoMAE model of transformers, with or without heads."""
    weight = tensors.get(f"videomae.{PROJECTION}", tensors.get(PROJECTION))
    return weight is not None and weight.ndim == 5


def huggingface_names(tensors: Mapping[str, Tensor], *, where: str) -> dict[str, Tensor]:
    """The tensors under the names of this project, with query, key and value in one matrix; other names stay.

    Raises:
        ValueError: a block lacks query, key or value, their shapes differ, or two names stand for one tensor.
    """
    renamed: dict[str, Tensor] = {}
    apart: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        short = name.removeprefix("videomae.")
        layer = _LAYER.fullmatch(short)
        block = f"{short.split('.')[0]}.blocks.{layer[1]}" if layer else ""
        if layer and layer[2] in _QKV:
            apart.setdefault(block, {})[layer[2]] = tensor
            continue
        if layer and layer[2] == _KEY_BIAS:
            continue
        ours = f"{block}.{_INNER.get(layer[2], layer[2])}" if layer else _outer_name(short)
        if ours in renamed:
            raise ValueError(f"{where}: '{name}' and another name stand for the same tensor")
        renamed[ours] = tensor
    for block, parts in apart.items():
        renamed[f"{block}.attn.qkv.weight"] = _fused(parts, where=f"{where}: '{block}'")
    return renamed


def read_config(folder: Path) -> dict[str, Any] | None:
    """The content of the config.json in a folder; None if there is none.

    Raises:
        ValueError: it is not JSON, describes another kind of model, or requires an activation that this network lacks.
    """
    config = _read_json(folder / "config.json")
    if config is None:
        return None
    where = folder / "config.json"
    if config.get("model_type", "videomae") != "videomae":
        raise ValueError(f"{where}: describes a '{config['model_type']}', not a videomae")
    if config.get("hidden_act", "gelu") != "gelu":
        raise ValueError(f"{where}: has the activation '{config['hidden_act']}'; this network has gelu only")
    return config


def with_stated_biases(
    tensors: Mapping[str, Tensor], config: Mapping[str, Any] | None, *, where: str
) -> dict[str, Tensor]:
    """Tensors with the query and value biases that the configuration states.

    If the configuration states that the model has no biases, they are zero.

    Args:
        tensors: under the names of this project.

    Raises:
        ValueError: the configuration states biases and the file has none, or the reverse.
    """
    has_biases = bool((config or {}).get("qkv_bias", (config or {}).get("qv_bias", True)))
    completed = dict(tensors)
    for fused in [name for name in tensors if name.endswith(".attn.qkv.weight")]:
        for kind in ("q_bias", "v_bias"):
            name = fused.replace("qkv.weight", kind)
            if has_biases and name not in tensors:
                raise ValueError(
                    f"{where}: the {kind} of '{fused.split('.attn')[0]}' is missing, although the model has biases; "
                    "some versions of transformers lose them; use the original file"
                )
            if not has_biases and name in tensors:
                raise ValueError(f"{where}: holds '{name}', but config.json says qkv_bias false")
            if not has_biases:
                completed[name] = torch.zeros(len(tensors[fused]) // 3)
    return completed


def require_fit(tensors: Mapping[str, Tensor], config: Mapping[str, Any], *, where: str) -> None:
    """ValueError unless configuration and tensors agree in widths, patch, tubelet and number of blocks.

    Args:
        tensors: under the names of this project.
    """
    width, _, tubelet, patch, _ = tensors["encoder.patch_embed.proj.weight"].shape
    blocks = {name.split(".")[2] for name in tensors if name.startswith("encoder.blocks.")}
    hidden = tensors.get("encoder.blocks.0.mlp.fc1.weight", ())
    found = {"hidden_size": width, "tubelet_size": tubelet, "patch_size": patch, "num_hidden_layers": len(blocks)}
    found |= {"intermediate_size": len(hidden)} if len(hidden) else {}
    for key, value in found.items():
        if key in config and _side(config[key]) != value:
            raise ValueError(f"{where}: config.json says {key} {config[key]}, the file holds {value}")


def stated_by_config(config: Mapping[str, Any] | None, folder: Path) -> Stated:
    """Heads, frames, size and normalisation that config.json and preprocessor_config.json state."""
    config = config or {}
    preprocessor = _read_json(folder / "preprocessor_config.json") or {}
    return Stated(
        num_heads=count(config.get("num_attention_heads")),
        num_frames=count(config.get("num_frames")),
        image_size=count(_side(config.get("image_size"))),
        layer_norm_eps=config.get("layer_norm_eps", LAYER_NORM_EPS),
        mean=_colour(preprocessor.get("image_mean", IMAGENET_MEAN), where=folder),
        std=_colour(preprocessor.get("image_std", IMAGENET_STD), where=folder),
    )


def warnings(tensors: Mapping[str, Tensor], stated: Stated) -> tuple[str, ...]:
    """Warnings about content that is allowed but unusual."""
    found = []
    biases = [value for name, value in tensors.items() if name.endswith((".q_bias", ".v_bias"))]
    if biases and not any(value.any() for value in biases):
        found.append("all query and value biases are zero: untrained, or lost by a faulty version of transformers")
    width = len(tensors["encoder.patch_embed.proj.weight"])
    usual = HEADS_BY_WIDTH.get(width)
    if stated.num_heads and usual and stated.num_heads != usual:
        found.append(f"config.json says {stated.num_heads} heads; released models of width {width} have {usual}")
    return tuple(found)


def _colour(values: Any, *, where: Path) -> tuple[float, float, float]:
    if not isinstance(values, list | tuple) or len(values) != 3 or not all(isinstance(v, int | float) for v in values):
        raise ValueError(f"{where}: preprocessor_config.json must give one mean and one std for each of three colours")
    return float(values[0]), float(values[1]), float(values[2])


def _side(size: Any) -> Any:
    """The side of a square that is given as one number or as two."""
    return size[0] if isinstance(size, list) and len(set(size)) == 1 else size


def _outer_name(short: str) -> str:
    theirs = next((prefix for prefix in _OUTER if short.startswith(prefix)), "")
    return _OUTER.get(theirs, "") + short.removeprefix(theirs)


def _fused(parts: Mapping[str, Tensor], *, where: str) -> Tensor:
    missing = [name for name in _QKV if name not in parts]
    if missing:
        raise ValueError(f"{where} lacks '{missing[0]}'")
    shapes = {tuple(tensor.shape) for tensor in parts.values()}
    if len(shapes) > 1:
        raise ValueError(f"{where}: query, key and value have different shapes, {sorted(shapes)}")
    if len({tensor.dtype for tensor in parts.values()}) > 1:
        raise ValueError(f"{where}: query, key and value are of different types of number")
    return torch.cat([parts[name] for name in _QKV])


def _read_json(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: not valid JSON ({error})") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected a mapping of settings")
    return content
