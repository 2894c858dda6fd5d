"""Sampling of clips from videos: frames and crops."""

from typing import Annotated, Literal

from pydantic import Field

from sigma_bench.specs.condition import Condition
from sigma_bench.specs.recipe import Count
from sigma_bench.specs.strict import LeanSpec, Spec

ShortVideo = Literal["shrink_stride", "loop", "repeat_last"]
"""Treatment of a video shorter than frames x stride.

``shrink_stride``: the stride is reduced until the clip fits; at stride 1, the last frame repeats.  ``loop``: the video
starts again at its end.  ``repeat_last``: the last strided frame repeats, as in the release.
"""


class UniformSampling(Spec):
    """The midpoints of as many equal segments of the whole video as the encoder takes frames."""

    sampler: Literal["uniform"]

    @property
    def num_views(self) -> int:
        """Number of clips of one video."""
        return 1


class DenseSampling(Spec):
    """Windows of frames at a constant stride, whose centres are spread evenly over the video.

    In a video shorter than a window, the stride is reduced until it fits; at stride 1, the last frame repeats.
    """

    sampler: Literal["dense"]
    stride_frames: Count
    num_clips: Count

    @property
    def num_views(self) -> int:
        """Number of clips of one video."""
        return self.num_clips


class SegmentViews(Spec):
    """Starts and midpoints of N equal segments, where N is the number of frames of the encoder (SSv2 as released).

    In temporal order, positions of even number form the first clip and those of odd number the second.
    """

    sampler: Literal["segment_views"]

    @property
    def num_views(self) -> int:
        """Number of clips of one video."""
        return 2


class StridedViews(Spec):
    """Windows of the strided frames of the video, whose starts are spread evenly (Kinetics as released)."""

    sampler: Literal["strided_views"]
    stride_frames: Count
    num_clips: Count
    short_video: ShortVideo

    @property
    def num_views(self) -> int:
        """Number of clips of one video."""
        return self.num_clips


class ClampedViews(Spec):
    """Windows of frames at a constant stride, whose starts are spread evenly (SlowFast).

    After the end of the video, the last frame repeats.
    """

    sampler: Literal["clamped_views"]
    stride_frames: Count
    num_clips: Count

    @property
    def num_views(self) -> int:
        """Number of clips of one video."""
        return self.num_clips


class SegmentWindows(Spec):
    """Windows of frames x stride, one in each of equal segments of the video (V-JEPA, arXiv 2404.08471).

    Training draws the place of a window in its segment; in evaluation, it is the middle.  If a segment is not longer
    than a window, the windows are spread evenly over the video and overlap.  The last frame of a video shorter than a
    window is repeated.
    """

    sampler: Literal["segment_windows"]
    stride_frames: Count
    num_segments: Count

    @property
    def num_views(self) -> int:
        """Number of clips of one video."""
        return self.num_segments


class ClipSpec(LeanSpec):
    """Frames and crop of the clips of a video."""

    sampling: Annotated[
        UniformSampling | DenseSampling | SegmentViews | StridedViews | ClampedViews | SegmentWindows,
        Field(discriminator="sampler"),
    ]
    crop: Literal["centre", "three_along_longer_side"]
    """Crop after the short side is resized to the encoder's size: the centre, or both ends and the centre."""
    condition: Condition | None = None
    """Condition that is applied to every clip after the crop; none if absent."""

    @property
    def num_views(self) -> int:
        """Number of clips of one video; the crops of a temporal view follow each other."""
        return self.sampling.num_views * (1 if self.crop == "centre" else 3)


FrameDraw = Literal["random_sorted", "consecutive_first", "consecutive_centre", "linspace"]
"""``random_sorted``: random frames in order, drawn with replacement only if the sequence has too few;
``consecutive_first`` and ``consecutive_centre``: a window, whose last frame repeats if the sequence has too few;
``linspace``: evenly spaced frames, both ends included."""


class SequenceClip(Spec):
    """One draw of whole frames from a sequence with masks, resized to the encoder's square."""

    num_frames: Count
    frame_draw: FrameDraw
    draw: int
    """Number of the draw, from 0; 0 if the draw is not random."""
    seed: int | None
    """Seed of the evaluation; None if the draw is not random."""

    @property
    def num_views(self) -> int:
        """Number of clips of one sequence."""
        return 1


class RandomSegments(Spec):
    """A random frame of each of as many equal segments of the whole video as the encoder takes frames (TSN)."""

    sampler: Literal["random_segments"]


class ReleasedSegments(Spec):
    """A random frame of each of T segments of n // T frames, starting at frame 0 (SSv2 in SIGMA and VideoMAE).

    T is the number of frames that the encoder takes, n that of the video.  The n % T frames at the end of the video
    are never drawn, and a video of fewer than T frames gives frame 0 only.
    """

    sampler: Literal["released_segments"]


class RandomWindow(Spec):
    """Evenly spaced frames of a random window of frames x stride, first and last included (Kinetics)."""

    sampler: Literal["random_window"]
    stride_frames: Count
    short_video: ShortVideo


class ClampedWindow(Spec):
    """Frames at a constant stride from a random start (SlowFast, Charades).

    In a video shorter than the window, the start may lie before the first frame; the first and the last frame repeat.
    """

    sampler: Literal["clamped_window"]
    stride_frames: Count


TrainingSampling = Annotated[
    RandomSegments | ReleasedSegments | RandomWindow | ClampedWindow, Field(discriminator="sampler")
]
