"""Warm start: pretraining that starts from the weights of a checkpoint instead of random ones.

The checkpoint is a run of this project, or a file or Hugging Face folder with the video ViT of SIGMA and VideoMAE.  The
whole model is loaded if the checkpoint is of the recipe's method and holds more than an encoder; otherwise, or if it is
named ``encoder:<checkpoint>``, its encoder is loaded, and the other parts start from random weights.  What is loaded is
loaded completely, or the checkpoint is refused.  The optimiser and the schedule always start anew.

Frames and size of clips may differ from those of the checkpoint, since positions are computed and not stored.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from sigma_bench.models.checkpoints import (
    Checkpoint,
    InitialWeights,
    load_strictly,
    read_checkpoint,
)
from sigma_bench.models.encoder import Encoder, NetworkEncoder
from sigma_bench.models.external import read_external
from sigma_bench.models.training_content import read_training_content
from sigma_bench.models.video_vit import NO_OPTIONS, VideoViT
from sigma_bench.models.weights_file import read_weights
from sigma_bench.models.zoo import checkpoint_in, load_encoder, split_name
from sigma_bench.specs.masked_video import MaskedVideoRecipe
from sigma_bench.specs.recipe import IMAGENET_MEAN, IMAGENET_STD, Recipe

ENCODER_ALONE = "encoder:"
"""Beginning of the name of a checkpoint of which only the encoder is loaded."""
_FREE = {"num_frames", "image_size", "drop_path"}
"""Keys of an encoder in which a recipe may differ from the checkpoint, if its tensors have the same shapes."""
_HEAD_WIDTH = 64
"""Width of a head in the decoders of released files, which do not state the number of heads."""


@dataclass(frozen=True)
class WarmStart:
    """The weights that a run starts from."""

    name: str
    model: str
    sha256: str
    pretraining_data: tuple[str, ...]
    tensors: Mapping[str, Tensor]
    """Weights under the names of the model of the recipe."""
    is_whole: bool
    """Whether the whole model is loaded, and not the encoder alone."""
    training_content: frozenset[str] = frozenset()
    """Short digests of the custom videos of its pretraining, as far as they are known."""

    def __str__(self) -> str:
        part = "the whole model is" if self.is_whole else "the encoder alone is"
        return f"start from {self.name}: {part} loaded"

    @property
    def identity(self) -> list[Any]:
        """What the initial weights of a run depend on."""
        return ["init", self.sha256, "model" if self.is_whole else "encoder"]

    def load_into(self, model: nn.Module) -> InitialWeights:
        """Load the weights into a new model of the recipe.

        Raises:
            ValueError: a tensor is missing, unexpected, of another shape or not finite; nothing is loaded then.
        """
        others = () if self.is_whole else tuple(model.state_dict().keys() - self.tensors.keys())
        alone = f"; {ENCODER_ALONE}{self.name} loads its encoder alone" if self.is_whole else ""
        try:
            load_strictly(model, self.tensors, may_be_missing=others, where=f"init {self.name}")
        except ValueError as error:
            raise ValueError(f"{error}{alone}") from error
        loaded = _parts(self.tensors, others)
        return InitialWeights(
            model=self.model,
            sha256=self.sha256,
            pretraining_data=self.pretraining_data,
            loaded=loaded,
            initialised=_parts(others, self.tensors),
        )


def open_warm_start(name: str, recipe: Recipe) -> WarmStart:
    """The weights of a checkpoint for a recipe.

    Args:
        name: run folder, weight file or ``hf:`` name; after ``encoder:``, its encoder alone is loaded.

    Raises:
        ValueError: there is no such checkpoint, it is incomplete, or it has another architecture than the recipe.
    """
    plain = name.removeprefix(ENCODER_ALONE)
    wants_whole = plain == name
    path = split_name(plain)[0]
    ours = checkpoint_in(path) if path.exists() else None
    if ours is not None:
        return _from_run(plain, read_checkpoint(ours), recipe, wants_whole=wants_whole)
    if not isinstance(recipe, MaskedVideoRecipe):
        raise ValueError(f"init {plain}: recipe '{recipe.recipe}' can start from a run of this project only")
    return _from_other_project(plain, path, recipe, wants_whole=wants_whole)


def _from_run(name: str, checkpoint: Checkpoint, recipe: Recipe, *, wants_whole: bool) -> WarmStart:
    before = checkpoint.recipe
    _require_equal(name, "encoder", before.encoder.model_dump(), recipe.encoder.model_dump())
    is_whole = wants_whole and before.objective.kind == recipe.objective.kind
    if is_whole and isinstance(before, MaskedVideoRecipe) and isinstance(recipe, MaskedVideoRecipe):
        _require_equal(name, "decoder", before.decoder.model_dump(), recipe.decoder.model_dump())
    tensors = checkpoint.tensors
    if not is_whole:
        prefix = before.encoder_prefix
        encoder = {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}
        tensors = _as_encoder_of(recipe, encoder)
    data = checkpoint.origin.pretraining_data(before.data.datasets)
    content = read_training_content(checkpoint.path.parent, identity=checkpoint.identity) or frozenset()
    return WarmStart(name, before.recipe, checkpoint.sha256, data, tensors, is_whole, content)


def _from_other_project(name: str, path: Path, recipe: MaskedVideoRecipe, *, wants_whole: bool) -> WarmStart:
    encoder = load_encoder(name)
    network = _video_vit(name, encoder)
    card = encoder.card
    _require_equal(name, "encoder", network.spec.model_dump(), recipe.encoder.model_dump())
    tensors: Mapping[str, Tensor] = _as_encoder_of(recipe, network.state_dict())
    is_whole = False
    if wants_whole and card.family == recipe.objective.family and path.exists():
        whole = read_external(read_weights(path), path).tensors
        is_whole = not whole.keys() <= tensors.keys()
        if is_whole:
            _require_decoder_heads(name, recipe)
            tensors = whole
    return WarmStart(name, card.model, card.checkpoint_sha256, card.pretraining_data, tensors, is_whole)


def _video_vit(name: str, encoder: Encoder) -> VideoViT:
    """The network of an encoder; ValueError unless it computes what the encoder of a recipe computes."""
    network = encoder.network if isinstance(encoder, NetworkEncoder) else None
    if not isinstance(network, VideoViT):
        raise ValueError(
            f"init {name}: not the video ViT of SIGMA and VideoMAE but another architecture ({encoder.card.family}), "
            "which no recipe trains"
        )
    if network.options != NO_OPTIONS or hasattr(network, "fc_norm") or not isinstance(network.norm, nn.LayerNorm):
        raise ValueError(
            f"init {name}: its blocks, positions or norms differ from those that recipes train "
            f"({encoder.card.family}); give a pretraining checkpoint of SIGMA or VideoMAE"
        )
    if (encoder.card.mean, encoder.card.std) != (IMAGENET_MEAN, IMAGENET_STD):
        raise ValueError(f"init {name}: its clips are not normalised by ImageNet's mean and deviation, as recipes do")
    return network


def _as_encoder_of(recipe: Recipe, encoder: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of an encoder under the names of all copies of the encoder in the model of a recipe."""
    prefixes = (recipe.encoder_prefix, *recipe.encoder_copies)
    return {prefix + key: tensor for prefix in prefixes for key, tensor in encoder.items()}


