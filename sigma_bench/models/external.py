"""Encoders of external checkpoints: released SIGMA and VideoMAE files, and VideoMAE folders of Hugging Face.

Loading is strict: a file with a missing or an unknown tensor is refused.  The layouts are described in released.py and
huggingface_videomae.py.

A classifier that pools by the mean has no final norm in its trunk: ``norm`` is the identity, and a new ``fc_norm``
follows the mean over tokens.  Therefore ``fc_norm.*`` and ``head.*`` of a fine-tuned file are ignored,
``encoder.norm.*`` may be missing, and its features are the tokens without a final norm.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from sigma_bench.models import huggingface_videomae, released
from sigma_bench.models.checkpoints import LoadReport, load_strictly
from sigma_bench.models.encoder import NetworkEncoder
from sigma_bench.models.geometry import Stated, read_geometry
from sigma_bench.models.position_tables import equals_table
from sigma_bench.models.recipe_encoder import encoder_of
from sigma_bench.models.video_encoder import geometry_suffix, resized
from sigma_bench.models.video_vit import VideoViT, sinusoid_table
from sigma_bench.models.weights_file import WeightsFile, model_name, state_dict_in

Layout = Literal["released pretraining", "released fine-tuned", "Hugging Face VideoMAE"]
PRETRAINING_ONLY = ("decoder.", "encoder_to_decoder.", "mask_token", "projector.", "prototypes.")
"""Prefixes of tensors of a pretraining checkpoint, under the names of this project, that an encoder does not need."""
CLASSIFIER_ONLY = ("fc_norm.", "head.")
"""Prefixes of tensors of a fine-tuned checkpoint that an encoder does not need."""

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

    @property
    def is_classifier(self) -> bool:
        return any(name.startswith(CLASSIFIER_ONLY) for name in self.tensors)

    @property
    def has_norm(self) -> bool:
        return any(name.startswith("encoder.norm.") for name in self.tensors)


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
    if released.is_finetuned(tensors):
        return "released fine-tuned"
    some = ", ".join(f"'{name}'" for name in list(tensors)[:3])
    raise ValueError(
        f"{where}: not a video ViT of SIGMA, VideoMAE or Hugging Face's VideoMAE; holds {some} ({len(tensors)} "
        "tensors); for another network, write a function that returns it by sigma_bench.as_encoder, and name it as "
        "module:function"
    )


def read_external(file: WeightsFile, path: Path) -> ExternalCheckpoint:
    """The checkpoint of SIGMA or VideoMAE in a file.

    Args:
        path: name of the file in error messages.

    Raises:
        ValueError: the layout is unknown, or the tensors contradict each other or the configuration.
    """
    where = str(path)
    plain = state_dict_in(file, released.CONTAINERS, beside=CLASSIFIER_ONLY)
    layout = recognise(plain, where=where)
    tensors = _without_fixed_positions(to_our_names(plain, where=where), where=where)
    if layout == "Hugging Face VideoMAE":
        folder = file.path.parent
        config = huggingface_videomae.read_config(folder)
        huggingface_videomae.require_fit(tensors, config or {}, where=where)
        stated = huggingface_videomae.stated_by_config(config, folder)
        warnings = huggingface_videomae.warnings(tensors, stated)
        tensors = huggingface_videomae.with_stated_biases(tensors, config, where=where)
        metadata: Mapping[str, Any] = config or file.metadata
    else:
        config, warnings = None, ()
        stated = released.stated_by_arguments(file.content, pretraining=layout == "released pretraining")
        metadata = released.arguments_in(file.content) or file.metadata
    checkpoint = ExternalCheckpoint(path, layout, tensors, stated, warnings, metadata, file.sha256)
    _require_consistent(checkpoint, config)
    return checkpoint


def recognises(file: WeightsFile) -> bool:
    """Whether a file holds a video ViT in one of the layouts."""
    try:
        recognise(state_dict_in(file, released.CONTAINERS, beside=CLASSIFIER_ONLY), where=str(file.path))
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
    vit = VideoViT(resized(pretrained, num_frames, image_size, where=where))
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
    if checkpoint.is_classifier:
        return "VideoMAE or SIGMA, fine-tuned"
    if "prototypes.weight" in names:
        return "SIGMA-MLP" if any(name.startswith("projector.") for name in names) else "SIGMA-DINO"
    if checkpoint.layout != "Hugging Face VideoMAE" and "mask_token" not in names:
        return "VideoMAE or SIGMA"  # a trunk alone
    return "VideoMAE"


def _load(vit: VideoViT, checkpoint: ExternalCheckpoint) -> LoadReport:
    report = load_strictly(
        nn.ModuleDict({"encoder": vit}),
        checkpoint.tensors,
        may_be_missing=() if _needs_norm(checkpoint) else ("encoder.norm.",),
        may_be_unexpected=CLASSIFIER_ONLY if checkpoint.is_classifier else PRETRAINING_ONLY,
        where=str(checkpoint.path),
    )
    if not checkpoint.has_norm:
        vit.register_module("norm", nn.Identity())
    return replace(report, layout=checkpoint.layout, warnings=checkpoint.warnings, metadata=checkpoint.metadata)


def _needs_norm(checkpoint: ExternalCheckpoint) -> bool:
    """Whether a final norm is required; it is not if the mean over tokens is normalised or the configuration says
    so."""
    pools_by_mean = checkpoint.metadata.get("use_mean_pooling") is True
    return checkpoint.has_norm or not (pools_by_mean or "fc_norm.weight" in checkpoint.tensors)


def _require_consistent(checkpoint: ExternalCheckpoint, config: Mapping[str, Any] | None) -> None:
    where, names = str(checkpoint.path), checkpoint.tensors
    if checkpoint.has_norm and "fc_norm.weight" in names:
        raise ValueError(f"{where}: holds both a final norm and fc_norm, so its features are ambiguous")
    if config and "use_mean_pooling" in config and checkpoint.has_norm == config["use_mean_pooling"]:
        raise ValueError(
            f"{where}: config.json says use_mean_pooling {str(config['use_mean_pooling']).lower()}, but the file has "
            f"{'a' if checkpoint.has_norm else 'no'} final norm"
        )
    if "prototypes.weight" not in names and any(name.startswith("projector.") for name in names):
        raise ValueError(f"{where}: incomplete: a projection network (head.*) but no prototypes")


def _without_fixed_positions(tensors: Mapping[str, Tensor], *, where: str) -> dict[str, Tensor]:
    """The tensors without stored position codes; ValueError if these are not the sinusoids that are recomputed."""
    kept = dict(tensors)
    for name in ("encoder.pos_embed", "decoder.pos_embed"):
        stored = kept.pop(name, None)
        if stored is None:
            continue
        if not (stored.ndim >= 2 and equals_table(stored, sinusoid_table(*stored.shape[-2:]))):
            raise ValueError(f"{where}: '{name}' is not the fixed sinusoid; learned positions are not supported")
    return kept
