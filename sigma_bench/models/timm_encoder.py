"""Published image models of timm as encoders, with weights from its hub or from a file.

A file is a checkpoint of DINO, DINOv2 or timm.  The names of the original DINO equal those of timm apart from the head;
its training checkpoints keep ``teacher`` and ``student`` with ``module.`` and ``backbone.`` before the names.  DINOv2
with registers is converted to the form of timm: ``reg_token``, and positions without that of the class token.
"""

import difflib
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
from timm.data import resolve_model_data_config
from timm.layers import resample_abs_pos_embed
from torch import Tensor

from sigma_bench.models.checkpoints import LoadReport, load_strictly
from sigma_bench.models.code_digest import weights_sha256
from sigma_bench.models.frame_encoder import FrameEncoder
from sigma_bench.models.weights_file import WeightsFile, read_weights, state_dict_in
from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.specs.fingerprint import digest
from sigma_bench.specs.strict import suggestion

DEFAULT_FRAMES = 16
"""Number of frames of a clip for a published image model, which does not define one."""
TIMM_FAMILIES = {"dino": "DINO", "dinov2": "DINOv2"}
CONTAINERS = ("teacher", "model", "state_dict", "student")
"""Keys of weights in order of preference; DINO evaluates the teacher."""
NO_FEATURES = ("head.", "head_dist.", "fc_norm.", "dino_head.", "ibot_head.", "dino_loss.", "ibot_patch_loss.")
"""Prefixes of tensors after the features, such as heads, which an encoder does not need."""


def timm_encoder(
    name: str, *, file: Path | None = None, num_frames: int | None = None, image_size: int | None = None
) -> FrameEncoder:
    """A published image model, such as ``vit_small_patch16_224.dino``.

    Size, mean and std are those that timm states for the name, so the full name is also needed for a local file.

    Args:
        file: local file with the weights of a ViT; by default they come from the hub or its cache.
        num_frames: frames of a clip, ``DEFAULT_FRAMES`` unless given.
        image_size: by default the size of the weights; timm interpolates learned positions for another one.

    Raises:
        ValueError: timm has no such model, the model cannot have this size, the hub cannot be reached, or the file does
            not fit.
    """
    frames = DEFAULT_FRAMES if num_frames is None else num_frames
    if frames < 1 or (image_size is not None and image_size < 1):
        raise ValueError(f"timm:{name} cannot take clips of {frames} frames x {image_size} px; both must be at least 1")
    model = _timm_model(name, pretrained=file is None, image_size=image_size)
    patch = model.feature_info[-1]["reduction"]
    if image_size and model.pretrained_cfg.get("fixed_input_size") and image_size % patch:
        raise ValueError(f"{image_size} px is not a multiple of the patch size of {patch} px of '{name}'")
    sha256, report = (weights_sha256(model), None) if file is None else _fill(model, file)
    config = resolve_model_data_config(model)
    published = f"{model.pretrained_cfg['architecture']}.{model.pretrained_cfg['tag']}" if file is None else name
    tag = re.search(r"dino(v\d)?", published)
    own_size = config["input_size"][-1]
    size = image_size or own_size
    is_own = (frames, size) == (DEFAULT_FRAMES, own_size)
    card = EncoderCard(
        model=published if is_own else f"{published}@{frames}x{size}",
        family=TIMM_FAMILIES.get(tag.group(), "timm") if tag else "timm",
        num_frames=frames,
        image_size=size,
        tubelet_frames=1,
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        feature_width=model.num_features,
        num_parameters=sum(parameter.numel() for parameter in model.parameters()),
        checkpoint_sha256=sha256,
        code_sha256=digest(["timm", model.pretrained_cfg["architecture"], size]),
    )
    return FrameEncoder(model, card, report)


def _timm_model(name: str, *, pretrained: bool, image_size: int | None) -> Any:
    """The model without its classifier; ValueError if timm does not have, cannot build or cannot fetch it."""
    published = timm.list_models(pretrained=True)
    if name not in published and name not in timm.list_models():
        near = suggestion(name, difflib.get_close_matches(name, published))
        raise ValueError(
            f"timm has no model '{name}'.{near} Weights are named with their tag, as in 'vit_small_patch16_224.dino'."
        )
    config = timm.get_pretrained_cfg(name)
    if pretrained and not (config and config.has_weights):
        raise ValueError(f"timm has no weights for '{name}'; give them as 'timm:{name}:<file>'")
    # Models for images of any size do not have this argument.
    size: dict[str, Any] = {"img_size": image_size} if image_size and config and config.fixed_input_size else {}
    try:
        return timm.create_model(name, pretrained=pretrained, num_classes=0, **size)
    except OSError as error:
        raise ValueError(
            f"the weights of '{name}' cannot be fetched from the hub ({str(error).partition('. ')[0]}); "
            f"fetch them elsewhere and give the file: 'timm:{name}:<file>'"
        ) from error
    except TypeError as error:
        if not size:
            raise
        raise ValueError(f"timm cannot build '{name}' for images of {image_size} px; leave the size out") from error


def _fill(model: Any, file: Path) -> tuple[str, LoadReport]:
    """Load a local ViT file, with learned positions interpolated to the grid of the model; returns the digest."""
    weights = read_weights(file)
    tensors = image_tensors_in(weights)
    if "pos_embed" in tensors:
        tensors = resized_positions(tensors, model.patch_embed.grid_size, where=str(file))
    return weights.sha256, load_strictly(model, tensors, where=str(file))


def image_tensors_in(file: WeightsFile) -> dict[str, Tensor]:
    """The tensors of an image ViT under the names of timm, without heads and mask token.

    Raises:
        ValueError: the file does not hold an image ViT.
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
    """The tensors with learned positions interpolated to another grid by timm (bicubic, antialiased).

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
