"""Summary of a model file: kind, geometry, and what loading does with each tensor."""

import re
from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from sigma_bench.models import jepa
from sigma_bench.models.checkpoints import FORMAT, LoadReport, read_checkpoint
from sigma_bench.models.encoder import NetworkEncoder
from sigma_bench.models.huggingface import refuse_plain_folder
from sigma_bench.models.jepa_vit import JepaSpec, JepaViT
from sigma_bench.models.timm_encoder import image_tensors_in
from sigma_bench.models.video_vit import VideoViT
from sigma_bench.models.weights_file import WeightsFile, read_weights
from sigma_bench.models.zoo import HUGGINGFACE, PUBLISHED, checkpoint_in, load_encoder, open_weights, split_name
from sigma_bench.specs.recipe import EncoderSpec


def inspect_file(name: str) -> tuple[dict[str, str], LoadReport | None]:
    """Facts about the model of a name, and what loading did with its tensors (None for an image ViT).

    An image ViT is described without being loaded, because its file does not say which architecture of timm it is.

    Raises:
        ValueError: the file cannot be read, is of an unknown kind, or is incomplete.
    """
    kind, colon, _ = name.partition(":")
    if colon and kind in (HUGGINGFACE, PUBLISHED, *jepa.STATED):
        encoder = load_encoder(name)
        assert isinstance(encoder, NetworkEncoder)
        return _encoder_facts(name, encoder, encoder.report), encoder.report
    path, frames, size, heads = split_name(name)
    if (ours := checkpoint_in(path)) is not None:
        pretrained = load_encoder(name)
        assert isinstance(pretrained, NetworkEncoder) and pretrained.report is not None
        metadata = read_checkpoint(ours).recipe.model_dump(mode="json")
        report = replace(pretrained.report, layout=FORMAT, metadata=metadata)
        return _encoder_facts(name, pretrained, report), report
    refuse_plain_folder(path)
    file = read_weights(path)
    if (image := _image_facts(file)) is not None:
        return image, None
    encoder = open_weights(file, path, num_frames=frames, image_size=size, num_heads=heads)
    return _encoder_facts(name, encoder, encoder.report), encoder.report


def _encoder_facts(name: str, encoder: NetworkEncoder, report: LoadReport | None) -> dict[str, str]:
    card = encoder.card
    network = encoder.network
    spec = _geometry(network.spec) if isinstance(network, VideoViT | JepaViT) else f"{card.feature_width} wide"
    return {
        "file": name,
        "format": report.layout if report else "weights of a library",
        "family": card.family,
        "geometry": spec,
        "clip": f"{card.num_frames} frames x {card.image_size} px",
        "parameters": f"{card.num_parameters:,} in the encoder",
        "pretrained on": ", ".join(card.pretraining_data) or "unknown",
        "epochs": str(card.pretraining_epochs or "unknown"),
        "seed": "unknown" if card.pretraining_seed is None else str(card.pretraining_seed),
        "sha256": card.checkpoint_sha256,
    }


def _geometry(spec: EncoderSpec | JepaSpec) -> str:
    return (
        f"{spec.depth} blocks, {spec.width} wide, {spec.num_heads} heads, "
        f"tubes of {spec.tubelet_frames} frames x {spec.patch_size} px"
    )


def _image_facts(file: WeightsFile) -> dict[str, str] | None:
    """Facts about an image ViT; None for any other file."""
    try:
        tensors = image_tensors_in(file)
    except ValueError:
        return None
    if any("time_embed" in name or "temporal_attn." in name for name in tensors):
        return None  # a TimeSformer, which the reader of video models names
    width, _, patch, _ = tensors["patch_embed.proj.weight"].shape
    depth = len({found[1] for key in tensors if (found := re.match(r"blocks\.(\d+)\.", key))})
    return {
        "file": str(file.path),
        "format": "image ViT (names of timm and DINO)",
        "family": "image model",
        "load as": f"timm:<name>:{file.path}, with the name that timm has for its architecture",
        "geometry": f"{depth} blocks, {width} wide, patches of {patch} px, {_positions(tensors)}",
        "parameters": f"{sum(tensor.numel() for tensor in tensors.values()):,} in the trunk",
        "sha256": file.sha256,
    }


def _positions(tensors: Mapping[str, Tensor]) -> str:
    stored = tensors.get("pos_embed")
    return "no learned positions" if stored is None else f"{stored.shape[1]} learned positions"
