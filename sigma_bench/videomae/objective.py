"""VideoMAE's step (arXiv 2203.12602): predict the pixels of the masked tubes.

Shapes: B clips, C colours, T frames, H W pixels, N tubes, M masked and V visible tubes, P pixels, E encoder width.
"""

import torch.nn.functional as F
from torch import Tensor

from sigma_bench.models.masked_autoencoder import MaskedAutoencoder
from sigma_bench.training.step import StepOutput, feature_std


def videomae_step(model: MaskedAutoencoder, clip_BCTHW: Tensor, mask_BN: Tensor) -> StepOutput:
    """Mean squared error between predicted and normalised pixels of the masked tubes."""
    target_BMP = model.masked_pixels(clip_BCTHW, mask_BN)
    visible_BVE = model.encode(clip_BCTHW, ~mask_BN)
    guess_BMP = model.decode(visible_BVE, mask_BN)
    loss = F.mse_loss(guess_BMP.to(target_BMP.dtype), target_BMP)
    return StepOutput(loss, {"feature_std": feature_std(visible_BVE)})
