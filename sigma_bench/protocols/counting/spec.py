"""counting: repetitions by an iterative two-stream cycle detector (Zhang et al., CVPR 2020; SEVERE's UCF-RC)."""

from collections.abc import Collection
from functools import partial
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.specs.folds import Folds
from sigma_bench.specs.frozen_protocol import train_test_splits
from sigma_bench.specs.passes import Pass, SampleLabels, SplitUse
from sigma_bench.specs.protocol import CountsFailures
from sigma_bench.specs.recipe import Count, Fraction, NonNegative, Positive
from sigma_bench.specs.strict import Spec

ANCHOR_OF_NO_CHANGE = 1.0


class CountingTraining(Spec):
    """How backbone and heads are trained with Adam; each batch of segments is used for a roll-out of several steps."""

    segments_per_video: Count
    """Number of segments of a video, drawn from the seed once before the first epoch."""
    max_segment_frames: Count
    flip_probability: Annotated[float, Field(ge=0, le=1)]
    epochs: Count
    batch: Count
    rollout_steps: Count
    """Optimiser steps on one batch; fewer only if the roll-outs of all segments have reached their end."""
    learning_rate: Positive
    """Constant learning rate."""
    weight_decay: NonNegative
    """Coupled weight decay: an L2 term that is added to the gradient."""


class CountingInference(Spec):
    """How a trained detector finds cycles: one length for the whole video, then lengths at 2, 4, 8, ... time points."""

    num_scales: Annotated[int, Field(ge=2)]
    """Number of lengths that are tried first, including the shortest and the longest."""
    refinements: Annotated[int, Field(ge=0)]
    """Number of passes that refine the best of these lengths."""
    time_points: Count
    passes_per_level: tuple[Count, ...]
    """Number of passes at 2, 4, 8, ... time points."""
    merge: Fraction
    """Weight of a new prediction in its mean with the previous value."""
    box_limit: Positive
    """Bound on the absolute value of predicted boxes (logarithms of lengths over anchors)."""
    min_cycles: Count
    """Least number of cycles in a video; a cycle is at most this part of it."""

    @property
    def num_clips(self) -> int:
        """Number of clips of a video that pass through the network."""
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


class CountingProtocol(CountsFailures):
    """Counting repetitions by classifying and regressing the scale of the previous and the next cycle."""

    sample_labels: ClassVar[SampleLabels] = "cycles"
    scoring: ClassVar[str] = "sigma_bench.protocols.counting.scores"
    kind: Literal["counting"]
    backbone: Literal["trained", "frozen"]
    frames_per_half: Count | Literal["encoder"]
    """Frames of the previous and of the next cycle each; ``encoder``: half of the frames of the encoder's clips."""
    image_size: Count | Literal["encoder"]
    """Long side of a frame, pixels; black bars make it square before normalisation."""
    padding: tuple[float, float, float]
    """Normalised colour of frames before the first and after the last one."""
    context_cycles: NonNegative
    """Number of cycles that each half shows in addition to the previous or the next one."""
    pooling: Literal["mean", "halves"]
    """``mean``: the mean over all tokens; ``halves``: the means over the tokens of each half, concatenated."""
    anchors: tuple[Positive, ...]
    """Scales of the current length that are classified and regressed."""
    positive_overlap: Fraction
    """Least ratio of the shorter to the longer length at which an anchor is positive."""
    box_weight: Positive
    box_limit: Positive
    """Bound on the absolute value of the boxes that advance a roll-out."""
    min_cycle_frames: Count
    scales: tuple[Positive, Positive]
    """Shortest and longest of the lengths that are tried first, as parts of the video; they form a geometric series."""
    training: CountingTraining
    inference: CountingInference
    metrics: tuple[Literal["counting_error", "off_by_one"], ...]

    def splits(self, names: Collection[str], folds: Folds) -> tuple[SplitUse, ...]:
        """Train and test."""
        return train_test_splits(names)

    def passes(self, splits: tuple[SplitUse, ...], card: EncoderCard, seed: int) -> tuple[Pass, ...]:
        """One training pass over the clips of the segments, and one pass for counting."""
        steps = self.training.segments_per_video * self.training.epochs * self.training.rollout_steps
        frames = None if self.frames_per_half == "encoder" else 2 * self.frames_per_half
        size = None if self.image_size == "encoder" else self.image_size
        clip = partial(Pass, clip=None, num_frames=frames, image_size=size)
        return (
            clip(splits[0].name, network=self.trained_network, clips_per_sample=steps),
            clip(splits[-1].name, network="trained", clips_per_sample=self.inference.num_clips),
        )

    @property
    def trained_network(self) -> Literal["training", "probing"]:
        """Whether the backbone is trained with the head."""
        return "training" if self.backbone == "trained" else "probing"

    @model_validator(mode="after")
    def _one_anchor_changes_nothing(self) -> Self:
        if ANCHOR_OF_NO_CHANGE not in self.anchors:
            raise ValueError("anchors must contain 1.0, the scale from which the first cycle length is found")
        return self
