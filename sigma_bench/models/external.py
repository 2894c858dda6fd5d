"""Encoders of external checkpoints with the video ViT of VideoMAE: released files and folders of Hugging Face.

These are files of SIGMA, VideoMAE, VideoMAE v2, MVD and UMT, and folders of VideoMAE and VideoMAE v2.  Loading is
strict: a file with a missing or an unknown tensor is refused.  The layouts are described in released.py,
huggingface_videomae.py and huggingface_videomaev2.py.

A classifier that pools by the mean has no final norm in its trunk: ``norm`` is the identity, and a new ``fc_norm``
follows the mean over tokens.  Therefore ``head.*`` of a fine-tuned file is ignored, ``encoder.norm.*`` may be missing,
and its features are the tokens without a final norm; ``fc_norm`` is kept as the norm of the pooled tokens.

For other frames or sizes than those of the file, the table of positions is computed anew.  The released code of
VideoMAE v2 and UMT interpolates it instead.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from sigma_bench.models import huggingface_videomae, huggingface_videomaev2, released
from sigma_bench.models.checkpoints import LoadReport, load_strictly
from sigma_bench.models.encoder import NetworkEncoder
from sigma_bench.models.geometry import Stated, read_geometry, read_options
from sigma_bench.models.position_tables import equals_table, mvd_table, square_grid
from sigma_bench.models.recipe_encoder import encoder_of
from sigma_bench.models.unsupported import WRAP, advice
from sigma_bench.models.video_encoder import geometry_suffix, resized
from sigma_bench.models.video_vit import VideoViT, sinusoid_table
from sigma_bench.models.weights_file import WEIGHT_NAMES, WeightsFile, model_name, state_dict_in

Layout = Literal[
    "released pretraining",
    "released fine-tuned",
    "MVD pretraining",
    "Hugging Face VideoMAE",
    "Hugging Face VideoMAE v2",
]
PRETRAINING_ONLY = ("decoder.", "encoder_to_decoder.", "mask_token", "projector.", "prototypes.", "clip_decoder.")
"""Prefixes of tensors of a pretraining checkpoint, under the names of this project, that an encoder does not need."""
MVD_ONLY = tuple(f"{part}_{kind}" for part in ("mask_token", "down", "decoder", "pos_embed") for kind in ("img", "vid"))
"""Beginnings of names of the two decoders of MVD."""
CLASSIFIER = ("fc_norm.", "head.")
"""Prefixes of tensors of a classifier that do not carry the prefix of its trunk."""
POOLED_NORM = "encoder.fc_norm."
"""Prefix, under the names of this project, of the norm after the mean over tokens."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExternalCheckpoint:
    """A checkpoint file of another project, with its tensors under the names of this project."""

    path: Path
    layout: Layout
    tensors: Mapping[str, Tensor]
    stated: Stated
    warnings: tuple[str, ...]
    """Warnings about content that is allowed but unusual."""
    metadata: Mapping[str, Any]
    """Arguments, configuration or safetensors metadata of the file."""
    sha256: str
    positions: Literal["sinusoid", "mvd"] = "sinusoid"

    @property
    def is_classifier(self) -> bool:
        return any(name.startswith((POOLED_NORM, "head.")) for name in self.tensors)

    @property
    def has_norm(self) -> bool:
        return any(name.startswith("encoder.norm.") for name in self.tensors)

    @property
    def has_pooled_norm(self) -> bool:
        return any(name.startswith(POOLED_NORM) for name in self.tensors)


def to_our_names(tensors: Mapping[str, Tensor], *, where: str = "these tensors") -> dict[str, Tensor]:
    """A state dict of any known layout under the names of this project.

    Values do not change, except that query, key and value are concatenated.  In released pretraining files,
    ``prototypes`` becomes ``prototypes.weight`` and ``head.N.*`` becomes ``projector.N.*``.  In fine-tuned files, the
    names of the trunk get the prefix ``encoder.``.  In files of Hugging Face, all names change, including those of the
    decoder.

    Raises:
        ValueError: the layout is unknown.
    """
    layout = recognise(tensors, where=where)
    if layout == "Hugging Face VideoMAE":
        return huggingface_videomae.huggingface_names(tensors, where=where)
    if layout == "released pretraining":
        return released.pretraining_names(tensors)
    return released.finetuned_names(tensors)


