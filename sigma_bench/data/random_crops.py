"""Random crops for training.

``multi_scale_crop`` is the crop of TSN (arXiv 1608.00859), which VideoMAE and SIGMA use: height and width are each one
of four scales, and the place is one of 13.  Difference: TSN sets a size within 3 pixels of the target to the target.

Shapes: T frames, C colours, H W pixels; uint8.
"""

import math

import numpy as np
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

Box = tuple[int, int, int, int]
"""Top, left, height, width."""

MAX_ASPECT = 4 / 3
"""Largest aspect ratio of a crop; the smallest is its reciprocal."""
ATTEMPTS = 10
SCALES = (1.0, 0.875, 0.75, 0.66)
SCALE_PAIRS = tuple((y, x) for i, y in enumerate(SCALES) for j, x in enumerate(SCALES) if abs(i - j) <= 1)
"""Pairs of scales for height and width, which are at most one step apart."""
CORNERS_AND_CENTRE = ((0, 0), (0, 4), (4, 0), (4, 4), (2, 2))
EDGE_MIDDLES = ((0, 2), (2, 0), (2, 4), (4, 2))
QUARTER_POINTS = ((1, 1), (1, 3), (3, 1), (3, 3))
QUARTERS = (*CORNERS_AND_CENTRE, *EDGE_MIDDLES, *QUARTER_POINTS)
"""Places of a crop: the part of the free rows above it and of the free columns to its left, in quarters."""


def random_area_box(height: int, width: int, area: tuple[float, float], rng: np.random.Generator) -> Box:
    """A box at a random place, with a random area and an aspect ratio from 3/4 to 4/3.

    As in torchvision's RandomResizedCrop, the box is the largest central one of an allowed aspect ratio if ten attempts
    give no box that fits.

    Args:
        area: range of the area as a fraction of the frame.
    """
    for _ in range(ATTEMPTS):
        pixels = height * width * rng.uniform(*area)
        aspect = math.exp(rng.uniform(-math.log(MAX_ASPECT), math.log(MAX_ASPECT)))
        rows, columns = round(math.sqrt(pixels / aspect)), round(math.sqrt(pixels * aspect))
        if 0 < rows <= height and 0 < columns <= width:
            top, left = rng.integers(height - rows + 1), rng.integers(width - columns + 1)
            return int(top), int(left), rows, columns
    rows, columns = min(height, round(width * MAX_ASPECT)), min(width, round(height * MAX_ASPECT))
    return (height - rows) // 2, (width - columns) // 2, rows, columns


def multi_scale_crop(frame_TCHW: Tensor, size: int, rng: np.random.Generator) -> Tensor:
    """A random crop, the same in every frame, resized with bilinear interpolation to (T, C, size, size)."""
    height, width = frame_TCHW.shape[-2:]
    rows, columns = (int(min(height, width) * scale) for scale in SCALE_PAIRS[rng.integers(len(SCALE_PAIRS))])
    top, left = fixed_places(height - rows, width - columns)[rng.integers(len(QUARTERS))]
    return resized_box(frame_TCHW, (top, left, rows, columns), size, InterpolationMode.BILINEAR)


def fixed_places(free_rows: int, free_columns: int) -> list[tuple[int, int]]:
    """The 13 places (top, left) of a crop that leaves this many rows and columns free; quarters are rounded down."""
    return [(y * (free_rows // 4), x * (free_columns // 4)) for y, x in QUARTERS]


def resized_box(frame: Tensor, box: Box, size: int, interpolation: InterpolationMode) -> Tensor:
    """A box of images (..., H, W), resized with antialiasing to (..., size, size)."""
    return F.resized_crop(frame, *box, [size, size], interpolation=interpolation, antialias=True)
