"""Original files of TimeSformer (arXiv 2102.05095) and of SVT (arXiv 2112.01514), which pretrains it without labels.

TimeSformer's files hold the tensors in ``model_state``, with the prefix ``model.``, and the configuration of the run as
text in ``cfg``.  SVT's files hold a teacher, which its evaluation uses, and a student, with the prefix ``backbone.``.
The tensors are opened as transformers' ``TimesformerModel``, whose definition is that of both projects.

The tensors determine everything but the number of attention heads, which is that of the usual ViT of the same width
(64 channels per head), or stated.  Both projects normalise by mean .45 and std .225, with LayerNorm epsilon 1e-6 and
exact GELU.  Learned positions are taken from the nearest place for clips of another length or size.

A file without ``time_embed`` and temporal attention (space-only attention) has the names of an image ViT and is one.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from sigma_bench.models.encoder import NetworkEncoder
from sigma_bench.models.huggingface_preprocessor import Colour, Preprocessing
from sigma_bench.models.released import arguments_in
from sigma_bench.models.transformers_encoder import open_tensors
from sigma_bench.models.unsupported import levels
from sigma_bench.models.weights_file import WeightsFile, model_name, state_dict_in
from sigma_bench.specs.strict import read_scalar

CONTAINERS = ("model_state", "teacher")
HEADS = ("head.",)
"""Beginning of the names of TimeSformer's classifier and of SVT's projection head."""
MEAN: Colour = (0.45, 0.45, 0.45)
STD: Colour = (0.225, 0.225, 0.225)
LAYER_NORM_EPS = 1e-6
HEAD_WIDTH = 64
DEPTHS = {384: 12, 768: 12, 1024: 24}
"""Number of blocks of the usual ViTs with 64 channels per head, by width."""
OUTSIDE = {
    "cls_token": "embeddings.cls_token",
    "pos_embed": "embeddings.position_embeddings",
    "time_embed": "embeddings.time_embeddings",
    "patch_embed.proj": "embeddings.patch_embeddings.projection",
    "norm": "layernorm",
}
IN_BLOCK = {
    "temporal_norm1": "temporal_layernorm",
    "temporal_attn.qkv": "temporal_attention.attention.qkv",
    "temporal_attn.proj": "temporal_attention.output.dense",
    "temporal_fc": "temporal_dense",
    "norm1": "layernorm_before",
    "attn.qkv": "attention.attention.qkv",
    "attn.proj": "attention.output.dense",
    "norm2": "layernorm_after",
    "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense",
}
"""Names of modules in the original files and in files of transformers."""


def recognises(file: WeightsFile) -> bool:
    """Whether a file holds a TimeSformer: an embedding of image patches, and time embeddings or temporal attention."""
    return any(_is_timesformer(names) for names in levels(file.content))


def open_file(
    file: WeightsFile,
    path: Path,
    *,
    num_frames: int | None = None,
    image_size: int | None = None,
    num_heads: int | None = None,
) -> NetworkEncoder:
    """The encoder of an original file.

    Args:
        path: name of the file in error messages.
        num_frames, image_size: geometry of clips; by default that of the learned positions.
        num_heads: number of attention heads, for another width or number than that of a usual ViT.

    Raises:
        ValueError: the file is incomplete, states another configuration than its tensors, or the network cannot take
            the clips.
    """
    where = str(path)
    found = state_dict_in(file, CONTAINERS, beside=HEADS)
    settings = _settings(found, num_heads, where=where)
    run = _run(file, where=where)
    _require_agreement(run, settings, where=where)
    renamed = {huggingface_name(name, where=where): name for name in found}
    is_svt = "teacher" in file.content or any(name.startswith(("head.mlp.", "head.last_layer.")) for name in found)
    width = settings["hidden_size"]
    usual = width // HEAD_WIDTH if width in DEPTHS else None
    encoder = open_tensors(
        {theirs: found[name] for theirs, name in renamed.items()},
        settings,
        Preprocessing(None, _colour(run, "MEAN", MEAN, where=where), _colour(run, "STD", STD, where=where)),
        where=f"{where} (under the names of transformers)",
        num_frames=num_frames,
        image_size=image_size,
        model=model_name(path) + ("" if num_heads in (None, usual) else f"@{num_heads}heads"),
        checkpoint_sha256=file.sha256,
        family="SVT" if is_svt else "TimeSformer",
    )
    assert encoder.report is not None
    encoder.report = replace(
        encoder.report,
        matched=tuple(sorted(renamed[name] for name in encoder.report.matched)),
        unexpected=tuple(sorted(renamed[name] for name in encoder.report.unexpected)),
        layout="SVT, the teacher" if "teacher" in file.content else "TimeSformer",
        metadata={**settings, **arguments_in(file.content), **({"DATA": run["DATA"]} if run else {})},
    )
    return encoder


def huggingface_name(name: str, *, where: str) -> str:
    """The name of a tensor in files of transformers; ValueError if it is none of a TimeSformer or of its head."""
    if name.startswith(HEADS):
        return f"classifier.{name.removeprefix('head.')}"
    if name in OUTSIDE:
        return OUTSIDE[name]
    parts = re.fullmatch(r"(?:blocks\.(?P<block>\d+)\.)?(?P<module>.+)\.(?P<kind>weight|bias)", name)
    module = parts and (OUTSIDE if parts["block"] is None else IN_BLOCK).get(parts["module"])
    if not parts or not module:
        raise ValueError(f"{where}: does not fit the model: '{name}' is no tensor of a TimeSformer")
    block = "" if parts["block"] is None else f"encoder.layer.{parts['block']}."
    return f"{block}{module}.{parts['kind']}"


def _is_timesformer(names: Mapping[str, Any]) -> bool:
    patches = any(
        name.endswith("patch_embed.proj.weight") and isinstance(value, Tensor) and value.ndim == 4
        for name, value in names.items()
        if isinstance(name, str)
    )
    return patches and any(re.search(r"(^|\.)(time_embed$|temporal_attn\.)", str(name)) for name in names)


def _settings(tensors: Mapping[str, Tensor], num_heads: int | None, *, where: str) -> dict[str, Any]:
    """The configuration of transformers that follows from the tensors; ValueError if they are not sufficient."""
    needed = {"patch_embed.proj.weight": 4, "pos_embed": 3, "time_embed": 3, "blocks.0.mlp.fc1.weight": 2}
    for name, rank in needed.items():
        if name not in tensors or tensors[name].ndim != rank:
            raise ValueError(f"{where}: incomplete: '{name}' is missing or has another shape")
    width, _, patch, columns = tensors["patch_embed.proj.weight"].shape
    places = tensors["pos_embed"].shape[1] - 1
    side = math.isqrt(max(places, 0))
    if patch != columns or side * side != places or side == 0:
        raise ValueError(f"{where}: patches of {patch} x {columns} px in {places} places; both must be square")
    depth = len({found[1] for name in tensors if (found := re.match(r"blocks\.(\d+)\.", name))})
    if depth != DEPTHS.get(width, depth):
        raise ValueError(f"{where}: incomplete: {depth} blocks; a ViT of width {width} has {DEPTHS[width]}")
    divided = any(".temporal_attn." in name for name in tensors)
    return {
        "model_type": "timesformer",
        "image_size": side * patch,
        "patch_size": patch,
        "num_frames": tensors["time_embed"].shape[1],
        "hidden_size": width,
        "num_hidden_layers": depth,
        "num_attention_heads": _num_heads(width, num_heads, where=where),
        "intermediate_size": len(tensors["blocks.0.mlp.fc1.weight"]),
        "qkv_bias": "blocks.0.attn.qkv.bias" in tensors,
        "attention_type": "divided_space_time" if divided else "joint_space_time",
        "hidden_act": "gelu",
        "layer_norm_eps": LAYER_NORM_EPS,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "drop_path_rate": 0,
    }


def _num_heads(width: int, stated: int | None, *, where: str) -> int:
    if stated is None and width not in DEPTHS:
        raise ValueError(
            f"{where}: the number of attention heads is not in the file, and no usual ViT with {HEAD_WIDTH} channels "
            f"per head is {width} wide; state it, as in '{where}@12heads' or num_heads=12"
        )
    heads = width // HEAD_WIDTH if stated is None else stated
    if heads < 1 or width % heads:
        raise ValueError(f"{where}: width {width} does not divide into {heads} heads")
    return heads


def _run(file: WeightsFile, *, where: str) -> dict[str, Any]:
    """The configuration of the run in a file of TimeSformer; empty if it has none."""
    text = file.content.get("cfg")
    if text is None:
        return {}
    try:
        run = read_scalar(text)
    except (ValueError, AttributeError, TypeError) as error:
        raise ValueError(f"{where}: 'cfg', the configuration of its run, cannot be read ({error})") from error
    if not isinstance(run, dict) or not isinstance(run.get("DATA"), dict):
        raise ValueError(f"{where}: 'cfg', the configuration of its run, has no settings DATA")
    return run


def _require_agreement(run: Mapping[str, Any], settings: Mapping[str, Any], *, where: str) -> None:
    """ValueError if the configuration of the run contradicts the tensors, or changes the colours otherwise."""
    if not run:
        return
    data = run["DATA"]
    attention = run.get("TIMESFORMER")
    pairs = {
        "DATA.NUM_FRAMES": (data.get("NUM_FRAMES"), settings["num_frames"]),
        "DATA.TRAIN_CROP_SIZE": (data.get("TRAIN_CROP_SIZE"), settings["image_size"]),
        "TIMESFORMER.ATTENTION_TYPE": (
            attention.get("ATTENTION_TYPE") if isinstance(attention, dict) else None,
            settings["attention_type"],
        ),
        "DATA.REVERSE_INPUT_CHANNEL": (data.get("REVERSE_INPUT_CHANNEL"), False),
    }
    for key, (stated, wanted) in pairs.items():
        if stated is not None and stated != wanted:
            raise ValueError(f"{where}: 'cfg' states {key} {stated!r}, but the encoder has {wanted!r}")


def _colour(run: Mapping[str, Any], key: str, default: Colour, *, where: str) -> Colour:
    """Mean or std of the configuration of the run; those of both projects if it does not state them."""
    values = run.get("DATA", {}).get(key, default)
    is_colour = isinstance(values, list | tuple) and len(values) == 3
    if not is_colour or not all(isinstance(value, float | int) and math.isfinite(value) for value in values):
        raise ValueError(f"{where}: 'cfg' states DATA.{key} {values!r}; expected three numbers")
    if key == "STD" and min(values) <= 0:
        raise ValueError(f"{where}: 'cfg' states DATA.STD {values!r}; expected numbers above 0")
    return (float(values[0]), float(values[1]), float(values[2]))