def recognise(tensors: Mapping[str, Tensor], *, where: str) -> Layout:
    """The layout that uses these names; ValueError with some of the names if it is unknown."""
    if huggingface_videomae.is_huggingface(tensors):
        return "Hugging Face VideoMAE"
    if released.is_pretraining(tensors):
        return "released pretraining"
    if released.is_mvd(tensors):
        return "MVD pretraining"
    if released.is_finetuned(tensors):
        return "released fine-tuned"
    some = ", ".join(f"'{name}'" for name in list(tensors)[:3])
    raise ValueError(
        f"{where}: not a video ViT of SIGMA, VideoMAE, MVD, UMT or V-JEPA; holds {some} ({len(tensors)} tensors); for "
        f"another network, {WRAP}"
    )


def read_external(file: WeightsFile, path: Path) -> ExternalCheckpoint:
    """The checkpoint of SIGMA or VideoMAE in a file.

    Args:
        path: name of the file in error messages.

    Raises:
        ValueError: the layout is unknown, or the tensors contradict each other or the configuration.
    """
    where = str(path)
    if (known := advice(file.content)) is not None:
        raise ValueError(f"{where}: {known}")
    plain = state_dict_in(file, released.CONTAINERS, beside=CLASSIFIER)
    layout = recognise(plain, where=where)
    arguments = released.arguments_in(file.content)
    is_mvd = layout == "MVD pretraining" or (layout == "released fine-tuned" and released.is_run_of_mvd(arguments))
    positions: Literal["sinusoid", "mvd"] = "mvd" if is_mvd else "sinusoid"
    tensors = _without_fixed_positions(to_our_names(plain, where=where), positions, where=where)
    stated, config = _description(file, layout, tensors, where=where)
    warnings: tuple[str, ...] = ()
    if layout == "Hugging Face VideoMAE":
        warnings = huggingface_videomae.warnings(tensors, stated)
        tensors = huggingface_videomae.with_stated_biases(tensors, config, where=where)
    elif is_mvd and layout != "MVD pretraining":
        warnings = ("taken for a fine-tuned file of MVD by the arguments of its run; positions are those of MVD",)
    if layout == "released fine-tuned" and config is not None:
        layout = "Hugging Face VideoMAE v2"
    metadata = config or arguments or file.metadata
    checkpoint = ExternalCheckpoint(path, layout, tensors, stated, warnings, metadata, file.sha256, positions)
    _require_consistent(checkpoint, config)
    return checkpoint


def _description(
    file: WeightsFile, layout: Layout, tensors: Mapping[str, Tensor], *, where: str
) -> tuple[Stated, dict[str, Any] | None]:
    """What a file and its folder state, and the configuration of the folder (None if it has none)."""
    folder = file.path.parent
    if layout == "Hugging Face VideoMAE":
        config = huggingface_videomae.read_config(folder)
        huggingface_videomae.require_fit(tensors, config or {}, where=where)
        return huggingface_videomae.stated_by_config(config, folder), config
    if layout == "released fine-tuned" and file.path.name.startswith(WEIGHT_NAMES):
        config = huggingface_videomaev2.read_model_config(folder)
        if config is not None:
            huggingface_videomaev2.require_fit(tensors, config, where=where)
            return huggingface_videomaev2.stated_by_model_config(config, folder), config
    return released.stated_by_arguments(file.content, pretraining=layout != "released fine-tuned"), None


def recognises(file: WeightsFile) -> bool:
    """Whether a file holds a video ViT in one of the layouts."""
    try:
        recognise(state_dict_in(file, released.CONTAINERS, beside=CLASSIFIER), where=str(file.path))
    except ValueError:
        return False
    return True


def open_file(
    file: WeightsFile,
    path: Path,
    *,
    num_frames: int | None = None,
    image_size: int | None = None,
    num_heads: int | None = None,
) -> NetworkEncoder:
    """The encoder of a weight file of SIGMA or VideoMAE.

    Args:
        path: name of the file in error messages.
        num_frames, image_size: geometry of clips, by default that of the checkpoint; positions are recomputed for it.
        num_heads: number of attention heads, for a file that does not state it and whose width is not a standard one.

    Raises:
        ValueError: the file is incomplete, its geometry is unknown, or clips do not divide into tubes.
    """
    checkpoint = read_external(file, path)
    where, stated = str(checkpoint.path), checkpoint.stated
    if num_heads is not None:
        stated = replace(stated, num_heads=num_heads)
    pretrained = read_geometry(checkpoint.tensors, stated, where=where)
    options = read_options(checkpoint.tensors, stated, checkpoint.positions, where=where)
    vit = VideoViT(resized(pretrained, num_frames, image_size, where=where), options)
    report = _load(vit, checkpoint)
    for warning in checkpoint.warnings:
        logger.warning("%s: %s", where, warning)
    heads = "" if num_heads in (None, checkpoint.stated.num_heads) else f"@{num_heads}heads"
    return encoder_of(
        vit,
        vit.spec,
        report,
        model=model_name(checkpoint.path) + geometry_suffix(vit.spec, pretrained) + heads,
        family=family_of(checkpoint),
        checkpoint_sha256=checkpoint.sha256,
        pretraining_epochs=stated.epochs,
        pretraining_seed=stated.seed,
        mean=stated.mean,
        std=stated.std,
    )


