"""Keys of all recipes of masked video methods: decoder, mask, and how clips are drawn.

SIGMA section 4 and appendix; VideoMAE table 9.
"""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from sigma_bench.specs.recipe import (
    Count,
    Depth,
    EncoderSpec,
    Fraction,
    NonNegative,
    Recipe,
    SourceSpec,
    Width,
    require_whole_heads,
)
from sigma_bench.specs.strict import Spec


class DecoderSpec(Spec):
    """Geometry of the small transformer that predicts the masked tubes."""

    width: Width
    depth: Depth
    num_heads: Width

    @model_validator(mode="after")
    def _divides(self) -> Self:
        require_whole_heads(self.width, self.num_heads)
        return self


class TubeMask(Spec):
    """The same random places are masked in every time slot (VideoMAE)."""

    kind: Literal["tube"]
    ratio: Fraction


class RandomMask(Spec):
    """Random places are masked, drawn separately for every time slot and equally many in each (VideoMAE)."""

    kind: Literal["random"]
    ratio: Fraction


class MotionMask(Spec):
    """Places with motion, measured by frame differences, are masked more often; see data/tube_masking.py."""

    kind: Literal["motion"]
    ratio: Fraction
    strength: NonNegative
    """Weight of one standard deviation of motion relative to the random part; 0 is tube masking."""


MaskSpec = TubeMask | RandomMask | MotionMask


class DataSpec(SourceSpec):
    """How clips are drawn from videos."""

    stride_frames: Count
    crop: Literal["centre", "multi_scale"]
    """``centre``: resize of the short side and centre crop; ``multi_scale``: crops of the release, see
    data/random_crops.py."""


class MaskedVideoRecipe(Recipe):
    """A recipe that trains a masked autoencoder of clips; its method adds the objective."""

    encoder: EncoderSpec
    decoder: DecoderSpec
    mask: Annotated[MaskSpec, Field(discriminator="kind")]
    data: DataSpec

    pretraining_only: ClassVar[tuple[str, ...]] = ("decoder.", "encoder_to_decoder.", "mask_token")
    has_prototypes: ClassVar[bool] = False
    """Whether the method has prototypes, which the gallery shows."""
