"""Masks of the tubes of a clip for pretraining.

``tube``    masks the same places in every time slot, so that a masked place cannot be copied from the next frame
            (VideoMAE, section 3.2; also used by SIGMA)
``random``  masks places of every slot independently (an ablation of VideoMAE)
``motion``  masks places with motion more often (the "motion guided" rows of SIGMA's tables)

The ``motion`` mask differs from the motion-guided masks of the literature.  MGM (Fan et al., ICCV 2023) reads motion
vectors from the compressed stream and masks rectangles around them.  MGMAE (Huang et al., ICCV 2023) warps one random
mask along an optical flow from RAFT.  Here motion is the absolute difference of consecutive frames inside a tube, and a
place is drawn with weight exp(strength x standardised motion).  The random part is drawn once per clip and shared by
all slots, so a clip without motion gets a tube mask, and the mask follows a moving object from slot to slot.

Every slot has int(ratio * H' * W') masked places, so all clips of a batch have the same number of visible tubes.

Shapes: one clip, T frames, C colours, H W pixels; token grid T' x H' x W', of T' slots in time with H' x W'
places each; a tube is one place in one slot, N = T' x H' x W' tubes.  True means masked.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from sigma_bench.specs.masked_video import MaskSpec, MotionMask, TubeMask


def draw_mask(spec: MaskSpec, frame_TCHW: Tensor, grid: tuple[int, int, int], generator: torch.Generator) -> Tensor:
    """The mask of one clip, (N,) bool.

    Args:
        frame_TCHW: frames of the clip, uint8 or float; only the ``motion`` mask depends on them.

    Raises:
        ValueError: the ratio masks nothing or everything on this token grid.
    """
    slots, rows, columns = grid
    num_places = rows * columns
    num_masked = int(spec.ratio * num_places)
    if not 0 < num_masked < num_places:
        raise ValueError(
            f"mask ratio {spec.ratio} masks {num_masked} of {num_places} places; choose a ratio that "
            "masks at least one place and not all"
        )
    draws = 1 if isinstance(spec, TubeMask | MotionMask) else slots
    # The places with the smallest of independent exponential variables are a uniform draw without replacement; if the
    # variables are divided by weights, the draw is weighted (Efraimidis and Spirakis, 2006).
    key = -torch.rand(draws, num_places, generator=generator).log()
    key = key.expand(slots, -1)
    if isinstance(spec, MotionMask):
        key = key / (spec.strength * standardised_motion(frame_TCHW, grid).flatten(1)).exp()
    hidden = key.argsort(dim=1)[:, :num_masked]
    return torch.zeros(slots, num_places, dtype=torch.bool).scatter_(1, hidden, True).flatten()


def standardised_motion(frame_TCHW: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """Mean absolute difference of consecutive frames per tube, (T', H', W'), standardised in each slot.

    The mean of a slot is 0 and its standard deviation 1; a slot with the same motion everywhere is 0.
    """
    frames = frame_TCHW.float()
    change = (frames[1:] - frames[:-1]).abs().mean(1)
    change = torch.cat([change[:1], change])  # the first frame has no predecessor and gets the change of the second
    motion = F.adaptive_avg_pool3d(change[None, None], grid)[0, 0]
    centred = motion - motion.mean((1, 2), keepdim=True)
    return centred / centred.std((1, 2), keepdim=True).clamp_min(1e-6)
