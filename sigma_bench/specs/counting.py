"""Repetition counting by an iterative two-stream cycle detector (Zhang et al., CVPR 2020; SEVERE's UCF-RC)."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from sigma_bench.specs.base_protocol import BaseProtocol
from sigma_bench.specs.recipe import Count, Fraction, NonNegative, Positive
from sigma_bench.specs.strict import Spec

ANCHOR_OF_NO_CHANGE = 1.0


class CountingTraining(Spec):
    """How backbone and heads learn: every batch of segments is used for a roll-out of several steps."""

    segments_per_video: Count
    segment_draw: Literal["once"]
    """Segments are drawn from the seed before the first epoch and stay."""
    max_segment_frames: Count
    flip_probability: Annotated[float, Field(ge=0, le=1)]
    epochs: Count
    batch: Count
    rollout_steps: Count
    """Optimiser steps on one batch; fewer only where every segment has been walked through to its end."""
    optimiser: Literal["adam"]
    learning_rate: Positive
    """Constant."""
    weight_decay: NonNegative
    """Added to the gradient (L2), not decoupled."""


class CountingInference(Spec):
    """How a trained detector finds cycles: a first length for the whole video, then levels of ever more time points."""

    num_scales: Annotated[int, Field(ge=2)]
    """The shortest, the longest, and what lies between."""
    refinements: Annotated[int, Field(ge=0)]
    """Passes that refine the first length."""
    time_points: Count
    passes_per_level: tuple[Count, ...]
    """Iterations at 2, 4, 8, ... time points."""
    merge: Fraction
    """Weight of what is predicted against what stood there."""
    box_limit: Positive
    """Predicted boxes (logarithms of lengths over anchors) are clamped to this."""
    min_cycles: Count
    """A cycle is at most this part of the video."""

    @model_validator(mode="after")
    def _levels_end_at_every_second_point(self) -> Self:
        if self.time_points != 2 * 2 ** len(self.passes_per_level):
            raise ValueError(
                f"{len(self.passes_per_level)} levels end at {2 ** len(self.passes_per_level)} time points, which "
                f"makes {2 * 2 ** len(self.passes_per_level)} of them, not {self.time_points}"
            )
        return self


class CountingProtocol(BaseProtocol):
    """Counting repetitions by classifying and regressing the scale of the previous and the next cycle."""

    kind: Literal["counting"]
    backbone: Literal["trained", "frozen"]
    frames_per_half: Count | Literal["encoder"]
    """Frames of the previous and of the next cycles each; ``encoder``: half of the frames of its card."""
    image_size: Count | Literal["encoder"]
    crop: Literal["letterbox"]
    """The long side to the image size, black bars before normalisation."""
    padding: tuple[float, float, float]
    """Colour of frames before the first and after the last, in normalised values."""
    context_cycles: NonNegative
    """How many more cycles each half shows beyond the one it is about."""
    pooling: Literal["mean", "halves"]
    """Mean over all tokens, or over those of each half, side by side."""
    anchors: tuple[Positive, ...]
    """Scales of the current length that are classified and regressed."""
    positive_overlap: Fraction
    """Shorter over longer from which an anchor is positive."""
    box_weight: Positive
    box_limit: Positive
    """Of boxes that advance a roll-out."""
    min_cycle_frames: Count
    scales: tuple[Positive, Positive]
    """Shortest and longest first length, as part of the video; geometric steps in between."""
    training: CountingTraining
    inference: CountingInference
    metrics: tuple[Literal["counting_error", "off_by_one"], ...]

    @model_validator(mode="after")
    def _one_anchor_changes_nothing(self) -> Self:
        if ANCHOR_OF_NO_CHANGE not in self.anchors:
            raise ValueError("the anchors must hold 1.0, which finds the first length")
        return self
