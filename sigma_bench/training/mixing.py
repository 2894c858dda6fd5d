"""Mixup and CutMix of neighbouring clips (specs/training_protocol.py says what differs from the release).

A pair's share, kind and place are numbers of its first example, drawn with it.

Shapes: B clips, C colours, T frames, H W pixels, L classes.
"""

import numpy as np
import torch
from torch import Tensor

from sigma_bench.specs.training_protocol import Mixing


def draw_mix(mixing: Mixing | None, rng: np.random.Generator) -> np.ndarray:
    """What one example would do to its neighbour: share kept, whether it is cut, row and column of the box; (4,)."""
    if mixing is None:
        return np.array([1.0, 0.0, 0.0, 0.0])
    is_cut = rng.random() < mixing.cutmix_probability
    alpha = mixing.cutmix_alpha if is_cut else mixing.mixup_alpha
    return np.array([rng.beta(alpha, alpha), is_cut, rng.random(), rng.random()])


def neighbours(position_B: Tensor) -> Tensor:
    """Row of the example at the other position (2k and 2k + 1) of each pair; its own row if that example is missing.

    Args:
        position_B: places in the global batch, ascending.
    """
    row_B, wanted_B = torch.arange(len(position_B), device=position_B.device), position_B ^ 1
    after_B, before_B = position_B.roll(-1), position_B.roll(1)
    partner_B = torch.where(wanted_B == after_B, (row_B + 1) % len(row_B), row_B)
    return torch.where(wanted_B == before_B, (row_B - 1) % len(row_B), partner_B)


def mixed(clip_BCTHW: Tensor, target_BL: Tensor, mix_B4: Tensor, position_B: Tensor) -> tuple[Tensor, Tensor]:
    """Clips and targets after mixing; a cut clip's share is the area that it really keeps."""
    partner_B = neighbours(position_B)
    first_B = torch.minimum(partner_B, torch.arange(len(partner_B), device=partner_B.device))
    share_B, is_cut_B, row_B, column_B = mix_B4[first_B].unbind(1)
    height, width = clip_BCTHW.shape[-2:]
    side_B = (1 - share_B).sqrt()
    inside_BHW = _within(row_B, side_B, height)[:, :, None] & _within(column_B, side_B, width)[:, None, :]
    kept_B11 = share_B[:, None, None].expand(-1, height, width)
    kept_BHW = torch.where(is_cut_B[:, None, None] > 0, (~inside_BHW).to(share_B.dtype), kept_B11)
    kept_B = kept_BHW.mean((1, 2))
    kept_B1HW = kept_BHW[:, None, None].to(clip_BCTHW.dtype)
    clip_BCTHW = kept_B1HW * clip_BCTHW + (1 - kept_B1HW) * clip_BCTHW[partner_B]
    kept_B1 = kept_B[:, None].to(target_BL.dtype)
    return clip_BCTHW, kept_B1 * target_BL + (1 - kept_B1) * target_BL[partner_B]


def _within(centre_B: Tensor, side_B: Tensor, length: int) -> Tensor:
    """Which pixels of an axis lie in the box: its whole length rounded down, its centre a pixel, cut at the edges."""
    pixel_N = torch.arange(length, device=centre_B.device)
    size_B, centre_B = (side_B * length).long(), (centre_B * length).long()
    start_B = (centre_B - size_B // 2)[:, None]
    end_B = (centre_B + size_B // 2)[:, None]
    return (pixel_N >= start_B) & (pixel_N < end_B)
