"""Encoder cards: identity of an encoder, and the geometry and normalisation of its clips."""

from typing import Any

from pydantic import SerializerFunctionWrapHandler, model_serializer

from sigma_bench.specs.recipe import Count
from sigma_bench.specs.strict import Label, Spec


class EncoderCard(Spec):
    """Everything about an encoder, besides its features, that protocols and tables use."""

    model: Label
    """Name of the model in tables, such as ``mini_sigma_mlp``."""
    family: Label
    """Name of the method in tables, such as ``SIGMA-MLP`` or ``random init``."""
    num_frames: Count
    """Frames of a clip."""
    image_size: Count
    """Height and width of a clip, pixels."""
    tubelet_frames: Count
    """Frames per time slot of the tokens."""
    mean: tuple[float, float, float]
    """Mean of the three colours, whose values are from 0 to 1, by which clips are normalised."""
    std: tuple[float, float, float]
    """Standard deviation of the three colours, by which clips are normalised."""
    feature_width: Count
    """Width D of the tokens."""
    num_parameters: int
    """Number of parameters of the encoder."""
    pretraining_data: tuple[Label, ...] = ()
    """Names of the datasets of pretraining; empty if they are unknown, or without pretraining."""
    pretraining_epochs: int = 0
    """Number of epochs; 0 if it is unknown, if the recipe states steps instead, or without pretraining."""
    checkpoint_sha256: str
    """Digest of the weights, or of the definition of an encoder without weights."""
    code_sha256: str
    """Digest of architecture and configuration, or of the code of a custom encoder."""
    pretraining_seed: int | None = None
    """Seed of the pretraining run or of initial weights; None if it is unknown, or without weights."""
    recipe_fingerprint: str | None = None
    """Digest of the recipe of this package with which the encoder was pretrained; None for other encoders."""
    min_frames: Count | None = None
    """Smallest number of frames of a clip; None means one tubelet.  A model of fixed length states ``num_frames``."""

    init_sha256: str | None = None
    """Digest of the weights that pretraining started from; None for random weights, or if it is not known."""

    @model_serializer(mode="wrap")
    def _without_later_keys(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Absent values of keys that were added later are left out, so that ids of older records do not change."""
        return {k: v for k, v in dump(self).items() if v is not None or k not in ("min_frames", "init_sha256")}

    @property
    def identity(self) -> dict[str, Any]:
        """Weights, code, clip geometry and normalisation, which together determine the features of a video."""
        names = {"checkpoint_sha256", "code_sha256", "num_frames", "image_size", "tubelet_frames", "mean", "std"}
        return self.model_dump(mode="json", include=names)
