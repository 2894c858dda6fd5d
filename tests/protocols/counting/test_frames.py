"""Letterboxing, and clips with frames outside the video."""

import numpy as np
import torch

from sigma_bench.models.image_statistics import ImageStatistics
from sigma_bench.protocols.counting.frames import clips_of, letterboxed
from sigma_bench.specs.catalogue import load_recipe


def test_a_wide_frame_gets_bars_above_and_below() -> None:
    """320 x 240 at 112: 84 rows of picture, 14 of black on both sides."""
    frame = letterboxed(np.full((2, 240, 320, 3), 200, np.uint8), 112)
    assert frame.shape == (2, 3, 112, 112)
    assert (frame[:, :, 14:98] == 200).all()
    assert not frame[:, :, :14].any() and not frame[:, :, 98:].any()


def test_a_tall_frame_gets_bars_left_and_right_and_an_odd_rest_is_shared() -> None:
    frame = letterboxed(np.full((1, 100, 51, 3), 9, np.uint8), 100)
    assert (frame[..., 24:75] == 9).all()
    assert frame.sum() == 9 * 3 * 100 * 51


def test_slots_outside_show_the_padding_unnormalised_and_slots_inside_their_frame() -> None:
    card = ImageStatistics(load_recipe("mini_videomae").encoder).card
    frame_NCHW = torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1).expand(6, 3, 4, 4) * 50
    other_NCHW = torch.full((2, 3, 4, 4), 255, dtype=torch.uint8)
    slot_SF = np.array([[-3, 0, 5, 6], [-1, 0, 1, 2]])
    clip = clips_of([frame_NCHW, other_NCHW], slot_SF, card, (0.485, 0.456, 0.406))
    assert clip.shape == (2, 3, 4, 4, 4)
    for row, slot in ((0, 0), (0, 3), (1, 0), (1, 3)):
        assert torch.equal(clip[row, :, slot, 2, 2], torch.tensor([0.485, 0.456, 0.406]))
    assert clip[0, 0, 1:3, 0, 0].tolist() == [-1.0, torch.tensor((250 / 255 - 0.5) / 0.5).item()]
    assert (clip[1, :, 1:3] == 1).all()
