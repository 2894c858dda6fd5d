"""Released files of V-JEPA, V-JEPA 2 and V-JEPA 2.1, such as vitl16.pth.tar, vitl.pt and vjepa2_1_vitg_384.pt.

A training file holds several networks in containers.  The one that the released evaluation configurations use is
loaded: ``target_encoder``, or ``ema_encoder`` for the distilled sizes of V-JEPA 2.1, or else ``encoder``.  The names
inside have the prefixes ``module.`` and ``backbone.``.  Predictor, optimiser and the other networks are not needed.

Files of V-JEPA 1 and 2 have equal names and shapes.  A file without a table of positions (``pos_embed``) is V-JEPA 2.
A table may belong to V-JEPA 1, or to V-JEPA 2 without RoPE, or be a remainder that V-JEPA 2 does not use; then the file
name must be that of a release, or the user states the model, as in ``vjepa1:<file>``.

V-JEPA 2.1 with clips of one frame (``@1x384``) is its image encoder, which has a patch embedding of its own.
"""

import contextlib
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from sigma_bench.models.checkpoints import load_strictly
from sigma_bench.models.encoder import NetworkEncoder
from sigma_bench.models.jepa_encoder import FAMILY, jepa_encoder, load_network, resized
from sigma_bench.models.jepa_vit import JepaSpec, Variant
from sigma_bench.models.position_tables import vjepa_grid
from sigma_bench.models.video_encoder import geometry_suffix
from sigma_bench.models.weights_file import WeightsFile, model_name, state_dict_in
from sigma_bench.specs.strict import parse_spec

STATED: tuple[Variant, ...] = ("vjepa1", "vjepa2", "vjepa2-sincos")
"""Variants that a user can state before the file, as in ``vjepa1:<file>``."""
HEADS_BY_WIDTH = {384: 6, 768: 12, 1024: 16, 1280: 16, 1408: 22, 1664: 26}
DEPTH_BY_WIDTH = {1024: 24, 1280: 32, 1408: 40, 1664: 48}
"""Numbers of blocks of the released sizes L, H, g and G."""
DEPTHS_OF_21 = (12, 24, 40, 48)
"""Numbers of blocks for which V-JEPA 2.1 is defined."""
CONTAINERS = ("ema_encoder", "target_encoder", "encoder")
UNDISTILLED_WIDTHS = (1408, 1664)
"""Widths of the sizes of V-JEPA 2.1 that are not distilled; they are evaluated with ``target_encoder``."""
RELEASED_FRAMES = 64
RELEASED_SIZE = 256
NUM_LEVELS = 4
"""Output levels of V-JEPA 2.1; each has a norm, and features are those of the last one."""
_RELEASED_V2 = re.compile(r"(vit[lhg](-384)?|vjepa2-ac-vitg)\.pt")
_V1_ROWS = (8 * 14 * 14, 8 * 24 * 24)
_V1_WIDTHS = (1024, 1280)


def recognises(file: WeightsFile) -> bool:
    """Whether a file holds a V-JEPA encoder."""
    candidates: list[Mapping[str, Any]] = [file.content[key] for key in _containers(file)] or [file.content]
    with contextlib.suppress(ValueError):
        candidates.append(state_dict_in(file, ()))
    return any(_is_jepa(names) for names in candidates)


def open_file(
    file: WeightsFile,
    path: Path,
    *,
    num_frames: int | None = None,
    image_size: int | None = None,
    num_heads: int | None = None,
    variant: Variant | None = None,
) -> NetworkEncoder:
    """The encoder of a released file.

    Args:
        path: name of the file in error messages.
        num_frames, image_size: geometry of clips; by default that of the release.
        num_heads: number of attention heads, for a width that no release has, or another number than the release.
        variant: what the positions of the file are, if neither its tensors nor its name determine it.

    Raises:
        ValueError: the file is incomplete or ambiguous, or the network cannot take the clips.
    """
    where = str(path)
    container, tensors = _encoder_tensors(file, where=where)
    variant, reason = variant_of(tensors, path.name, stated=variant, where=where)
    own = _geometry(tensors, variant, path.name, num_heads, where=where)
    spec = resized(own, num_frames, image_size, where=where)
    surplus: tuple[str, ...] = ()
    if variant == "vjepa2" and "pos_embed" in tensors:
        surplus = ("pos_embed",)
        _require_remainder(tensors, where=where)
    if variant == "vjepa2.1":
        tensors, surplus = _with_last_norm(tensors, own.width, where=where)
    network, report = load_network(spec, tensors, may_be_unexpected=surplus, where=where)
    layout = f"{FAMILY[variant]}, {f'container {container}' if container else 'tensors at the top level'}"
    report = replace(report, layout=layout, warnings=(reason,) if reason else (), metadata=file.metadata)
    heads = "" if own.num_heads == HEADS_BY_WIDTH.get(own.width) else f"@{own.num_heads}heads"
    return jepa_encoder(
        network, report, model=model_name(path) + geometry_suffix(spec, own) + heads, checkpoint_sha256=file.sha256
    )