def _require_equal(name: str, part: str, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """ValueError if a part of the checkpoint has another geometry than that of the recipe."""
    if found.keys() != wanted.keys():
        raise ValueError(f"init {name}: an image encoder cannot start a video encoder, or the other way round")
    fixed = (key for key in wanted if key not in _FREE and not (key == "layer_scale" and found[key] and wanted[key]))
    if key := next((key for key in fixed if found[key] != wanted[key]), None):
        alone = f", or load its encoder alone with {ENCODER_ALONE}{name}" if part != "encoder" else ""
        raise ValueError(
            f"init {name}: its {part} has {key} {found[key]}, the recipe states {wanted[key]}; set {part}.{key} to "
            f"{found[key]}{alone}"
        )


def _require_decoder_heads(name: str, recipe: MaskedVideoRecipe) -> None:
    decoder = recipe.decoder
    if decoder.num_heads * _HEAD_WIDTH != decoder.width:
        raise ValueError(
            f"init {name}: heads of released decoders are {_HEAD_WIDTH} wide, those of the recipe "
            f"{decoder.width // decoder.num_heads}; set decoder.num_heads to {decoder.width // _HEAD_WIDTH}, or load "
            f"its encoder alone with {ENCODER_ALONE}{name}"
        )


def _parts(names: Iterable[str], others: Iterable[str]) -> tuple[str, ...]:
    """Parts of a model by the beginnings of names, as short as tells them from the other names."""
    other_parts = {name.partition(".")[0] for name in others}
    tops = ((name, name.partition(".")[0]) for name in names)
    parts = (".".join(name.split(".")[:2]) if top in other_parts else top for name, top in tops)
    return tuple(sorted(set(parts)))
