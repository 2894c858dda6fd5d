"""DINO's crops of a frame (arXiv 2104.14294, after SwAV): random area and aspect, flip, colour jitter and grey.

Unlike in the release, the jitter is applied to every crop, and there is neither blur nor solarisation.

Shapes: C colours, H W pixels, L local crops; uint8.
"""

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from sigma_bench.data.random_crops import random_area_box, resized_box
from sigma_bench.dino.spec import MultiCropSpec

NUM_GLOBAL = 2
FLIP_PROBABILITY = 0.5
GREY_PROBABILITY = 0.2


def multi_crop(
    frame_CHW: Tensor, spec: MultiCropSpec, image_size: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Global crops (2, C, size, size) and local crops (L, C, local size, local size) of one frame."""
    global_crops = [_view(frame_CHW, spec.global_area, image_size, spec.jitter, rng) for _ in range(NUM_GLOBAL)]
    local_crops = [_view(frame_CHW, spec.local_area, spec.local_size, spec.jitter, rng) for _ in range(spec.num_local)]
    return torch.stack(global_crops), torch.stack(local_crops)


def _view(frame_CHW: Tensor, area: tuple[float, float], size: int, jitter: float, rng: np.random.Generator) -> Tensor:
    height, width = frame_CHW.shape[-2:]
    view = resized_box(frame_CHW, random_area_box(height, width, area, rng), size, InterpolationMode.BICUBIC)
    if rng.random() < FLIP_PROBABILITY:
        view = F.horizontal_flip(view)
    return _jittered(view, jitter, rng) if jitter > 0 else view


def _jittered(image_CHW: Tensor, strength: float, rng: np.random.Generator) -> Tensor:
    """Brightness, contrast, saturation and hue in this order, then grey with probability ``GREY_PROBABILITY``."""
    for adjust in (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation):
        image_CHW = adjust(image_CHW, rng.uniform(max(0.0, 1 - strength), 1 + strength))
    hue = min(0.5, strength / 4)
    image_CHW = F.adjust_hue(image_CHW, rng.uniform(-hue, hue))
    return F.rgb_to_grayscale(image_CHW, num_output_channels=3) if rng.random() < GREY_PROBABILITY else image_CHW
