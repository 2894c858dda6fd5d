"""Image ViTs from files: DINO, DINOv2 and timm checkpoints, under timm's names.

Original DINO ``.pth`` names equal timm's apart from the head; training checkpoints keep ``teacher`` and
``student`` with ``module.`` and ``backbone.`` before the names.  DINOv2 with registers becomes what timm has:
``reg_token``, and positions that leave the class token out.
"""

import math
from collections.abc import Mapping

from timm.layers import resample_abs_pos_embed
from torch import Tensor

from sigma_bench.models.weights_file import WeightsFile, state_dict_in

CONTAINERS = ("teacher", "model", "state_dict", "student")
"""The teacher first: it is what DINO evaluates."""
NO_FEATURES = ("head.", "head_dist.", "fc_norm.", "dino_head.", "ibot_head.", "dino_loss.", "ibot_patch_loss.")
"""Parts that turn features into something else."""


def image_tensors_in(file: WeightsFile) -> dict[str, Tensor]:
    """The trunk of an image ViT under timm's names, heads and mask token left out.

    Raises:
        ValueError: not an image ViT.
    """
    found = state_dict_in(file, CONTAINERS, beside=NO_FEATURES)
    tensors = {name: tensor for name, tensor in found.items() if not name.startswith(NO_FEATURES)}
    weight = tensors.get("patch_embed.proj.weight")
    if weight is None or weight.ndim != 4 or "blocks.0.norm1.weight" not in tensors:
        some = ", ".join(f"'{name}'" for name in list(found)[:3])
        raise ValueError(f"{file.path}: not an image ViT under the names of timm or DINO; holds {some}")
    tensors.pop("mask_token", None)
    return _with_timm_registers(tensors)


def resized_positions(tensors: Mapping[str, Tensor], grid: tuple[int, int], *, where: str) -> dict[str, Tensor]:
    """The same tensors with learned positions interpolated (bicubic, antialiased: timm's own) to another grid.

    Raises:
        ValueError: the stored positions are not those of a square grid.
    """
    stored = tensors["pos_embed"]
    side = math.isqrt(stored.shape[1])
    num_prefix = stored.shape[1] - side * side
    if num_prefix > 1:
        raise ValueError(
            f"{where}: 'pos_embed' has {stored.shape[1]} positions, which is no square grid with a class token"
        )
    return {**tensors, "pos_embed": resample_abs_pos_embed(stored, list(grid), num_prefix_tokens=num_prefix)}


def _with_timm_registers(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    if "register_tokens" not in tensors:
        return tensors
    renamed = dict(tensors)
    renamed["reg_token"] = renamed.pop("register_tokens")
    renamed["cls_token"] = tensors["cls_token"] + tensors["pos_embed"][:, :1]
    renamed["pos_embed"] = tensors["pos_embed"][:, 1:]
    return renamed
