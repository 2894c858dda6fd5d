"""Encoder cards: identity of a checkpoint and the preprocessing of its clips, which belongs to the weights."""

from typing import Any

from sigma_bench.specs.recipe import Count
from sigma_bench.specs.strict import Label, Spec


class EncoderCard(Spec):
    """Everything that protocols and tables use of an encoder besides its features."""

    model: Label
    """Name of the row, such as ``mini_sigma_mlp``."""
    family: Label
    """``SIGMA-MLP``, ``VideoMAE``, ``random init``, ``image statistics``."""
    num_frames: Count
    image_size: Count
    tubelet_frames: Count
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    feature_width: Count
    num_parameters: int
    pretraining_data: tuple[Label, ...] = ()
    pretraining_epochs: int = 0
    checkpoint_sha256: str
    """Digest of the weights; of the definition for an encoder without any."""
    code_sha256: str
    """Digest of what computes features from the weights: architecture and configuration, or a custom encoder's code."""
    pretraining_seed: int | None = None
    recipe_fingerprint: str | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that determines the features of a video: weights, code, clip geometry and normalisation."""
        names = {"checkpoint_sha256", "code_sha256", "num_frames", "image_size", "tubelet_frames", "mean", "std"}
        return self.model_dump(mode="json", include=names)
