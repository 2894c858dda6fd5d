"""What is done to the clips of a test to see how much of an accuracy is left: order, lost frames, worse pictures.

``tasks/variants/conditions.yaml`` holds five of each kind, with their sources; any other value may be declared as well.
"""

from typing import Annotated, Literal

from pydantic import Field

from sigma_bench.specs.recipe import Fraction, Positive
from sigma_bench.specs.strict import Spec


class Reversal(Spec):
    """The frames from the last to the first: what is lost is what a model knew of the direction of time."""

    kind: Literal["reversal"]


class Disturbance(Spec):
    """A graded condition."""

    kind: str
    severity: Annotated[int, Field(ge=1, le=5)]
    """Its place on a curve; what acts is the value beside it."""


class FrameRate(Disturbance):
    """Jerky: every frame that is kept stays until the next one comes."""

    kind: Literal["frame_rate"]
    kept_share: Fraction
    """Frame rate over the clip's own."""


class Shuffle(Disturbance):
    """Frames out of order."""

    kind: Literal["shuffle"]
    reach_share: Positive | Literal["anywhere"]
    """How much later than its neighbours a frame may come, in lengths of the clip; or any order is as likely."""


class FrameDrops(Disturbance):
    """Frames, but for the first, that do not arrive; the one before stays."""

    kind: Literal["frame_drops"]
    dropped_share: Fraction
    """Probability of each."""


class Blur(Disturbance):
    """A Gaussian over every frame."""

    kind: Literal["blur"]
    sigma_share: Fraction
    """Standard deviation over the side of the image."""


class Noise(Disturbance):
    """Gaussian noise, independent for every value of every frame."""

    kind: Literal["noise"]
    std: Positive
    """Of values from 0 to 1."""


class Compression(Disturbance):
    """Every frame through JPEG by itself."""

    kind: Literal["compression"]
    jpeg_quality: Annotated[int, Field(ge=1, le=95)]


class Occlusion(Disturbance):
    """A grey square at one place in all frames, which may be anywhere inside."""

    kind: Literal["occlusion"]
    hidden_share: Fraction
    """Of the area."""
    grey: Annotated[int, Field(ge=0, le=255)]


Condition = Annotated[
    Reversal | FrameRate | Shuffle | FrameDrops | Blur | Noise | Compression | Occlusion, Field(discriminator="kind")
]
