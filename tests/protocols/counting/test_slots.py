"""Frame slots against the released sampler (golden values) and by hand."""

import numpy as np
import pytest

from sigma_bench.protocols.counting.frames import frame_slots, half_lengths

GOLDEN = {
    (40, 59, 80): "20 22 25 28 30 33 36 38 41 44 46 49 52 54 57 59 60 62 65 68 71 74 76 79 82 85 88 90 93 96 99 101",
    (10, 13, 17): "6 6 7 7 8 8 9 9 10 10 11 11 12 12 13 13 14 14 15 15 16 16 17 17 18 18 19 19 20 20 21 21",
}


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
