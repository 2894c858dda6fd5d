"""Sampling of clips from videos: frames and crops."""

from typing import Annotated, Literal

from pydantic import Field

from sigma_bench.specs.condition import Condition
from sigma_bench.specs.recipe import Count
from sigma_bench.specs.strict import LeanSpec, Spec

ShortVideo = Literal["shrink_stride", "loop", "repeat_last"]
"""A video shorter than frames x stride: the stride shrinks until it fits, at least 1, then the last frame repeats; the
whole clip starts over at its end, stride kept; or, as released, its strided frames are taken once and the last one
repeats."""


class UniformSampling(Spec):
    """The midpoints of as many equal segments of the whole video as the encoder takes frames."""

    sampler: Literal["uniform"]

    @property
    def num_views(self) -> int:
        """Clips of one video."""
        return 1


class DenseSampling(Spec):
    """Windows of consecutive strides, their centres spread evenly over the video.

    In a video shorter than one window the stride shrinks until it fits, at least 1; then the last frame repeats.
    """

    sampler: Literal["dense"]
    stride_frames: Count
    num_clips: Count

    @property
    def num_views(self) -> int:
        """Clips of one video."""
        return self.num_clips


class SegmentViews(Spec):
    """Starts and midpoints of as many equal segments as the encoder takes frames, in order; the even ones are one
    clip, the odd ones the other (SSv2 as released)."""

    sampler: Literal["segment_views"]

    @property
    def num_views(self) -> int:
        """Clips of one video."""
        return 2


class StridedViews(Spec):
    """Of every stride-th frame of the video, windows whose starts are spread evenly (Kinetics as released)."""

    sampler: Literal["strided_views"]
    stride_frames: Count
    num_clips: Count
    short_video: ShortVideo

    @property
    def num_views(self) -> int:
        """Clips of one video."""
        return self.num_clips


class ClampedViews(Spec):
    """Windows of consecutive strides, starts spread evenly; past the end the last frame repeats (SlowFast)."""

    sampler: Literal["clamped_views"]
    stride_frames: Count
    num_clips: Count

    @property
    def num_views(self) -> int:
        """Clips of one video."""
        return self.num_clips


class ClipSpec(LeanSpec):
    """How a video becomes clips: which frames, which crop."""

    sampling: Annotated[
        UniformSampling | DenseSampling | SegmentViews | StridedViews | ClampedViews, Field(discriminator="sampler")
    ]
    crop: Literal["centre", "three_along_longer_side"]
    """Short side to the encoder's size (bilinear, antialiased); then the centre, or both ends and the centre."""
    condition: Condition | None = None
    """Condition that is applied to every clip after the crop; none if absent."""

    @property
    def num_views(self) -> int:
        """Clips of one video: crops of every temporal view, the crops of one view beside each other."""
        return self.sampling.num_views * (1 if self.crop == "centre" else 3)


FrameDraw = Literal["random_sorted", "consecutive_first", "consecutive_centre", "linspace"]
"""``random_sorted``: distinct random frames in order, with replacement where the sequence has too few;
``consecutive_first`` and ``consecutive_centre``: a window, whose last frame repeats where the sequence has too few;
``linspace``: evenly spread, both ends included."""


class SequenceClip(Spec):
    """One draw of whole frames from a sequence with masks, resized to the encoder's square."""

    num_frames: Count
    frame_draw: FrameDraw
    draw: int
    """Number of the draw, from 0; 0 where the draw is not random."""
    seed: int | None
    """Seed of the evaluation; None if the draw is not random."""

    @property
    def num_views(self) -> int:
        """Clips of one sequence."""
        return 1


class RandomSegments(Spec):
    """A random frame of each of as many equal segments of the whole video as the encoder takes frames (TSN)."""

    sampler: Literal["random_segments"]


class ReleasedSegments(Spec):
    """A random frame of each of T segments of n // T frames, from frame 0 on, as SIGMA and VideoMAE train on SSv2.

    T is the number of frames that the encoder takes, n that of the video.  The n % T frames at the end of the video
    are never drawn, and a video of fewer than T frames gives frame 0 only.
    """

    sampler: Literal["released_segments"]


class RandomWindow(Spec):
    """A random window of frames x stride, and evenly spaced frames of it, first and last included (Kinetics)."""

    sampler: Literal["random_window"]
    stride_frames: Count
    short_video: ShortVideo


class ClampedWindow(Spec):
    """Consecutive strides from a random start; a shorter video may begin before its first frame, which then repeats,
    as does the last (SlowFast, Charades)."""

    sampler: Literal["clamped_window"]
    stride_frames: Count


TrainingSampling = Annotated[
    RandomSegments | ReleasedSegments | RandomWindow | ClampedWindow, Field(discriminator="sampler")
]
