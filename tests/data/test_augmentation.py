"""Augmentation: the same in all frames of a clip, different between clips, and determined by the generator."""

import random

import numpy as np
import pytest
import torch

from sigma_bench.data.augmentation import augmented_clip, erased, rand_augmented, random_crop
from sigma_bench.specs.training_protocol import AreaCrop, Augmentation, ShortSideCrop

GREY = (0.5, 0.5, 0.5)
EVERYTHING = Augmentation(
    rand_augment="rand-m7-n4-mstd0.5-inc1",
    cut=AreaCrop(crop="random_area", area=(0.25, 1.0)),
    flip_probability=0.5,
    erasing_probability=0.0,
    repeats=1,
)


def picture(num_frames: int = 1) -> np.ndarray:
    """A clip whose frames are all the same picture."""
    frame_HWC = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    return np.repeat(frame_HWC[None], num_frames, 0)


def augmented(seed: int, augmentation: Augmentation = EVERYTHING, num_frames: int = 3) -> torch.Tensor:
    return augmented_clip(picture(num_frames), augmentation, 32, GREY, GREY, np.random.default_rng(seed))


def test_frames_of_a_clip_are_treated_alike_and_clips_differently() -> None:
    clips = [augmented(seed) for seed in range(20)]
    for clip_CTHW in clips:
        assert clip_CTHW.shape == (3, 3, 32, 32)
        assert torch.equal(clip_CTHW, clip_CTHW[:, :1].expand(-1, 3, -1, -1))
    assert len({clip.numpy().tobytes() for clip in clips}) == 20
    assert torch.equal(augmented(7), clips[7])


def test_rand_augment_changes_pixels_and_global_streams_go_on() -> None:
    random.seed(3)
    torch.manual_seed(3)
    np.random.seed(3)
    expected = random.random(), float(torch.rand(())), np.random.rand()
    random.seed(3)
    torch.manual_seed(3)
    np.random.seed(3)
    changed = [rand_augmented(picture(), "rand-m7-n4-mstd0.5-inc1", GREY, seed) for seed in range(5)]
    assert len({frames.tobytes() for frames in changed}) == 5
    assert (random.random(), float(torch.rand(())), np.random.rand()) == expected
    with pytest.raises(ValueError, match="rand_augment 'sideways': not a configuration of timm's RandAugment"):
        rand_augmented(picture(), "sideways", GREY, 0)


def test_an_erased_box_is_at_one_place_and_its_noise_is_not_the_same() -> None:
    value_TCHW = torch.full((4, 3, 32, 32), 9.0)
    clip = erased(value_TCHW.clone(), 1.0, seed=1)
    is_noise = clip != 9.0
    assert 0.01 < float(is_noise.float().mean()) < 0.4
    assert torch.equal(is_noise, is_noise[:1, :1].expand_as(is_noise))
    assert not torch.equal(clip[0][is_noise[0]], clip[1][is_noise[1]])
    assert torch.equal(erased(value_TCHW.clone(), 0.0, seed=1), value_TCHW)


def test_a_flip_is_a_mirror_image() -> None:
    plain = EVERYTHING.model_copy(update={"rand_augment": None, "flip_probability": 0.0})
    flipped = plain.model_copy(update={"flip_probability": 1.0})
    assert torch.equal(augmented(1, flipped), augmented(1, plain).flip(-1))


def test_a_short_side_crop_keeps_the_scale_it_draws() -> None:
    """A ramp over the columns: its slope in the crop is the frame's width over the resized width."""
    ramp_TCHW = torch.linspace(0, 200, 60).repeat(1, 1, 40, 1)
    cut = ShortSideCrop(crop="random_short_side", scale=(1.0, 2.0))
    rng, seen = np.random.default_rng(0), []
    for _ in range(200):
        crop = random_crop(ramp_TCHW, cut, 20, rng)
        assert crop.shape == (1, 1, 20, 20)
        slope = float(crop[..., 8:12].diff(dim=-1).mean()) / (200 / 59)
        seen.append(2 / slope)  # short side 40 -> 20 x scale
    assert 0.97 <= min(seen) < 1.06
    assert 1.9 < max(seen) <= 2.05
