"""Random crops for pretraining; everything random comes from the generator given.

``multi_crop`` is DINO's (arXiv 2104.14294, after SwAV): Inception-style crops of random area and aspect, flip,
colour jitter and grey.  Differs: the jitter is applied to every crop, and there is no blur and no solarisation.

``multi_scale_crop`` is that of SIGMA and VideoMAE, which they have from TSN (arXiv 1608.00859): one of four sizes and
one of 13 fixed places.  Differs: TSN rounds a size within 3 px of the target to the target.

Shapes: T frames, C colours, H W pixels, L local crops; uint8.
"""

import math

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from sigma_bench.specs.recipe import MultiCropSpec

Box = tuple[int, int, int, int]
"""Top, left, height, width."""

NUM_GLOBAL = 2
MAX_ASPECT = 4 / 3
ATTEMPTS = 10
GREY_PROBABILITY = 0.2
SCALES = (1.0, 0.875, 0.75, 0.66)
SCALE_PAIRS = tuple((y, x) for i, y in enumerate(SCALES) for j, x in enumerate(SCALES) if abs(i - j) <= 1)
"""Scales of height and width, at most one step apart."""
CORNERS_AND_CENTRE = ((0, 0), (0, 4), (4, 0), (4, 4), (2, 2))
EDGE_MIDDLES = ((0, 2), (2, 0), (2, 4), (4, 2))
QUARTER_POINTS = ((1, 1), (1, 3), (3, 1), (3, 3))
QUARTERS = (*CORNERS_AND_CENTRE, *EDGE_MIDDLES, *QUARTER_POINTS)
"""Places of a crop, in quarters of the room above it and to its left."""


def multi_crop(
    frame_CHW: Tensor, spec: MultiCropSpec, image_size: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Global crops (2, C, size, size) and local crops (L, C, local size, local size) of one frame."""
    wide = [_view(frame_CHW, spec.global_area, image_size, spec.jitter, rng) for _ in range(NUM_GLOBAL)]
    small = [_view(frame_CHW, spec.local_area, spec.local_size, spec.jitter, rng) for _ in range(spec.num_local)]
    return torch.stack(wide), torch.stack(small)


def random_area_box(height: int, width: int, area: tuple[float, float], rng: np.random.Generator) -> Box:
    """A box of random area (as a share of the frame) and aspect (3/4 to 4/3) at a random place.

    As in torchvision's RandomResizedCrop: ten attempts, then the largest box in the middle of allowed aspect.
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
    """The same crop of every frame, resized (bilinear): (T, C, size, size)."""
    height, width = frame_TCHW.shape[-2:]
    rows, columns = (int(min(height, width) * scale) for scale in SCALE_PAIRS[rng.integers(len(SCALE_PAIRS))])
    top, left = fixed_places(height - rows, width - columns)[rng.integers(len(QUARTERS))]
    return _cut(frame_TCHW, (top, left, rows, columns), size, InterpolationMode.BILINEAR)


def fixed_places(free_rows: int, free_columns: int) -> list[tuple[int, int]]:
    """The 13 (top, left) of a crop that leaves this many rows and columns free; quarters are rounded down."""
    return [(y * (free_rows // 4), x * (free_columns // 4)) for y, x in QUARTERS]


def _view(frame_CHW: Tensor, area: tuple[float, float], size: int, jitter: float, rng: np.random.Generator) -> Tensor:
    height, width = frame_CHW.shape[-2:]
    view = _cut(frame_CHW, random_area_box(height, width, area, rng), size, InterpolationMode.BICUBIC)
    if rng.random() < 0.5:
        view = F.horizontal_flip(view)
    return _jittered(view, jitter, rng) if jitter > 0 else view


def _jittered(image_CHW: Tensor, strength: float, rng: np.random.Generator) -> Tensor:
    """Brightness, contrast, saturation and hue in this order, then perhaps grey."""
    for adjust in (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation):
        image_CHW = adjust(image_CHW, rng.uniform(max(0.0, 1 - strength), 1 + strength))
    hue = min(0.5, strength / 4)
    image_CHW = F.adjust_hue(image_CHW, rng.uniform(-hue, hue))
    return F.rgb_to_grayscale(image_CHW, num_output_channels=3) if rng.random() < GREY_PROBABILITY else image_CHW


def _cut(frame: Tensor, box: Box, size: int, interpolation: InterpolationMode) -> Tensor:
    return F.resized_crop(frame, *box, [size, size], interpolation=interpolation, antialias=True)
