"""What one pretraining step gives back, whatever the method."""

from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class StepOutput:
    """The loss to minimise, and numbers without gradient that show whether learning goes well (scalars by name)."""

    loss: Tensor
    monitors: dict[str, Tensor] = field(default_factory=dict)
