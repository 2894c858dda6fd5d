"""Common parts of training steps: their output, the error of a diverged model, and a monitor of collapse.

Shapes: B clips, N tokens, M rows, D width.
"""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class StepOutput:
    """The loss, and named scalars without gradient that are logged."""

    loss: Tensor
    monitors: dict[str, Tensor] = field(default_factory=dict)


class DivergedError(ValueError):
    """The numbers of a model are no longer finite."""


def unit_features(feature: Tensor) -> Tensor:
    """Features (..., D) as rows of unit length (M, D), in float32 or float64 even under autocast."""
    with torch.autocast(feature.device.type, enabled=False):
        wide = feature if feature.dtype == torch.float64 else feature.float()
        return F.normalize(wide.flatten(0, -2), dim=1)


@torch.no_grad()
def feature_std(token_BND: Tensor) -> Tensor:
    """Spread of the directions of tokens: mean over channels of their standard deviation, times sqrt(D).

    It is near 1 for directions that fill the space and 0 if all tokens are equal (SimSiam, arXiv 2011.10566, figure 2).
    """
    unit_MD = unit_features(token_BND)
    return unit_MD.std(0).mean() * unit_MD.shape[1] ** 0.5
