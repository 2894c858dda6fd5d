"""The geometry of the video ViT in an external checkpoint: shapes give most of it, the file has to state the rest.

Width, depth, patch and tubelet are read off the tensors.  The number of heads leaves no trace in any shape:
it must be stated, or be the standard one of a standard width (SIGMA and VideoMAE: S 6, B 12, L 16, H 16).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from sigma_bench.specs.recipe import IMAGENET_MEAN, IMAGENET_STD, EncoderSpec
from sigma_bench.specs.strict import parse_spec

HEADS_BY_WIDTH = {384: 6, 768: 12, 1024: 16, 1280: 16}
WIDTH_AND_DEPTH_BY_SIZE = {"small": (384, 12), "base": (768, 12), "large": (1024, 24), "huge": (1280, 32)}
"""Sizes as released model names spell them, such as ``pretrain_videomae_base_patch16_224``."""
RELEASED_FRAMES, RELEASED_SIZE = 16, 224


@dataclass(frozen=True)
class Stated:
    """What a file says about itself beside its tensors; None where it is silent."""

    model: str | None = None
    num_heads: int | None = None
    num_frames: int | None = None
    image_size: int | None = None
    epochs: int = 0
    """Finished epochs of pretraining; 0 when unknown."""
    seed: int | None = None
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD


def read_geometry(tensors: Mapping[str, Tensor], stated: Stated, *, where: str) -> EncoderSpec:
    """The encoder's geometry from tensors in our names and what the file states.

    Raises:
        ValueError: no blocks, patches that are not square, or an unknown number of heads.
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
        raise ValueError(f"{where}: {width} numbers a token do not divide into {heads} heads")
    frames, size = stated.num_frames or RELEASED_FRAMES, stated.image_size or RELEASED_SIZE
    if frames % tubelet or size % patch:
        raise ValueError(f"{where}: states clips of {frames} frames x {size} px, but tubes of {tubelet} x {patch} px")
    geometry = {
        "num_frames": frames, "image_size": size, "patch_size": patch, "tubelet_frames": tubelet, "width": width,
        "depth": len(blocks), "num_heads": heads, "drop_path": 0.0,
        "layer_scale": float("encoder.blocks.0.gamma_1" in tensors),
    }  # fmt: skip
    return parse_spec(EncoderSpec, geometry, where=where)


def count(value: Any) -> int | None:
    """A number that a file states, None where it is anything but a whole number from 0 on."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _num_heads(width: int, stated: Stated, named_width: int | None, *, where: str) -> int:
    if stated.num_heads is not None:
        return stated.num_heads
    if width not in HEADS_BY_WIDTH or named_width not in (None, width):
        because = f"'{stated.model}' would be {named_width} wide" if named_width else "no standard width"
        raise ValueError(
            f"{where}: the number of attention heads is not in the file and cannot be told from width {width} "
            f"({because}); state it, as in '{where}@6heads' or num_heads=6"
        )
    return HEADS_BY_WIDTH[width]
