"""Recipes of DINO on single frames (arXiv 2104.14294)."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sigma_bench.specs.recipe import (
    Fraction,
    Frames,
    ImageEncoderSpec,
    NonNegative,
    NumClusters,
    Objective,
    Pixels,
    Positive,
    Recipe,
    SourceSpec,
    Width,
)


class DinoObjective(Objective):
    """Self-distillation with no labels over several crops of a frame (DINO, arXiv 2104.14294)."""

    kind: Literal["dino"]
    head_widths: Annotated[tuple[Width, ...], Field(min_length=1, max_length=16)]
    """Widths of the projection head; the last one is the bottleneck."""
    num_outputs: NumClusters
    student_temperature: Positive
    teacher_temperature: Positive
    teacher_momentum: Fraction
    """Momentum at the first step; it increases along a cosine to 1 at the last step."""
    centre_momentum: Fraction
    family: ClassVar[str] = "DINO"


class MultiCropSpec(SourceSpec):
    """Two large crops for student and teacher, and small crops for the student only (SwAV, DINO)."""

    global_area: tuple[Fraction, Annotated[float, Field(gt=0, le=1)]]
    local_area: tuple[Fraction, Annotated[float, Field(gt=0, le=1)]]
    num_local: Frames
    local_size: Pixels
    jitter: NonNegative
    """Strength of the jitter of brightness, contrast and saturation; that of hue is a quarter of it."""


class DinoRecipe(Recipe):
    """One pretraining run of DINO."""

    encoder: ImageEncoderSpec
    objective: DinoObjective
    data: MultiCropSpec

    encoder_prefix: ClassVar[str] = "teacher.backbone."
    encoder_copies: ClassVar[tuple[str, ...]] = ("student.backbone.",)
    pretraining_only: ClassVar[tuple[str, ...]] = ("student.", "teacher.head.", "centre")


RECIPE = DinoRecipe
