"""From decoded frames to what an encoder eats (torchvision transforms v2).

Shapes: T frames, H W pixels, C colours.
"""

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F


def centre_crop(frame_THWC: np.ndarray, size: int) -> Tensor:
    """Short side to ``size`` (bilinear, antialiased), centre crop: (T, C, size, size) uint8."""
    return F.center_crop(short_side(channels_first(frame_THWC), size), [size, size])


def three_crops(frame_THWC: np.ndarray, size: int) -> Tensor:
    """Short side to ``size``; the first, middle and last square along the longer side: (T, 3, C, size, size) uint8."""
    frame_TCHW = short_side(channels_first(frame_THWC), size)
    room = max(frame_TCHW.shape[-2:]) - size
    along = -2 if frame_TCHW.shape[-2] > size else -1
    return torch.stack([frame_TCHW.narrow(along, start, size) for start in (0, room // 2, room)], dim=1)


def short_side(frame_TCHW: Tensor, length: int) -> Tensor:
    """Resized (bilinear, antialiased) so that the short side has this length."""
    height, width = frame_TCHW.shape[-2:]
    scale = length / min(height, width)
    return resize(frame_TCHW, [max(length, round(height * scale)), max(length, round(width * scale))])


def squash(frame_THWC: np.ndarray, size: int) -> Tensor:
    """The whole frame to a square, aspect ratio not kept: (T, C, size, size) uint8."""
    return resize(channels_first(frame_THWC), [size, size])


def squash_masks(mask_THW: np.ndarray, size: int) -> np.ndarray:
    """Masks to the same square by nearest neighbour: (T, size, size) uint8."""
    mask = torch.from_numpy(np.ascontiguousarray(mask_THW))
    return F.resize(mask, [size, size], interpolation=InterpolationMode.NEAREST_EXACT).numpy()


def normalised_clip(frame_BTCHW: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """uint8 frames to the encoder's clip, (B, C, T, H, W) float32."""
    return normalised_image(frame_BTCHW, mean, std).transpose(1, 2)


def normalised_image(image: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Images (..., C, H, W) of values 0..255, each colour less its mean over its deviation (both for values 0..1).

    uint8 becomes float32; a floating type stays.
    """
    value = image if image.is_floating_point() else image.float()
    centre, scale = (torch.tensor(number, device=image.device).view(-1, 1, 1) for number in (mean, std))
    return (value / 255 - centre) / scale


def channels_first(frame_THWC: np.ndarray) -> Tensor:
    """Decoded frames as torch lays images out, (T, C, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(frame_THWC)).permute(0, 3, 1, 2)


def resize(frame_TCHW: Tensor, target: list[int]) -> Tensor:
    """To this height and width, bilinear and antialiased; untouched where it has them."""
    if list(frame_TCHW.shape[-2:]) == target:
        return frame_TCHW
    return F.resize(frame_TCHW, target, interpolation=InterpolationMode.BILINEAR, antialias=True)
