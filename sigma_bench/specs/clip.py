"""How a video becomes clips: which frames, which crop."""

from typing import Annotated, Literal

from pydantic import Field

from sigma_bench.specs.recipe import Count
from sigma_bench.specs.strict import Spec


class UniformSampling(Spec):
    """The midpoints of as many equal segments of the whole video as the encoder takes frames."""

    sampler: Literal["uniform"]

    @property
    def num_views(self) -> int:
        """Clips of one video."""
        return 1


class DenseSampling(Spec):
    """Windows of consecutive strides, their centres spread evenly over the video."""

    sampler: Literal["dense"]
    stride_frames: Count
    num_clips: Count
    short_video: Literal["shrink_stride"]
    """A video shorter than one window: the stride shrinks until it fits, at least 1; then the last frame repeats."""

    @property
    def num_views(self) -> int:
        """Clips of one video."""
        return self.num_clips


class ClipSpec(Spec):
    """How a video becomes clips: which frames, which crop."""

    sampling: Annotated[UniformSampling | DenseSampling, Field(discriminator="sampler")]
    crop: Literal["centre"]
    """Short side to the encoder's size (bilinear, antialiased), centre crop."""
