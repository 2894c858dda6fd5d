"""Training segments: bounds, labels, and equal draws for equal seeds."""

from pathlib import Path

import pytest

from sigma_bench.data.annotations import CycleBounds
from sigma_bench.data.manifest import Sample, Split
from sigma_bench.protocols.counting.segments import cycles_of, draw_segments


def split(*bounds: tuple[int, ...] | None) -> Split:
    samples = [
        Sample(f"v{i}", Path("v.avi"), "video", None, "g", annotation=CycleBounds(b) if b else None)
        for i, b in enumerate(bounds)
    ]
    return Split("train", tuple(samples), len(samples))


def test_every_segment_lies_inside_and_spans_from_a_bound_to_the_next_but_one() -> None:
    videos = split((5, 15, 25, 35), (0, 7, 14))
    segments = draw_segments(videos, [0, 1], 200, 300, seed=0)
    assert len(segments) == 400
    for segment in segments:
        length = 31 if segment.video == 0 else 15
        cycle = 10 if segment.video == 0 else 7
        assert segment.first >= 0 and segment.first + segment.num_frames <= length
        assert segment.num_frames > cycle
        assert all(len(label_N) == segment.num_frames for label_N in segment.offsets)
    # Of three cycles of ten: label 10 but in the last cycle, where it is not known.
    of_first = [segment for segment in segments if segment.video == 0 and segment.first + segment.num_frames == 31]
    assert {int(segment.offsets[0][-1]) for segment in of_first} == {-1}
    assert {segment.first for segment in segments if segment.video == 0} >= {0, 5, 10}


def test_a_capped_segment_keeps_its_mean_cycle() -> None:
    videos = split(tuple(range(0, 1001, 100)))
    whole = draw_segments(videos, [0], 50, 2000, seed=3)
    capped = draw_segments(videos, [0], 50, 150, seed=3)
    assert max(segment.num_frames for segment in capped) == 150 < max(segment.num_frames for segment in whole)
    assert [segment.mean_cycle for segment in capped] == [segment.mean_cycle for segment in whole]


def test_the_seed_decides() -> None:
    videos = split((0, 10, 20, 30, 40))
    first, again, other = (draw_segments(videos, [0], 20, 300, seed=seed) for seed in (0, 0, 1))
    assert first == again != other


def test_a_segment_begins_with_its_label_or_its_mean() -> None:
    videos = split((0, 10, 20))
    drawn = draw_segments(videos, [0], 100, 300, seed=0)
    assert {segment.cycle for segment in drawn if segment.first < 10} == {10.0}
    late = [segment for segment in drawn if segment.offsets[0][0] == -1]
    assert all(segment.cycle == segment.mean_cycle for segment in late)


def test_one_cycle_or_no_annotation_is_refused() -> None:
    with pytest.raises(ValueError, match="'v1' has fewer than two cycles"):
        draw_segments(split((0, 9, 20), (0, 10)), [0, 1], 1, 300, seed=0)
    with pytest.raises(ValueError, match="which samples of the train split lack"):
        cycles_of(split((0, 9, 20), None))


def test_labels_do_not_move_with_the_segment() -> None:
    """Frame 12 of cycles 0..10..24..38 is 1/7 into a cycle of 14; the same phase recurs after 14 frames."""
    drawn = draw_segments(split((0, 10, 24, 38)), [0], 100, 300, seed=0)
    holding = [one for one in drawn if one.first <= 12 < one.first + one.num_frames]
    assert len({one.first for one in holding}) > 5
    assert {int(one.offsets[0][12 - one.first]) for one in holding} == {14}
