"""Learned cluster centres on the unit sphere and the cosine scores against them (SIGMA section 3.2).

Shapes: B clips, M masked tubes, D target width, K prototypes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Prototypes(nn.Module):
    """K unit vectors; the target branch trains them, the video model's branch sees them as constants."""

    def __init__(self, num_prototypes: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(num_prototypes, width))

    def score(self, target_BMD: Tensor, guess_BMD: Tensor) -> tuple[Tensor, Tensor]:
        """Cosine scores of both branches, each (B * M, K), float32 or wider whatever the autocast says."""
        with torch.no_grad():
            self.weight.copy_(F.normalize(self.weight, dim=1))
        with torch.autocast(target_BMD.device.type, enabled=False):
            target = F.normalize(_wide(target_BMD).flatten(0, 1), dim=1) @ self.weight.T
            guess = F.normalize(_wide(guess_BMD).flatten(0, 1), dim=1) @ self.weight.detach().T
        return target, guess


def _wide(value: Tensor) -> Tensor:
    return value if value.dtype == torch.float64 else value.float()
