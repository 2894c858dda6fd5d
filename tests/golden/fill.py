"""Parameters and inputs of the golden runs, made by a rule, so that no weights need to be stored.

The numbers of the golden files hold for exactly these tensors: a change here makes all of them wrong.

Shapes: B clips, C colours, T frames, H W pixels, N tubes.
"""

import zlib
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1, 1)


def fill(shapes: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """A float32 tensor for every name, drawn from a generator whose seed is the CRC-32 of the name.

    Weights of norms are 1 + 0.02 x normal, prototypes are normal, all others are 0.02 x normal.
    """
    filled = {}
    for name, shape in shapes.items():
        value = torch.randn(tuple(shape), generator=_generator(zlib.crc32(name.encode())))
        if "norm" in name and name.endswith("weight"):
            filled[name] = 1 + 0.02 * value
        else:
            filled[name] = value if "prototypes" in name else 0.02 * value
    return filled


def clips(batch: int, frames: int, size: int, seed: int = 0) -> Tensor:
    """Smooth random clips plus noise, from 0 to 1, then normalised as for ImageNet, (B, C, T, H, W)."""
    generator = _generator(seed)
    coarse = max(2, size // 16)
    low = torch.rand(batch, 3, max(2, frames // 4), coarse, coarse, generator=generator)
    smooth = F.interpolate(low, size=(frames, size, size), mode="trilinear", align_corners=False)
    value = (0.7 * smooth + 0.3 * torch.rand(smooth.shape, generator=generator)).clamp(0, 1)
    return (value - MEAN) / STD


def tube_mask(batch: int, grid: tuple[int, int, int], ratio: float, seed: int = 0) -> Tensor:
    """Masks (B, N), True where hidden: the same random places in every time slot of a clip."""
    slots, rows, columns = grid
    generator = _generator(seed)
    hidden = torch.zeros(batch, rows * columns, dtype=torch.bool)
    for clip in range(batch):
        order = torch.randperm(rows * columns, generator=generator)
        hidden[clip, order[: int(ratio * rows * columns)]] = True
    return hidden[:, None].expand(batch, slots, rows * columns).reshape(batch, -1).contiguous()


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