def family_of(checkpoint: ExternalCheckpoint) -> str:
    """Name of the method in tables, recognised by tensors that only checkpoints of this method have."""
    names = checkpoint.tensors
    if checkpoint.positions == "mvd":
        return "MVD, fine-tuned" if checkpoint.is_classifier else "MVD"
    if checkpoint.layout == "Hugging Face VideoMAE v2":
        return "VideoMAE v2"
    if checkpoint.is_classifier:
        return "VideoMAE or SIGMA, fine-tuned"
    if any(name.startswith("clip_decoder.") for name in names):
        return "UMT"
    if "prototypes.weight" in names:
        return "SIGMA-MLP" if any(name.startswith("projector.") for name in names) else "SIGMA-DINO"
    if checkpoint.layout != "Hugging Face VideoMAE" and "mask_token" not in names:
        return "VideoMAE or SIGMA"  # a trunk alone
    return "VideoMAE"


def _load(vit: VideoViT, checkpoint: ExternalCheckpoint) -> LoadReport:
    """Load the tensors; the network gets the norm of the pooled tokens if the file has one."""
    if checkpoint.has_pooled_norm:
        vit.register_module("fc_norm", nn.LayerNorm(vit.spec.width, eps=vit.options.layer_norm_eps))
    not_needed: tuple[str, ...] = ("head.",) if checkpoint.is_classifier else PRETRAINING_ONLY
    if checkpoint.layout == "MVD pretraining":
        not_needed = MVD_ONLY
    report = load_strictly(
        nn.ModuleDict({"encoder": vit}),
        checkpoint.tensors,
        may_be_missing=() if _needs_norm(checkpoint) else ("encoder.norm.",),
        may_be_unexpected=not_needed,
        where=str(checkpoint.path),
    )
    if not checkpoint.has_norm:
        vit.register_module("norm", nn.Identity())
    return replace(report, layout=checkpoint.layout, warnings=checkpoint.warnings, metadata=checkpoint.metadata)


def _needs_norm(checkpoint: ExternalCheckpoint) -> bool:
    """Whether a final norm is required; it is not if the mean over tokens is normalised or the configuration says
    so."""
    pools_by_mean = checkpoint.metadata.get("use_mean_pooling") is True
    return checkpoint.has_norm or not (pools_by_mean or checkpoint.has_pooled_norm)


def _require_consistent(checkpoint: ExternalCheckpoint, config: Mapping[str, Any] | None) -> None:
    where, names = str(checkpoint.path), checkpoint.tensors
    if checkpoint.has_norm and checkpoint.has_pooled_norm:
        raise ValueError(f"{where}: holds both a final norm and fc_norm, so its features are ambiguous")
    if config and "use_mean_pooling" in config and checkpoint.has_norm == config["use_mean_pooling"]:
        raise ValueError(
            f"{where}: config.json says use_mean_pooling {str(config['use_mean_pooling']).lower()}, but the file has "
            f"{'a' if checkpoint.has_norm else 'no'} final norm"
        )
    if "prototypes.weight" not in names and any(name.startswith("projector.") for name in names):
        raise ValueError(f"{where}: incomplete: a projection network (head.*) but no prototypes")


def _without_fixed_positions(
    tensors: Mapping[str, Tensor], positions: Literal["sinusoid", "mvd"], *, where: str
) -> dict[str, Tensor]:
    """The tensors without stored position codes; ValueError if these are not the ones that are recomputed."""
    kept = dict(tensors)
    for name in ("encoder.pos_embed", "decoder.pos_embed"):
        stored = kept.pop(name, None)
        if stored is None:
            continue
        if positions == "mvd":
            is_fixed = square_grid(stored, mvd_table) is not None
        else:
            is_fixed = stored.ndim >= 2 and equals_table(stored, sinusoid_table(*stored.shape[-2:]))
        if not is_fixed:
            raise ValueError(f"{where}: '{name}' is not the fixed sinusoid; learned positions are not supported")
    return kept
