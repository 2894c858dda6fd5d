"""Conditions of test clips for measuring robustness: frame order, lost frames, image quality.

``tasks/variants/conditions.yaml`` declares five severities of each kind, with sources; other values are possible.
"""

from typing import Annotated, Literal

from pydantic import Field

from sigma_bench.specs.recipe import Fraction, Positive
from sigma_bench.specs.strict import Spec


class Reversal(Spec):
    """Frames in reverse order; the loss of accuracy shows how much a model uses the direction of time."""

    kind: Literal["reversal"]


class Disturbance(Spec):
    """A graded condition."""

    kind: str
    severity: Annotated[int, Field(ge=1, le=5)]
    """Position on a robustness curve; only the other key changes the clip."""


class FrameRate(Disturbance):
    """A lower frame rate: every kept frame is repeated until the next kept one."""

    kind: Literal["frame_rate"]
    kept_share: Fraction
    """Reduced frame rate divided by the frame rate of the clip."""


class Shuffle(Disturbance):
    """Frames in a random order."""

    kind: Literal["shuffle"]
    reach_share: Positive | Literal["anywhere"]
    """Greatest displacement of a frame, in lengths of the clip; ``anywhere``: all orders are equally likely."""


class FrameDrops(Disturbance):
    """Random frames, except the first, are replaced by the frame before them."""

    kind: Literal["frame_drops"]
    dropped_share: Fraction
    """Probability that a frame is replaced."""


class Blur(Disturbance):
    """Gaussian blur of every frame."""

    kind: Literal["blur"]
    sigma_share: Fraction
    """Standard deviation of the Gaussian divided by the side of the image."""


class Noise(Disturbance):
    """Gaussian noise, independent for every value of every frame."""

    kind: Literal["noise"]
    std: Positive
    """Standard deviation, for values from 0 to 1."""


class Compression(Disturbance):
    """JPEG compression of every frame."""

    kind: Literal["compression"]
    jpeg_quality: Annotated[int, Field(ge=1, le=95)]


class Occlusion(Disturbance):
    """A grey square at the same random place in all frames."""

    kind: Literal["occlusion"]
    hidden_share: Fraction
    """Share of the area that the square covers."""
    grey: Annotated[int, Field(ge=0, le=255)]


Condition = Annotated[
    Reversal | FrameRate | Shuffle | FrameDrops | Blur | Noise | Compression | Occlusion, Field(discriminator="kind")
]
