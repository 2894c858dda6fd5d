"""What recipes of masked video methods have in common: a decoder, a mask, and how clips are cut.

SIGMA section 4 and appendix; VideoMAE table 9.
"""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from sigma_bench.specs.recipe import Count, Depth, EncoderSpec, Fraction, NonNegative, Recipe, SourceSpec, Width
from sigma_bench.specs.strict import Spec


class DecoderSpec(Spec):
    """The light transformer that guesses the masked tubes."""

    width: Width
    depth: Depth
    num_heads: Width

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.width % self.num_heads:
            raise ValueError(f"width {self.width} does not divide into {self.num_heads} heads")
        return self


class TubeMask(Spec):
    """The same random places hidden in every time slot (VideoMAE)."""

    kind: Literal["tube"]
    ratio: Fraction


class RandomMask(Spec):
    """Random tubes hidden, each time slot drawn on its own, equally many in each (VideoMAE's ablation)."""

    kind: Literal["random"]
    ratio: Fraction


class MotionMask(Spec):
    """Hidden places follow what moves, measured by frame differences (after MGM and MGMAE)."""

    kind: Literal["motion"]
    ratio: Fraction
    strength: NonNegative
    """Weight of one standard deviation of motion against the random part; 0 is tube masking."""


MaskSpec = TubeMask | RandomMask | MotionMask


class DataSpec(SourceSpec):
    """How clips are cut."""

    stride_frames: Count
    crop: Literal["centre", "multi_scale"]
    """``centre``: short side to the encoder's size, centre crop; ``multi_scale``: as released, see data/crops.py."""


class MaskedVideoRecipe(Recipe):
    """A recipe that trains a masked autoencoder of clips; its method adds the objective."""

    encoder: EncoderSpec
    decoder: DecoderSpec
    mask: Annotated[MaskSpec, Field(discriminator="kind")]
    data: DataSpec

    pretraining_only: ClassVar[tuple[str, ...]] = ("decoder.", "encoder_to_decoder.", "mask_token")
    has_prototypes: ClassVar[bool] = False
    """Whether the method compares tubes with prototypes, which the gallery can draw."""
