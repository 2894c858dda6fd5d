"""Frame samplers against numbers worked out by hand."""

import numpy as np
import pytest

from sigma_bench.data.sampling import dense_indices, random_sorted_indices, random_start_indices, uniform_indices


def test_uniform_takes_segment_midpoints() -> None:
    assert uniform_indices(16, 8).tolist() == [1, 3, 5, 7, 9, 11, 13, 15]
    assert uniform_indices(49, 4).tolist() == [6, 18, 30, 42]


def test_uniform_repeats_frames_of_a_short_video_in_order() -> None:
    assert uniform_indices(3, 8).tolist() == [0, 0, 0, 1, 1, 2, 2, 2]
    assert uniform_indices(1, 4).tolist() == [0, 0, 0, 0]


def test_dense_windows_are_centred_and_spread() -> None:
    assert dense_indices(40, 4, 4, 1).tolist() == [[14, 18, 22, 26]]
    assert dense_indices(40, 4, 4, 3).tolist() == [[4, 8, 12, 16], [14, 18, 22, 26], [23, 27, 31, 35]]


def test_dense_stride_shrinks_for_a_short_video_and_then_the_last_frame_repeats() -> None:
    assert np.diff(dense_indices(16, 8, 4, 1)[0]).tolist() == [2] * 7
    assert dense_indices(3, 8, 4, 1).tolist() == [[0, 1, 2, 2, 2, 2, 2, 2]]


@pytest.mark.parametrize("video_frames", [1, 5, 16, 17, 300])
def test_random_starts_stay_inside_and_reach_both_ends(video_frames: int) -> None:
    rng = np.random.default_rng(0)
    drawn = np.stack([random_start_indices(video_frames, 8, 2, rng) for _ in range(2000)])
    assert drawn.min() == 0
    assert drawn.max() <= video_frames - 1
    assert set(drawn[:, 0].tolist()) == set(range(max(0, video_frames - 16) + 1))


def test_random_sorted_frames_are_distinct_unless_the_video_is_too_short() -> None:
    rng = np.random.default_rng(0)
    assert len(set(random_sorted_indices(20, 16, rng).tolist())) == 16
    assert (np.diff(random_sorted_indices(4, 16, rng)) >= 0).all()