def variant_of(
    tensors: Mapping[str, Tensor], file_name: str, *, stated: Variant | None, where: str
) -> tuple[Variant, str]:
    """The variant, and the reason for the choice if it does not follow from the tensors alone.

    Raises:
        ValueError: the variant cannot be determined, or what is stated contradicts the tensors.
    """
    table = tensors.get("pos_embed")
    if any(name.startswith("norms_block.") for name in tensors):
        if stated is not None:
            raise ValueError(f"{where}: has the norms of V-JEPA 2.1, so it is not {stated}; leave '{stated}:' out")
        return "vjepa2.1", ""
    is_v1_name = file_name.endswith(".pth.tar")
    if table is None:
        if (stated or "vjepa2") != "vjepa2" or (is_v1_name and stated is None):
            raise ValueError(
                f"{where}: {f'is stated to be {stated}' if stated else 'named as a file of V-JEPA 1'}, but has no "
                "table of positions 'pos_embed'; without one it is V-JEPA 2 with RoPE, stated as 'vjepa2:<file>'"
            )
        return "vjepa2", ""
    if stated is not None:
        return stated, f"positions of {stated}, as stated"
    rows, width = table.shape[-2:] if table.ndim > 1 else (0, 0)
    has_v1_shape = rows in _V1_ROWS and width in _V1_WIDTHS
    if is_v1_name:
        return "vjepa1", "V-JEPA 1 by its file name, which ends in .pth.tar; the table 'pos_embed' is used"
    if _RELEASED_V2.fullmatch(file_name) and not has_v1_shape:
        return (
            "vjepa2",
            f"V-JEPA 2 by its file name, that of a release; the table 'pos_embed' ({rows} rows) is not used",
        )
    raise ValueError(
        f"{where}: its table 'pos_embed' ({rows} rows) is used by V-JEPA 1, is a remainder in V-JEPA 2 and is used in "
        "V-JEPA 2 without RoPE, and the tensors do not tell which it is; state it, as "
        + ", ".join(f"'{each}:<file>'" for each in STATED)
    )


def _containers(file: WeightsFile) -> list[str]:
    return [key for key in CONTAINERS if isinstance(file.content.get(key), Mapping) and file.content[key]]


def _is_jepa(names: Mapping[str, Any]) -> bool:
    """Whether the names are those of a ViT of tubes whose query, key and value have one bias together."""
    tubes = any(
        name.endswith("patch_embed.proj.weight") and isinstance(value, Tensor) and value.ndim == 5
        for name, value in names.items()
        if isinstance(name, str)
    )
    return tubes and any(re.search(r"(^|\.)blocks\.\d+\.attn\.qkv\.bias$", str(name)) for name in names)


def _encoder_tensors(file: WeightsFile, *, where: str) -> tuple[str, dict[str, Tensor]]:
    """The container that is evaluated ('' if there is none) and its tensors without prefixes.

    Raises:
        ValueError: more than one container could be meant.
    """
    present = _containers(file)
    if not present:
        return "", state_dict_in(file, ())
    chosen = present[0]
    tensors = state_dict_in(replace(file, content=file.content[chosen]), ())
    if chosen == "ema_encoder" and "target_encoder" in present:
        width = len(tensors.get("patch_embed.proj.bias", ()))
        if "norms_block.0.weight" not in tensors or width in UNDISTILLED_WIDTHS:
            raise ValueError(
                f"{where}: holds both ema_encoder and target_encoder; the distilled sizes B and L of V-JEPA 2.1 are "
                "evaluated with ema_encoder and all others with target_encoder, and this is none that has both; save "
                "the tensors of one of them in a separate file"
            )
    return chosen, tensors


