"""Which tubes are hidden during pretraining.

``tube``    the same places in every time slot, so that a hidden place cannot be copied from the next frame
            (VideoMAE section 3.2, kept by SIGMA)
``random``  every slot drawn on its own (VideoMAE's ablation)
``motion``  places that move are hidden more often (the "motion guided" rows of the paper's tables)

Differs from the motion-guided masks of the literature: MGM (Fan et al., ICCV 2023) reads motion vectors from the
compressed stream and hides rectangles around them; MGMAE (Huang et al., ICCV 2023) warps one random mask along an
optical flow from RAFT.  Here motion is the absolute difference of consecutive frames inside a tube, and a place is
drawn with weight exp(strength x standardised motion).  The random part is drawn once per clip and shared by all
slots, so a clip at rest gets a tube mask and a moving thing is followed from slot to slot.

Every slot hides int(ratio * H' * W') places, so all clips of a batch have equally many visible tubes.

Shapes: one clip, T frames, C colours, H W pixels; grid T' x H' x W', N = T' x H' x W' tubes.  True means masked.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from sigma_bench.specs.masked_video import MaskSpec, MotionMask, TubeMask


def draw_mask(spec: MaskSpec, frame_TCHW: Tensor, grid: tuple[int, int, int], generator: torch.Generator) -> Tensor:
    """The mask (N,) bool of one clip (uint8 or float frames; looked at by the motion mask only).

    Raises:
        ValueError: the ratio hides nothing or everything on this grid.
    """
    slots, rows, columns = grid
    num_places = rows * columns
    num_masked = int(spec.ratio * num_places)
    if not 0 < num_masked < num_places:
        raise ValueError(f"mask ratio {spec.ratio} hides {num_masked} of {num_places} places; choose one in between")
    draws = 1 if isinstance(spec, TubeMask | MotionMask) else slots
    # The smallest of independent exponential variables are a uniform draw without replacement; divided by weights,
    # a weighted one (Efraimidis and Spirakis 2006).
    key = -torch.rand(draws, num_places, generator=generator).log()
    key = key.expand(slots, -1)
    if isinstance(spec, MotionMask):
        key = key / (spec.strength * standardised_motion(frame_TCHW, grid).flatten(1)).exp()
    hidden = key.argsort(dim=1)[:, :num_masked]
    return torch.zeros(slots, num_places, dtype=torch.bool).scatter_(1, hidden, True).flatten()


def standardised_motion(frame_TCHW: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """Mean absolute difference of consecutive frames per tube, (T', H', W'), mean 0 and deviation 1 in each slot.

    A slot in which nothing moves (or all of it alike) is 0 everywhere.
    """
    frames = frame_TCHW.float()
    change = (frames[1:] - frames[:-1]).abs().mean(1)
    change = torch.cat([change[:1], change])  # the first frame has no predecessor: it counts as the second
    motion = F.adaptive_avg_pool3d(change[None, None], grid)[0, 0]
    centred = motion - motion.mean((1, 2), keepdim=True)
    return centred / centred.std((1, 2), keepdim=True).clamp_min(1e-6)
