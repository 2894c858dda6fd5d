"""Encoders of the checkpoints that ``sigma-bench pretrain`` writes.

The recipe in a checkpoint determines which of its tensors belong to the encoder.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from torch import nn

from sigma_bench.models.checkpoints import Checkpoint, LoadReport, load_strictly, read_checkpoint, require_shapes
from sigma_bench.models.encoder import Encoder, VideoViTEncoder, vit_card
from sigma_bench.models.frame_encoder import FrameEncoder, image_vit, image_vit_card
from sigma_bench.models.geometry import geometry_suffix, resized
from sigma_bench.models.video_vit import VideoViT
from sigma_bench.specs.fingerprint import recipe_fingerprint
from sigma_bench.specs.recipe import EncoderSpec, ImageEncoderSpec

Network = TypeVar("Network", bound=nn.Module)


def pretrained_encoder(
    path: Path, name: str | None = None, *, num_frames: int | None = None, image_size: int | None = None
) -> Encoder:
    """The encoder of a checkpoint.

    Args:
        name: name of the model; by default that of the recipe. num_frames, image_size: geometry of clips for a video
            model, by default that of the recipe; positions are recomputed for it.

    Raises:
        ValueError: the file is not a checkpoint or does not fit its recipe, or another geometry is given for an image
            model.
    """
    checkpoint = read_checkpoint(path)
    spec, name = checkpoint.recipe.encoder, name or checkpoint.recipe.recipe
    if isinstance(spec, EncoderSpec):
        return _video_encoder(checkpoint, resized(spec, num_frames, image_size, where=str(path)), name)
    if num_frames is not None or image_size is not None:
        raise ValueError(f"{path}: an image model; other frames and sizes are for video models only")
    return _frame_encoder(checkpoint, spec, name)


def _video_encoder(checkpoint: Checkpoint, spec: EncoderSpec, name: str) -> VideoViTEncoder:
    recipe = checkpoint.recipe
    vit, report = _filled(checkpoint, lambda: VideoViT(spec))
    assert isinstance(recipe.encoder, EncoderSpec)
    card = vit_card(
        vit,
        model=name + geometry_suffix(spec, recipe.encoder),
        family=recipe.objective.family,
        checkpoint_sha256=checkpoint.sha256,
        recipe=recipe,
        epochs=checkpoint.epochs,
        seed=checkpoint.seed,
    )
    return VideoViTEncoder(vit, card, report)


def _frame_encoder(checkpoint: Checkpoint, spec: ImageEncoderSpec, name: str) -> FrameEncoder:
    recipe = checkpoint.recipe
    vit, report = _filled(checkpoint, lambda: image_vit(spec))
    card = image_vit_card(
        vit,
        spec,
        model=name,
        family=recipe.objective.family,
        pretraining_data=recipe.data.datasets,
        pretraining_epochs=checkpoint.epochs,
        pretraining_seed=checkpoint.seed,
        checkpoint_sha256=checkpoint.sha256,
        recipe_fingerprint=recipe_fingerprint(recipe),
    )
    return FrameEncoder(vit, card, report)


def _filled(checkpoint: Checkpoint, build: Callable[[], Network]) -> tuple[Network, LoadReport]:
    """A network with the tensors of the encoder of a checkpoint; ValueError unless they are complete."""
    recipe, where = checkpoint.recipe, str(checkpoint.path)
    tensors = {key.removeprefix(recipe.encoder_prefix): value for key, value in checkpoint.tensors.items()}
    require_shapes(build, tensors, may_be_unexpected=recipe.pretraining_only, where=where)
    network = build()
    return network, load_strictly(network, tensors, may_be_unexpected=recipe.pretraining_only, where=where)
