"""Encoders with the geometry of a pretraining recipe: from a checkpoint of this project, or with initial weights.

The recipe in a checkpoint determines which of its tensors belong to the encoder.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sigma_bench.models.checkpoints import FORMAT, LoadReport, load_strictly, read_checkpoint, require_shapes
from sigma_bench.models.code_digest import weights_sha256
from sigma_bench.models.encoder import NetworkEncoder
from sigma_bench.models.frame_encoder import FrameEncoder, image_vit
from sigma_bench.models.training_content import read_training_content
from sigma_bench.models.video_encoder import VIDEO_PARTS, geometry_suffix, resized, video_tokens
from sigma_bench.models.video_vit import NO_OPTIONS, VideoViT
from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.specs.fingerprint import digest, recipe_fingerprint
from sigma_bench.specs.recipe import IMAGENET_MEAN, IMAGENET_STD, EncoderSpec, ImageEncoderSpec


def pretrained_encoder(path: Path, *, num_frames: int | None = None, image_size: int | None = None) -> NetworkEncoder:
    """The encoder of a checkpoint.

    Args:
        num_frames, image_size: geometry of clips for a video model, by default that of the recipe; positions are
            recomputed for it.

    Raises:
        ValueError: the file is not a checkpoint or does not fit its recipe, or another geometry is given for an image
            model.
    """
    checkpoint, where = read_checkpoint(path), str(path)
    recipe = checkpoint.recipe
    spec, name = recipe.encoder, recipe.recipe
    if isinstance(spec, EncoderSpec):
        own, spec = spec, resized(spec, num_frames, image_size, where=where)
        name += geometry_suffix(spec, own)
    elif num_frames is not None or image_size is not None:
        raise ValueError(f"{path}: an image model; other frames and sizes are for video models only")
    tensors = {key.removeprefix(recipe.encoder_prefix): value for key, value in checkpoint.tensors.items()}
    require_shapes(lambda: network_of(spec), tensors, may_be_unexpected=recipe.pretraining_only, where=where)
    network = network_of(spec)
    report = load_strictly(network, tensors, may_be_unexpected=recipe.pretraining_only, where=where)
    without = None if recipe.data.datasets else {"summary"}  # which is about the datasets of the recipe's file
    report = replace(report, layout=FORMAT, metadata=recipe.model_dump(mode="json", exclude=without))
    encoder = encoder_of(
        network,
        spec,
        report,
        model=name,
        family=recipe.objective.family,
        checkpoint_sha256=checkpoint.sha256,
        pretraining_data=checkpoint.origin.pretraining_data(recipe.data.datasets),
        pretraining_epochs=checkpoint.epochs,
        pretraining_seed=checkpoint.seed,
        recipe_fingerprint=recipe_fingerprint(recipe),
        init_sha256=checkpoint.origin.init and checkpoint.origin.init.sha256,
    )
    if (content := read_training_content(path.parent, identity=checkpoint.identity)) is not None:
        encoder.training_content = content
    return encoder


def random_encoder(spec: EncoderSpec | ImageEncoderSpec, seed: int) -> NetworkEncoder:
    """An encoder with initial weights drawn from a seed, the baseline without pretraining."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = network_of(spec)
    return encoder_of(
        network,
        spec,
        model="random_init",
        family="random init",
        checkpoint_sha256=weights_sha256(network),
        pretraining_seed=seed,
    )


def network_of(spec: EncoderSpec | ImageEncoderSpec) -> nn.Module:
    """A new network with this geometry."""
    return VideoViT(spec) if isinstance(spec, EncoderSpec) else image_vit(spec)


def encoder_of(
    network: nn.Module, spec: EncoderSpec | ImageEncoderSpec, report: LoadReport | None = None, **origin: Any
) -> NetworkEncoder:
    """A network of this geometry as an encoder.

    Args:
        report: which tensors of the file were loaded and which were ignored.
        origin: fields of the card about the model and its pretraining.
    """
    architecture: list[Any] = [
        "video_vit" if isinstance(network, VideoViT) else "image_vit",
        spec.model_dump(mode="json"),
    ]
    if isinstance(network, VideoViT) and network.options != NO_OPTIONS:
        architecture.append(network.options.model_dump(mode="json"))
    card = EncoderCard(
        num_frames=spec.num_frames,
        image_size=spec.image_size,
        tubelet_frames=spec.tubelet_frames if isinstance(spec, EncoderSpec) else 1,
        feature_width=spec.width,
        num_parameters=sum(parameter.numel() for parameter in network.parameters()),
        code_sha256=digest(architecture),
        **{"mean": IMAGENET_MEAN, "std": IMAGENET_STD, **origin},
    )
    if isinstance(network, VideoViT):
        parts = VIDEO_PARTS if isinstance(network.norm, nn.LayerNorm) else VIDEO_PARTS._replace(norm=None)
        if hasattr(network, "fc_norm"):
            parts = parts._replace(pooled_norm="fc_norm")
        return NetworkEncoder(network, card, video_tokens, parts=parts, report=report)
    return FrameEncoder(network, card, report)
