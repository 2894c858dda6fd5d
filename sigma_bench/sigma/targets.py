"""What a masked tube looks like as numbers: per-tube, per-colour normalised pixels (VideoMAE; SIGMA-MLP's input).

Shapes: B clips, M masked tubes of a clip, P pixels of a tube, C colours.
"""

import torch
from torch import Tensor

from sigma_bench.models.video_vit import take, tubes

NORMALISATION_EPS = 1e-6


@torch.no_grad()
def normalised_tubes(
    clip_BCTHW: Tensor, mask_BN: Tensor, *, tubelet_frames: int, patch_size: int, std: Tensor
) -> Tensor:
    """Masked tubes, (B, M, P * C), pixel-major then colour, each tube and colour standardised over its pixels.

    Differs in form only: the clip's normalisation (by ``std``) is undone inside the standardising
    (a shift drops out, a scale remains in the epsilon only), not on every pixel.  The standard deviation is the
    unbiased one plus 1e-6, as released.
    """
    tube_BMCP = take(tubes(clip_BCTHW, tubelet_frames, patch_size), mask_BN).flatten(3)
    variance, centre = torch.var_mean(tube_BMCP, dim=-1, keepdim=True)
    scale = 1 / (variance.sqrt() + NORMALISATION_EPS / std.view(-1, 1))
    return (tube_BMCP - centre).mul_(scale).transpose(2, 3).flatten(2)
