"""Pretraining recipes: one YAML file in ``pretrain/`` is one run.

This file declares the keys of all recipes; the ``spec.py`` of a method adds the keys of the method.  A recipe file
states every hyperparameter, and no key here has a default that could change a loss.  The numbers of processes,
micro-batches and workers are options of the command, because they do not change the method.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from sigma_bench.specs.overrides import merged
from sigma_bench.specs.registry import Registry
from sigma_bench.specs.strict import LeanSpec, PlainName, Spec, parse_spec

Fraction = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
# Upper bounds are above current models, and low enough that a damaged file cannot make a process allocate all memory.
Count = Annotated[int, Field(gt=0, le=2**31 - 1)]
Frames = Annotated[int, Field(gt=0, le=4096)]
Pixels = Annotated[int, Field(gt=0, le=8192)]
Width = Annotated[int, Field(gt=0, le=65_536)]
Depth = Annotated[int, Field(gt=0, le=1024)]
NumClusters = Annotated[int, Field(gt=0, le=1_000_000)]
MAX_SEED = 2**32 - 1
MAX_POSITION_VALUES = 2**28
"""Greatest number of values of a position code, tokens x width."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

METHODS = Registry(
    concept="pretraining method",
    group="sigma_bench.methods",
    built_in={
        "sigma_mlp": "sigma_bench.sigma",
        "sigma_dino": "sigma_bench.sigma",
        "videomae": "sigma_bench.videomae",
        "dino": "sigma_bench.dino",
    },
)
"""Pretraining methods by the ``objective.kind`` of their recipes.

Each is a package with two modules: ``spec`` defines ``RECIPE``, a subclass of ``Recipe``, without importing torch;
``method`` defines ``METHOD``, a subclass of ``training.method.PretrainingMethod``.
"""


class EncoderSpec(Spec):
    """Geometry of a video ViT: all numbers that determine its parameter shapes and its token grid."""

    num_frames: Frames
    image_size: Pixels
    patch_size: Pixels
    tubelet_frames: Frames
    width: Width
    depth: Depth
    num_heads: Width
    drop_path: Annotated[float, Field(ge=0, lt=1)]
    layer_scale: NonNegative
    """Initial value of the scales of residual branches; 0 means that there are no scales."""

    @model_validator(mode="after")
    def _divides(self) -> Self:
        _require_room_for_positions(math.prod(self.grid()), self.width)
        require_whole_heads(self.width, self.num_heads)
        return self

    def grid(self, num_frames: int | None = None, image_size: int | None = None) -> tuple[int, int, int]:
        """Token grid (T', H', W') of a clip; ValueError if it cannot be divided into tubes."""
        frames, size = num_frames or self.num_frames, image_size or self.image_size
        if frames % self.tubelet_frames or size % self.patch_size:
            raise ValueError(
                f"a clip of {frames} frames at {size} px cannot be cut into tubes of "
                f"{self.tubelet_frames} frames x {self.patch_size} px; use multiples of both"
            )
        return frames // self.tubelet_frames, size // self.patch_size, size // self.patch_size


