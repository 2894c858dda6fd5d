"""Inspection of a model file without running code from it: kind, geometry, and the use of each tensor."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from sigma_bench.models.checkpoints import FORMAT, LoadReport, read_checkpoint
from sigma_bench.models.encoder import VideoViTEncoder
from sigma_bench.models.families import open_weights
from sigma_bench.models.image_weights import image_tensors_in
from sigma_bench.models.weights_file import WeightsFile, read_weights
from sigma_bench.models.zoo import checkpoint_in, load_encoder, split_name
from sigma_bench.specs.recipe import EncoderSpec


@dataclass(frozen=True)
class Inspection:
    """Facts about one model file, by what they are called; and what loading did with its tensors."""

    facts: Mapping[str, str]
    report: LoadReport | None
    doubts: tuple[str, ...] = ()
    metadata: Mapping[str, Any] | None = None


def inspect_file(name: str) -> Inspection:
    """What the model file behind a command-line name is.

    Raises:
        ValueError: it is unreadable, of no known kind, or incomplete.
    """
    path, frames, size, heads = split_name(name)
    if (ours := checkpoint_in(path)) is not None:
        checkpoint = read_checkpoint(ours)
        encoder = load_encoder(name)
        metadata = checkpoint.recipe.model_dump(mode="json")
        facts = {"file": str(ours), "format": FORMAT, **_encoder_facts(encoder)}
        return Inspection(facts, getattr(encoder, "report", None), metadata=metadata)
    file = read_weights(path)
    if (image := _image_facts(file)) is not None:
        return Inspection(image, None)
    opened = open_weights(file, path, num_frames=frames, image_size=size, num_heads=heads)
    facts = {"file": str(path), "format": opened.layout, **_encoder_facts(opened.encoder)}
    return Inspection(facts, opened.report, opened.doubts, opened.metadata)


def _encoder_facts(encoder: Any) -> dict[str, str]:
    card = encoder.card
    spec = _geometry(encoder.spec) if isinstance(encoder, VideoViTEncoder) else f"{card.feature_width} wide"
    return {
        "family": card.family,
        "geometry": spec,
        "clip": f"{card.num_frames} frames x {card.image_size} px",
        "parameters": f"{card.num_parameters:,} in the encoder",
        "pretrained on": ", ".join(card.pretraining_data) or "unknown",
        "epochs": str(card.pretraining_epochs or "unknown"),
        "seed": "unknown" if card.pretraining_seed is None else str(card.pretraining_seed),
        "sha256": card.checkpoint_sha256,
    }


def _geometry(spec: EncoderSpec) -> str:
    return (
        f"{spec.depth} blocks, {spec.width} wide, {spec.num_heads} heads, "
        f"tubes of {spec.tubelet_frames} frames x {spec.patch_size} px"
    )


def _image_facts(file: WeightsFile) -> dict[str, str] | None:
    """Facts about an image ViT, None where the file is none."""
    try:
        tensors = image_tensors_in(file)
    except ValueError:
        return None
    width, _, patch, _ = tensors["patch_embed.proj.weight"].shape
    depth = len({found[1] for key in tensors if (found := re.match(r"blocks\.(\d+)\.", key))})
    return {
        "file": str(file.path),
        "format": "image ViT (names of timm and DINO)",
        "family": "image model",
        "geometry": f"{depth} blocks, {width} wide, patches of {patch} px, {_positions(tensors)}",
        "parameters": f"{sum(tensor.numel() for tensor in tensors.values()):,} in the trunk",
        "sha256": file.sha256,
    }


def _positions(tensors: Mapping[str, Tensor]) -> str:
    stored = tensors.get("pos_embed")
    return "no learned positions" if stored is None else f"{stored.shape[1]} learned positions"
