"""counting: repetitions by an iterative two-stream cycle detector (Zhang et al., CVPR 2020; SEVERE's UCF-RC)."""

from collections.abc import Collection
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from sigma_bench.specs.dataset import Folds
from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.specs.frozen import train_and_test
from sigma_bench.specs.passes import Pass, SampleLabels, SplitUse
from sigma_bench.specs.protocol import ReadFailures
from sigma_bench.specs.recipe import Count, Fraction, NonNegative, Positive
from sigma_bench.specs.strict import Spec

ANCHOR_OF_NO_CHANGE = 1.0


class CountingTraining(Spec):
    """How backbone and heads are trained with Adam: every batch of segments serves a roll-out of several steps."""

    segments_per_video: Count
    """Drawn from the seed once, before the first epoch."""
    max_segment_frames: Count
    flip_probability: Annotated[float, Field(ge=0, le=1)]
    epochs: Count
    batch: Count
    rollout_steps: Count
    """Optimiser steps on one batch; fewer only where every segment has been walked through to its end."""
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

    @property
    def num_clips(self) -> int:
        """Clips that counting shows the network per video."""
        levels = sum(passes * 2 ** (level + 1) for level, passes in enumerate(self.passes_per_level))
        return self.num_scales + self.refinements + levels

    @model_validator(mode="after")
    def _levels_end_at_every_second_point(self) -> Self:
        if self.time_points != 2 * 2 ** len(self.passes_per_level):
            raise ValueError(
                f"{len(self.passes_per_level)} levels end at {2 ** len(self.passes_per_level)} time points, which "
                f"makes {2 * 2 ** len(self.passes_per_level)} of them, not {self.time_points}"
            )
        return self


class CountingProtocol(ReadFailures):
    """Counting repetitions by classifying and regressing the scale of the previous and the next cycle."""

    sample_labels: ClassVar[SampleLabels] = "cycles"
    scoring: ClassVar[str] = "sigma_bench.protocols.counting.scores"
    kind: Literal["counting"]
    backbone: Literal["trained", "frozen"]
    frames_per_half: Count | Literal["encoder"]
    """Frames of the previous and of the next cycles each; ``encoder``: half of the frames of its card."""
    image_size: Count | Literal["encoder"]
    """Of the long side, pixels; black bars fill the square before normalisation."""
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

    def splits(self, names: Collection[str], folds: Folds) -> tuple[SplitUse, ...]:
        """Train and test."""
        return train_and_test(names)

    def passes(self, splits: tuple[SplitUse, ...], card: EncoderCard, seed: int) -> tuple[Pass, ...]:
        """Training on clips of the segments, then the clips that counting shows the network."""
        steps = self.training.segments_per_video * self.training.epochs * self.training.rollout_steps
        return (
            Pass(splits[0].name, None, network="training", clips_per_sample=steps),
            Pass(splits[-1].name, None, network="trained", clips_per_sample=self.inference.num_clips),
        )

    @model_validator(mode="after")
    def _one_anchor_changes_nothing(self) -> Self:
        if ANCHOR_OF_NO_CHANGE not in self.anchors:
            raise ValueError("the anchors must hold 1.0, which finds the first length")
        return self
