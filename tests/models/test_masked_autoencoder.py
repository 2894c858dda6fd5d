"""Pixel targets: comparison with a loop over clips, slots, rows and columns, and their statistics."""

import pytest
import torch

from sigma_bench.models.masked_autoencoder import normalised_tubes

MEAN = torch.tensor([0.485, 0.456, 0.406])
STD = torch.tensor([0.229, 0.224, 0.225])


def clip_and_mask(batch=2, frames=4, height=16, width=24, ratio=0.5):
    generator = torch.Generator().manual_seed(0)
    pixel = torch.rand(batch, 3, frames, height, width, generator=generator, dtype=torch.float64)
    clip = (pixel - MEAN.view(3, 1, 1, 1)) / STD.view(3, 1, 1, 1)
    return pixel, clip, tube_mask(batch, (frames // 2, (height // 8) * (width // 8)), ratio, generator)


def tube_mask(batch, grid, ratio, generator):
    slots, places = grid
    mask = torch.rand(batch, 1, places, generator=generator).argsort(-1) < int(ratio * places)
    return mask.expand(batch, slots, places).flatten(1)


def targets(clip, mask):
    return normalised_tubes(clip, mask, tubelet_frames=2, patch_size=8, std=STD.to(clip.dtype))


def naive(pixel, mask):
    """Pixel targets computed one value at a time over tubes and colours."""
    batch, _, frames, height, width = pixel.shape
    all_clips = []
    for b in range(batch):
        tubes = []
        for t in range(0, frames, 2):
            for y in range(0, height, 8):
                for x in range(0, width, 8):
                    columns = []
                    for colour in range(3):
                        value = pixel[b, colour, t : t + 2, y : y + 8, x : x + 8].reshape(-1)
                        columns.append((value - value.mean()) / (value.var(unbiased=True).sqrt() + 1e-6))
                    tubes.append(torch.stack(columns, dim=1).reshape(-1))  # pixel-major, then colour
        all_clips.append(torch.stack([tube for tube, hidden in zip(tubes, mask[b], strict=True) if hidden]))
    return torch.stack(all_clips)


def test_equals_the_naive_loop():
    pixel, clip, mask = clip_and_mask()
    result = targets(clip, mask)
    assert result.shape == (2, int(mask[0].sum()), 2 * 8 * 8 * 3)
    torch.testing.assert_close(result, naive(pixel, mask), rtol=0, atol=1e-6)  # MEAN and STD are float32


def test_float32_is_close_to_float64():
    _, clip, mask = clip_and_mask()
    torch.testing.assert_close(targets(clip.float(), mask).double(), targets(clip, mask), rtol=0, atol=1e-5)


def test_every_tube_and_colour_is_standardised_on_its_own():
    _, clip, mask = clip_and_mask()
    result = targets(clip, mask).unflatten(2, (-1, 3))
    torch.testing.assert_close(result.mean(2), torch.zeros_like(result.mean(2)), rtol=0, atol=1e-10)
    torch.testing.assert_close(result.var(2), torch.ones_like(result.var(2)), rtol=0, atol=1e-4)


@pytest.mark.parametrize(("gain", "offset"), [(2.0, 0.0), (1.0, 5.0)])
def test_brightness_and_contrast_do_not_matter(gain, offset):
    pixel, _, mask = clip_and_mask()
    changed = ((gain * pixel + offset) - MEAN.view(3, 1, 1, 1)) / STD.view(3, 1, 1, 1)
    original = (pixel - MEAN.view(3, 1, 1, 1)) / STD.view(3, 1, 1, 1)
    torch.testing.assert_close(targets(changed, mask), targets(original, mask), rtol=0, atol=1e-4)


def test_flat_tubes_are_zero_not_nan():
    _, clip, mask = clip_and_mask()
    assert torch.equal(targets(torch.zeros_like(clip), mask), torch.zeros(2, int(mask[0].sum()), 384).double())


def test_targets_carry_no_gradient():
    _, clip, mask = clip_and_mask()
    assert not targets(clip.requires_grad_(), mask).requires_grad