def _geometry(
    tensors: Mapping[str, Tensor], variant: Variant, file_name: str, num_heads: int | None, *, where: str
) -> JepaSpec:
    """The geometry of the release, from the shapes of the tensors and the name of the file."""
    weight, hidden = tensors.get("patch_embed.proj.weight"), tensors.get("blocks.0.mlp.fc1.weight")
    if weight is None or weight.ndim != 5 or hidden is None or hidden.ndim != 2:
        lacking = "blocks.0.mlp.fc1.weight" if weight is not None and weight.ndim == 5 else "patch_embed.proj.weight"
        raise ValueError(f"{where}: incomplete: '{lacking}' is missing or has another shape")
    if gated := next((name for name in tensors if ".mlp.fc3." in name), None):
        raise ValueError(f"{where}: has a SwiGLU MLP ('{gated}'), which no released model has; only GELU is supported")
    width, _, tubelet, patch, columns = weight.shape
    if patch != columns:
        raise ValueError(f"{where}: patches are not square ({patch} x {columns} px)")
    depth = len({found[1] for name in tensors if (found := re.match(r"blocks\.(\d+)\.", name))})
    _require_depth(depth, width, variant, where=where)
    grid = None if variant in ("vjepa2", "vjepa2.1") else _table_grid(tensors["pos_embed"], where=where)
    is_384 = variant == "vjepa2.1" or re.search(r"(?<!\d)384(?!\d)", file_name)
    return parse_spec(
        JepaSpec,
        {
            "variant": variant,
            "num_frames": grid[0] * tubelet if grid else RELEASED_FRAMES,
            "image_size": grid[1] * patch if grid else 384 if is_384 else RELEASED_SIZE,
            "patch_size": patch,
            "tubelet_frames": tubelet,
            "width": width,
            "depth": depth,
            "num_heads": _num_heads(width, num_heads, where=where),
            "mlp_width": len(hidden),
            "table_grid": grid,
        },
        where=where,
    )


def _num_heads(width: int, stated: int | None, *, where: str) -> int:
    heads = HEADS_BY_WIDTH.get(width) if stated is None else stated
    if heads is None:
        raise ValueError(
            f"{where}: the number of attention heads is not in the file, and no release is {width} wide; state it, as "
            f"in '{where}@16heads' or num_heads=16"
        )
    if heads < 1 or width % heads:
        raise ValueError(f"{where}: width {width} does not divide into {heads} heads")
    return heads


def _require_depth(depth: int, width: int, variant: Variant, *, where: str) -> None:
    """ValueError if the number of blocks is not that of the release, so that some are missing or too many."""
    usual = DEPTHS_OF_21 if variant == "vjepa2.1" else (DEPTH_BY_WIDTH.get(width, depth),)
    if depth not in usual:
        raise ValueError(
            f"{where}: holds {depth} blocks; {FAMILY[variant]} of width {width} has "
            f"{' or '.join(map(str, usual))}, so the file is incomplete or not of this family"
        )


def _table_grid(table_1ND: Tensor, *, where: str) -> tuple[int, int, int]:
    grid = vjepa_grid(table_1ND)
    if grid is None:
        raise ValueError(
            f"{where}: 'pos_embed' of shape {tuple(table_1ND.shape)} is not the fixed sine-cosine table of V-JEPA for "
            "any square grid"
        )
    return grid


def _require_remainder(tensors: Mapping[str, Tensor], *, where: str) -> None:
    """ValueError unless a table that is not used has the form of one and no other name begins like its name."""
    table, width = tensors["pos_embed"], len(tensors["patch_embed.proj.weight"])
    if table.ndim != 3 or len(table) != 1 or table.shape[2] != width or not table.isfinite().all():
        raise ValueError(f"{where}: 'pos_embed' of shape {tuple(table.shape)} is no table of positions of this width")
    if other := next((name for name in tensors if name.startswith("pos_embed") and name != "pos_embed"), None):
        raise ValueError(f"{where}: does not fit the model: '{other}' is unexpected")


def _with_last_norm(
    tensors: Mapping[str, Tensor], width: int, *, where: str
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Tensors with the norm of the last level as ``norm``, and the prefixes of the other norms, which are not needed.

    Raises:
        ValueError: a norm is missing, has another shape or holds values that are not finite.
    """
    if clash := next((name for name in tensors if name.startswith("norm.")), None):
        raise ValueError(f"{where}: holds both '{clash}' and 'norms_block', so its final norm is ambiguous")
    others = tuple(f"norms_block.{level}." for level in range(NUM_LEVELS - 1))
    norms = nn.ModuleDict({"norms_block": nn.ModuleList(nn.LayerNorm(width) for _ in range(NUM_LEVELS))})
    stored = {name: tensor for name, tensor in tensors.items() if name.startswith("norms_block.")}
    load_strictly(norms, stored, where=where)
    last = f"norms_block.{NUM_LEVELS - 1}."
    renamed = {f"norm.{name.removeprefix(last)}" if name.startswith(last) else name: t for name, t in tensors.items()}
    return renamed, others
