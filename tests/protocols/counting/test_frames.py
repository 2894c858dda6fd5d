"""Letterboxing, frame slots against the released sampler (golden values), and clips with frames outside the video."""

import numpy as np
import pytest
import torch

from sigma_bench.models.image_statistics import ImageStatistics
from sigma_bench.protocols.counting.frames import clips_of, frame_slots, half_lengths, letterboxed
from sigma_bench.specs.catalogue import load_recipe

GOLDEN = {
    (40, 59, 80): "20 22 25 28 30 33 36 38 41 44 46 49 52 54 57 59 60 62 65 68 71 74 76 79 82 85 88 90 93 96 99 101",
    (10, 13, 17): "6 6 7 7 8 8 9 9 10 10 11 11 12 12 13 13 14 14 15 15 16 16 17 17 18 18 19 19 20 20 21 21",
}


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


@pytest.mark.parametrize("state", GOLDEN)
def test_sixteen_and_sixteen_frames_as_released(state: tuple[int, int, int]) -> None:
    assert frame_slots(np.array([state]), 16, 1.0)[0].tolist() == [int(slot) for slot in GOLDEN[state].split()]


def test_the_first_eight_slots_of_a_first_cycle_lie_before_the_video() -> None:
    slot_F = frame_slots(np.array([[0, 19, 40]]), 16, 1.0)[0]
    assert np.flatnonzero(slot_F < 0).tolist() == list(range(8))


def test_other_numbers_of_frames_by_hand() -> None:
    """Halves 0..19 and 20..39, steps of 20/3 from half a frame early: -0.5, 6.17, 12.83, 19.5, kept inside."""
    assert frame_slots(np.array([[10, 19, 29]]), 4, 1.0)[0].tolist() == [0, 6, 13, 19, 20, 26, 33, 39]


def test_without_context_a_half_shows_just_its_cycle() -> None:
    slot_SF = frame_slots(np.array([[10, 19, 39], [0.4, 9.6, 17.2]]), 6, 0.0)
    assert slot_SF[:, [0, 5, 6, 11]].tolist() == [[10, 19, 20, 39], [0, 9, 10, 17]]


def test_lengths_of_both_sides() -> None:
    assert half_lengths(np.array([[10, 19, 39]])).tolist() == [[10, 20]]
