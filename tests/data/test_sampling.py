"""Frame samplers against numbers worked out by hand."""

import numpy as np
import pytest

from sigma_bench.data.sampling import (
    clamped_views,
    clamped_window_indices,
    dense_indices,
    random_segment_indices,
    random_sorted_indices,
    random_start_indices,
    random_window_indices,
    released_segment_indices,
    segment_views,
    strided_views,
    training_indices,
    uniform_indices,
)
from sigma_bench.specs.clip import RandomWindow, ReleasedSegments, StridedViews


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


def test_a_pretraining_clip_of_a_short_video_repeats_the_last_frame_it_reaches() -> None:
    """Frame i is followed by i + stride only while that lies before the last frame, as in the release."""
    rng = np.random.default_rng(0)

    def drawn(video_frames: int) -> set[tuple[int, ...]]:
        return {tuple(random_start_indices(video_frames, 8, 4, rng).tolist()) for _ in range(50)}

    assert drawn(17) == {(0, 4, 8, 12, 12, 12, 12, 12)}  # frame 16 is the last one
    assert drawn(18) == {(0, 4, 8, 12, 16, 16, 16, 16)}
    assert drawn(20) == {(0, 4, 8, 12, 16, 16, 16, 16)}  # not frame 19
    assert drawn(29) == {(0, 4, 8, 12, 16, 20, 24, 24)}
    assert drawn(30) == {(0, 4, 8, 12, 16, 20, 24, 28)}
    assert drawn(1) == drawn(2) == drawn(5) == {(0,) * 8}
    assert drawn(32) == {tuple(range(0, 32, 4))}
    assert drawn(33) == {tuple(range(0, 32, 4)), tuple(range(1, 33, 4))}


def test_random_sorted_frames_are_distinct_unless_the_video_is_too_short() -> None:
    rng = np.random.default_rng(0)
    assert len(set(random_sorted_indices(20, 16, rng).tolist())) == 16
    assert (np.diff(random_sorted_indices(4, 16, rng)) >= 0).all()


def test_random_segments_take_one_frame_of_each() -> None:
    rng = np.random.default_rng(0)
    drawn = np.stack([random_segment_indices(10, 4, rng) for _ in range(3000)])
    # segments 0-2.5, 2.5-5, 5-7.5, 7.5-10
    assert [sorted(set(column)) for column in drawn.T.tolist()] == [[0, 1, 2], [2, 3, 4], [5, 6, 7], [7, 8, 9]]
    assert random_segment_indices(1, 4, rng).tolist() == [0, 0, 0, 0]


def test_released_segments_are_rounded_down_and_leave_out_the_end() -> None:
    rng = np.random.default_rng(0)
    sampling = ReleasedSegments(sampler="released_segments")
    drawn = np.stack([training_indices(sampling, 11, 4, rng) for _ in range(500)])
    # 11 // 4 = 2: segments 0-1, 2-3, 4-5, 6-7; frames 8, 9 and 10 are never drawn
    assert [sorted(set(column)) for column in drawn.T.tolist()] == [[0, 1], [2, 3], [4, 5], [6, 7]]


@pytest.mark.parametrize(
    ("video_frames", "seen"),
    [(47, 32), (31, 16), (48, 48), (16, 16), (15, 1), (1, 1)],  # 32 of 47 frames are 68 %, 16 of 31 are 52 %
)
def test_share_of_a_video_that_released_segments_see(video_frames: int, seen: int) -> None:
    rng = np.random.default_rng(0)
    drawn = np.stack([released_segment_indices(video_frames, 16, rng) for _ in range(300)])
    assert set(drawn.ravel().tolist()) == set(range(seen))
    whole = np.stack([random_segment_indices(video_frames, 16, rng) for _ in range(300)])
    assert set(whole.ravel().tolist()) == set(range(video_frames))  # the whole video


def test_random_window_is_spread_with_both_ends() -> None:
    rng = np.random.default_rng(0)
    drawn = {tuple(random_window_indices(20, 4, 4, rng)) for _ in range(500)}
    # windows of 16 from 0..3: linspace(s, s + 16, 4) = s + 0, 5.33, 10.67, 16, the last cut to the window
    assert drawn == {(s, s + 5, s + 10, s + 15) for s in range(4)}


def test_a_video_shorter_than_its_window_is_treated_as_declared() -> None:
    rng = np.random.default_rng(0)

    def drawn(rule: str, video_frames: int) -> set[tuple[int, ...]]:
        window = RandomWindow(sampler="random_window", stride_frames=4, short_video=rule)  # type: ignore[arg-type]
        return {tuple(training_indices(window, video_frames, 8, rng).tolist()) for _ in range(200)}

    assert drawn("repeat_last", 22) == {(0, 5, 11, 16, 21, 21, 21, 21)}  # 22 // 4 = 5 over 0..22, then the last
    assert drawn("repeat_last", 3) == {(2,) * 8}  # as released: nothing fits
    assert drawn("loop", 22) == {(0, 4, 8, 12, 16, 20, 2, 6)}
    assert drawn("shrink_stride", 22) == {tuple(range(s, s + 16, 2)) for s in range(7)}
    assert drawn("shrink_stride", 5) == {(0, 1, 2, 3, 4, 4, 4, 4)}
    assert len(drawn("loop", 33)) == 1 < len(drawn("repeat_last", 40))


def test_a_clamped_window_may_begin_before_the_video() -> None:
    rng = np.random.default_rng(0)
    long = {tuple(clamped_window_indices(20, 4, 6, rng)) for _ in range(200)}
    assert long == {(0, 6, 12, 18), (1, 7, 13, 19)}
    short = {tuple(clamped_window_indices(17, 4, 6, rng)) for _ in range(200)}
    assert short == {(0, 4, 10, 16), (0, 5, 11, 16), (0, 6, 12, 16)}  # starts -2, -1, 0


def test_segment_views_are_starts_and_midpoints() -> None:
    assert segment_views(16, 4).tolist() == [[0, 4, 8, 12], [2, 6, 10, 14]]
    assert segment_views(3, 4).tolist() == [[0, 0, 1, 2], [0, 1, 1, 2]]


def test_strided_views_begin_at_even_steps() -> None:
    views = StridedViews(sampler="strided_views", stride_frames=2, num_clips=3, short_video="repeat_last")
    # of 20 frames every second: 10; windows of 4 start at int(0, 3, 6)
    assert strided_views(20, 4, views).tolist() == [[0, 2, 4, 6], [6, 8, 10, 12], [12, 14, 16, 18]]
    assert strided_views(5, 4, views).tolist() == [[0, 2, 4, 4]] * 3
    looped = views.model_copy(update={"short_video": "loop"})
    assert strided_views(5, 4, looped).tolist() == [[0, 2, 4, 1]] * 3
    shrunk = views.model_copy(update={"short_video": "shrink_stride"})
    assert strided_views(5, 4, shrunk).tolist() == [[0, 1, 2, 3], [0, 1, 2, 3], [1, 2, 3, 4]]
    assert strided_views(20, 4, views.model_copy(update={"num_clips": 1})).tolist() == [[6, 8, 10, 12]]


def test_clamped_views_are_spread_and_rounded() -> None:
    # Charades: room 20 - 16 = 4, starts 0, 1.33, 2.67, 4 rounded
    assert clamped_views(20, 4, 5, 4)[:, 0].tolist() == [0, 1, 3, 4]
    assert clamped_views(12, 4, 5, 2).tolist() == [[0, 5, 10, 11]] * 2
