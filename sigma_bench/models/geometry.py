"""Geometry of the video ViT in an external checkpoint, from the shapes of its tensors and from what the file states.

Shapes determine width, depth, patch and tubelet, but not the number of attention heads.  The file must state this
number, unless the width is a standard one of SIGMA, VideoMAE and VideoMAE v2 (S 6 heads, B 12, L 16, H 16, g 16).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from sigma_bench.models.video_vit import LAYER_NORM_EPS, VitOptions
from sigma_bench.specs.recipe import IMAGENET_MEAN, IMAGENET_STD, EncoderSpec
from sigma_bench.specs.strict import parse_spec

HEADS_BY_WIDTH = {384: 6, 768: 12, 1024: 16, 1280: 16, 1408: 16}
WIDTH_AND_DEPTH_BY_SIZE = {
    "small": (384, 12), "base": (768, 12), "large": (1024, 24), "huge": (1280, 32), "giant": (1408, 40),
}  # fmt: skip
"""Name of a size, as in the model name ``pretrain_videomae_base_patch16_224``, -> width and depth."""
RELEASED_FRAMES, RELEASED_SIZE = 16, 224
UMT_FRAMES = 8
"""Frames of released models with tubes of one frame."""


@dataclass(frozen=True)
class Stated:
    """What a file states in addition to its tensors; None for what it does not state."""

    model: str | None = None
    num_heads: int | None = None
    num_frames: int | None = None
    image_size: int | None = None
    epochs: int = 0
    """Number of finished epochs of pretraining; 0 if unknown."""
    seed: int | None = None
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    layer_norm_eps: float = LAYER_NORM_EPS


def read_geometry(tensors: Mapping[str, Tensor], stated: Stated, *, where: str) -> EncoderSpec:
    """Geometry of the encoder, from tensors under the names of this project and from what the file states.

    Raises:
        ValueError: there are no blocks, patches are not square, or the number of heads is unknown.
    """
    width, _, tubelet, patch, columns = tensors["encoder.patch_embed.proj.weight"].shape
    blocks = {found[1] for name in tensors if (found := re.match(r"encoder\.blocks\.(\d+)\.", name))}
    if not blocks or patch != columns:
        raise ValueError(f"{where}: {'patches are not square' if blocks else 'there are no transformer blocks'}")
    named = next((geometry for size, geometry in WIDTH_AND_DEPTH_BY_SIZE.items() if size in (stated.model or "")), None)
    if named and named[0] == width and named[1] != len(blocks):
        raise ValueError(f"{where}: incomplete: {len(blocks)} blocks, but '{stated.model}' has {named[1]}")
    heads = _num_heads(width, stated, named and named[0], where=where)
    if heads < 1 or width % heads:
        raise ValueError(f"{where}: width {width} does not divide into {heads} heads")
    frames = stated.num_frames or (RELEASED_FRAMES if tubelet > 1 else UMT_FRAMES)
    size = stated.image_size or RELEASED_SIZE
    if frames % tubelet or size % patch:
        raise ValueError(f"{where}: states clips of {frames} frames x {size} px, but tubes of {tubelet} x {patch} px")
    geometry = {
        "num_frames": frames, "image_size": size, "patch_size": patch, "tubelet_frames": tubelet, "width": width,
        "depth": len(blocks), "num_heads": heads, "drop_path": 0.0,
        "layer_scale": float("encoder.blocks.0.gamma_1" in tensors),
    }  # fmt: skip
    return parse_spec(EncoderSpec, geometry, where=where)


def read_options(
    tensors: Mapping[str, Tensor], stated: Stated, positions: Literal["sinusoid", "mvd"], *, where: str
) -> VitOptions:
    """Properties of the blocks beside the geometry, from tensors under the names of this project.

    Raises:
        ValueError: an epsilon that the file states is not a positive number.
    """
    width = len(tensors["encoder.patch_embed.proj.weight"])
    hidden = tensors.get("encoder.blocks.0.mlp.fc1.weight")
    mlp_width = None if hidden is None or len(hidden) == 4 * width else len(hidden)
    options = {
        "mlp_width": mlp_width,
        "cosine_attention": any(name.endswith(".attn.scale") for name in tensors),
        "layer_norm_eps": stated.layer_norm_eps,
        "positions": positions,
    }
    return parse_spec(VitOptions, options, where=where)


def count(value: Any) -> int | None:
    """The value if it is a whole number of at least 0, otherwise None."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _num_heads(width: int, stated: Stated, named_width: int | None, *, where: str) -> int:
    if stated.num_heads is not None:
        return stated.num_heads
    if width not in HEADS_BY_WIDTH or named_width not in (None, width):
        because = f"'{stated.model}' would be {named_width} wide" if named_width else "no standard width"
        raise ValueError(
            f"{where}: the number of attention heads is not in the file and cannot be derived from the width {width} "
            f"({because}); state it, as in '{where}@6heads' or num_heads=6"
        )
    return HEADS_BY_WIDTH[width]
