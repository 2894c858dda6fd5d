"""Learned cluster centres on the unit sphere (SIGMA section 3.2).

Shapes: D target width, K prototypes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Prototypes(nn.Module):
    """K unit vectors; the target branch trains them, the video model's branch sees them as constants."""

    def __init__(self, num_prototypes: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(num_prototypes, width))

    def unit(self) -> Tensor:
        """The prototypes (K, D), set to unit length in place first, as released."""
        with torch.no_grad():
            self.weight.copy_(F.normalize(self.weight, dim=1))
        return self.weight
