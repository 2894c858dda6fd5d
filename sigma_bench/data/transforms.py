"""Transforms from decoded frames to the input of an encoder, based on torchvision's transforms v2.

Shapes: T frames, H W pixels, C colours.
"""

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F


def centre_crop(frame_THWC: np.ndarray, size: int) -> Tensor:
    """The central square of frames whose short side is resized to ``size``, (T, C, size, size) uint8."""
    return F.center_crop(short_side(channels_first(frame_THWC), size), [size, size])


def three_crops(frame_THWC: np.ndarray, size: int) -> Tensor:
    """The first, middle and last square of frames whose short side is resized to ``size``, (T, 3, C, size, size) uint8.

    The squares are ordered along the longer side.
    """
    frame_TCHW = short_side(channels_first(frame_THWC), size)
    room = max(frame_TCHW.shape[-2:]) - size
    along = -2 if frame_TCHW.shape[-2] > size else -1
    return torch.stack([frame_TCHW.narrow(along, start, size) for start in (0, room // 2, room)], dim=1)


def short_side(frame_TCHW: Tensor, length: int) -> Tensor:
    """Frames resized so that their short side has the given length."""
    height, width = frame_TCHW.shape[-2:]
    scale = length / min(height, width)
    return resize(frame_TCHW, [max(length, round(height * scale)), max(length, round(width * scale))])


def squash(frame_THWC: np.ndarray, size: int) -> Tensor:
    """Whole frames resized to a square regardless of their aspect ratio, (T, C, size, size) uint8."""
    return resize(channels_first(frame_THWC), [size, size])


def squash_masks(mask_THW: np.ndarray, size: int) -> np.ndarray:
    """Masks resized to a square by nearest-neighbour interpolation, (T, size, size) uint8."""
    mask = torch.from_numpy(np.ascontiguousarray(mask_THW))
    return F.resize(mask, [size, size], interpolation=InterpolationMode.NEAREST_EXACT).numpy()


def normalised_clip(frame_BTCHW: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Normalised clips of uint8 frames, (B, C, T, H, W) float32."""
    return normalised_image(frame_BTCHW, mean, std).transpose(1, 2)


def normalised_image(image: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Images (..., C, H, W) with values from 0 to 255, scaled to 0 to 1 and normalised by mean and standard deviation.

    Integer images become float32; floating-point images keep their type.
    """
    value = image if image.is_floating_point() else image.float()
    centre, scale = (torch.tensor(number, device=image.device).view(-1, 1, 1) for number in (mean, std))
    return (value / 255 - centre) / scale


def channels_first(frame_THWC: np.ndarray) -> Tensor:
    """Decoded frames as a tensor with the colours before the pixels, (T, C, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(frame_THWC)).permute(0, 3, 1, 2)


def resize(frame_TCHW: Tensor, target: list[int]) -> Tensor:
    """Frames resized to a height and width (bilinear, antialiased); unchanged if they have that size."""
    if list(frame_TCHW.shape[-2:]) == target:
        return frame_TCHW
    return F.resize(frame_TCHW, target, interpolation=InterpolationMode.BILINEAR, antialias=True)
