"""What is done to the clips of a test to see how much of an accuracy is left: order, lost frames, worse pictures.

Strengths of blur, noise and compression are those of ImageNet-C (arXiv 1903.12261), blur in units of its 224 pixels.
"""

from typing import Annotated, Literal

from pydantic import Field

from sigma_bench.specs.strict import Spec

Severity = Annotated[int, Field(ge=1, le=5)]
Graded = Literal["frame_rate", "shuffle", "frame_drops", "blur", "noise", "compression", "occlusion"]


class Reversal(Spec):
    """The frames from the last to the first: what is lost is what a model knew of the direction of time."""

    kind: Literal["reversal"]


class Disturbance(Spec):
    """One of the graded conditions; ``data/conditions.py`` says what each severity is."""

    kind: Graded
    severity: Severity


Condition = Annotated[Reversal | Disturbance, Field(discriminator="kind")]
