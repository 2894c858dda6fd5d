"""Augmentation of a training clip in the order of VideoMAE; all frames of a clip are changed in the same way.

RandAugment and random erasing are those of timm, which draw from the global random streams of the process.  These
streams are seeded for every frame with the seed of the clip and restored afterwards.

Difference from the released code: crops are resized with antialiasing, and before normalisation instead of after it.

Shapes: T frames, C colours, H W pixels.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from PIL import Image
from timm.data.auto_augment import rand_augment_transform
from timm.data.random_erasing import RandomErasing
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from sigma_bench.data.random_crops import random_area_box, resized_box
from sigma_bench.data.transforms import channels_first, normalised_image, short_side
from sigma_bench.specs.training_protocol import AreaCrop, Augmentation, ShortSideCrop

Colour = tuple[float, float, float]


def augmented_clip(
    frame_THWC: np.ndarray, augmentation: Augmentation, size: int, mean: Colour, std: Colour, rng: np.random.Generator
) -> Tensor:
    """An augmented and normalised clip of uint8 frames, (C, T, size, size) float32."""
    if augmentation.rand_augment is not None:
        frame_THWC = rand_augmented(frame_THWC, augmentation.rand_augment, mean, seed_of(rng))
    frame_TCHW = random_crop(channels_first(frame_THWC), augmentation.cut, size, rng)
    if rng.random() < augmentation.flip_probability:
        frame_TCHW = F.horizontal_flip(frame_TCHW)
    value_TCHW = normalised_image(frame_TCHW, mean, std)
    if augmentation.erasing_probability > 0:
        value_TCHW = erased(value_TCHW, augmentation.erasing_probability, seed_of(rng))
    return value_TCHW.transpose(0, 1)


def rand_augmented(frame_THWC: np.ndarray, config: str, mean: Colour, seed: int) -> np.ndarray:
    """The frames after RandAugment, with the same operations at the same strength for every frame.

    Raises:
        ValueError: ``config`` is not a configuration of timm's RandAugment.
    """
    operations, changed = _rand_augment(config, mean), []
    for frame_HWC in frame_THWC:
        with seeded(seed):
            changed.append(np.asarray(operations(Image.fromarray(frame_HWC))))
    return np.stack(changed)


def random_crop(frame_TCHW: Tensor, cut: AreaCrop | ShortSideCrop, size: int, rng: np.random.Generator) -> Tensor:
    """A random square, the same in every frame, resized to (T, C, size, size)."""
    if isinstance(cut, AreaCrop):
        height, width = frame_TCHW.shape[-2:]
        box = random_area_box(height, width, cut.area, rng)
        return resized_box(frame_TCHW, box, size, InterpolationMode.BILINEAR)
    low, high = cut.scale
    frame_TCHW = short_side(frame_TCHW, round(size / rng.uniform(1 / high, 1 / low)))
    height, width = frame_TCHW.shape[-2:]
    top, left = int(rng.integers(height - size + 1)), int(rng.integers(width - size + 1))
    return frame_TCHW[..., top : top + size, left : left + size]


def erased(value_TCHW: Tensor, probability: float, seed: int) -> Tensor:
    """The frames with, at the given probability, a box of noise at the same place in every frame."""
    erase = RandomErasing(probability, mode="pixel", device="cpu")
    with seeded(seed):
        return erase(value_TCHW.flatten(0, 1)).view(value_TCHW.shape)


def seed_of(rng: np.random.Generator) -> int:
    """A seed drawn from a random stream, for functions that accept only a seed."""
    return int(rng.integers(2**32))


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the global random streams of Python, NumPy and torch inside the block, and restore them after it."""
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)  # torch.manual_seed queues a call per GPU, every time
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])


@lru_cache(maxsize=8)
def _rand_augment(config: str, mean: Colour) -> Any:
    """The RandAugment transform of timm; corners that a rotation uncovers get the mean colour.

    Raises:
        ValueError: not one of timm's configurations.
    """
    try:
        return rand_augment_transform(config, {"img_mean": tuple(round(255 * value) for value in mean)})
    except (AssertionError, ValueError, IndexError) as error:
        raise ValueError(
            f"rand_augment '{config}': not a configuration of timm's RandAugment, such as 'rand-m7-n4-mstd0.5-inc1'"
        ) from error