class ImageEncoderSpec(Spec):
    """Geometry of an image ViT that reads a clip frame by frame."""

    num_frames: Frames
    """Frames of a clip in evaluation; pretraining uses single frames."""
    image_size: Pixels
    patch_size: Pixels
    width: Width
    depth: Depth
    num_heads: Width

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.image_size % self.patch_size:
            raise ValueError(f"a {self.image_size} px image cannot be cut into patches of {self.patch_size} px")
        _require_room_for_positions((self.image_size // self.patch_size) ** 2, self.width)
        require_whole_heads(self.width, self.num_heads)
        return self


class SourceSpec(Spec):
    """The unlabelled videos of a run."""

    datasets: tuple[str, ...]
    """Names of the datasets whose train split is used; empty if the videos are custom data."""
    loader: Literal["memory", "stream"]
    """``memory``: videos are decoded once and kept; ``stream``: workers decode a video whenever a clip is drawn."""
    max_broken_share: Annotated[float, Field(ge=0, lt=1)] = 0.01
    """Greatest share of the listed videos that training leaves out because they are missing or do not decode."""


class OptimSpec(LeanSpec):
    """AdamW with a linear warm-up from 0, then half a cosine, per step; rates are for a global batch of 256 clips."""

    global_batch: Count
    epochs: Count | None = None
    """Length of the run in passes over the videos; an incomplete last batch of each pass is dropped."""
    steps: Count | None = None
    """Length of the run in optimiser steps, in place of ``epochs``."""
    warmup_epochs: NonNegative
    lr_per_256: Positive
    final_lr_per_256: NonNegative
    projector_lr_scale: Positive
    """Factor on the learning rate of the projector and prototypes of SIGMA; 1 in the paper and in other methods."""
    betas: tuple[Fraction, Fraction]
    weight_decay: NonNegative
    precision: Literal["float32", "bfloat16"]

    @model_validator(mode="after")
    def _has_one_length(self) -> Self:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give either epochs or steps, the length of the run")
        return self

    def num_steps(self, steps_per_epoch: int) -> int:
        """Number of optimiser steps of the run."""
        return self.steps or (self.epochs or 0) * steps_per_epoch


class Objective(Spec):
    """The loss of a recipe; a method adds its keys."""

    kind: str
    """Method, a name in ``METHODS``."""
    family: ClassVar[str]
    """Name of the method in tables."""


class Recipe(Spec):
    """One pretraining run: the keys of all methods."""

    recipe: PlainName
    summary: str
    encoder: EncoderSpec | ImageEncoderSpec
    objective: Objective
    data: SourceSpec
    optim: OptimSpec
    checkpoint_every_steps: Count

    encoder_prefix: ClassVar[str] = "encoder."
    """Prefix of the tensors of the encoder in a checkpoint."""
    encoder_copies: ClassVar[tuple[str, ...]] = ()
    """Prefixes of further copies of the encoder in the model, which a warm start loads as well."""
    pretraining_only: ClassVar[tuple[str, ...]] = ()
    """Prefixes of the tensors in a checkpoint that the encoder does not need."""

    @model_serializer(mode="wrap")
    def _in_reading_order(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """The keys in the order of a recipe file, in which the keys of the method follow the encoder.

        A checkpoint contains its recipe, so the digest of the checkpoint depends on this order.
        """
        place = dict.fromkeys(Recipe.model_fields, 2) | dict.fromkeys(("recipe", "summary", "encoder"), 0)
        return dict(sorted(dump(self).items(), key=lambda item: place.get(item[0], 1)))


def require_whole_heads(width: int, num_heads: int) -> None:
    """ValueError unless the width is a multiple of the number of attention heads."""
    if width % num_heads:
        raise ValueError(f"width {width} does not divide into {num_heads} heads")


def _require_room_for_positions(num_tokens: int, width: int) -> None:
    """ValueError for a geometry whose position code would not fit into memory."""
    if num_tokens * width > MAX_POSITION_VALUES:
        raise ValueError(
            f"clips of {num_tokens} tokens of width {width} exceed the limit of {MAX_POSITION_VALUES:,} values"
        )


def parse_recipe(content: object, *, where: str) -> Recipe:
    """Validate a mapping as a recipe of the method that its objective names.

    Args:
        where: beginning of error messages, such as the path of the file.

    Raises:
        ValueError: the method is unknown or cannot be imported, or a key is unknown, missing or wrong.
    """
    if not isinstance(content, dict):
        raise ValueError(f"{where}: expected a mapping of keys to values")
    objective = content.get("objective")
    kind = objective.get("kind") if isinstance(objective, dict) else None
    if not isinstance(kind, str):
        raise ValueError(
            f"{where}: the key 'objective.kind' is missing; it names the method, one of {', '.join(METHODS.names())}"
        )
    try:
        recipe_class = _recipe_class(kind)
    except ValueError as error:
        raise ValueError(f"{where}: key 'objective.kind': {error}") from error
    return parse_spec(recipe_class, content, where=where)


def overridden(recipe: Recipe, overrides: Mapping[str, Any]) -> Recipe:
    """The recipe with other values of some keys, nested as in its file.

    ``optim.steps`` and ``optim.epochs`` are two ways to state the length of a run, so one replaces the other.

    Raises:
        ValueError: a key is unknown, or a value is wrong.
    """
    if not overrides:
        return recipe
    content = merged(recipe.model_dump(mode="json"), overrides)
    lengths = {"epochs", "steps"}
    given = overrides.get("optim")
    if isinstance(given, Mapping) and len(lengths & given.keys()) == 1:
        content["optim"] = {key: value for key, value in content["optim"].items() if key not in lengths - given.keys()}
    return parse_recipe(content, where=f"recipe '{recipe.recipe}' with overrides")


def _recipe_class(kind: str) -> type[Recipe]:
    found = getattr(METHODS.load(kind, "spec"), "RECIPE", None)
    if not (isinstance(found, type) and issubclass(found, Recipe)):
        raise ValueError(
            f"the package of the pretraining method '{kind}' has no recipes; its module 'spec' must define RECIPE, a "
            "subclass of sigma_bench.extend.Recipe"
        )
    return found
