"""Which frames of a sequence make a clip."""

import numpy as np
import pytest

from sigma_bench.data.sequences import drawn_indices


@pytest.mark.parametrize(
    ("draw", "num_frames", "expected"),
    [
        ("consecutive_first", 4, [0, 1, 2, 3]),
        ("consecutive_centre", 4, [3, 4, 5, 6]),
        ("linspace", 4, [0, 3, 6, 9]),
        ("linspace", 3, [0, 4, 9]),
        ("consecutive_first", 12, [*range(10), 9, 9]),
        ("consecutive_centre", 12, [*range(10), 9, 9]),
    ],
)
def test_draws_by_hand(draw: str, num_frames: int, expected: list[int]) -> None:
    assert drawn_indices(draw, 10, num_frames, np.random.default_rng(0)).tolist() == expected  # type: ignore[arg-type]


def test_random_frames_are_in_order_and_every_frame_is_drawn_about_as_often() -> None:
    rng = np.random.default_rng(0)
    drawn = np.stack([drawn_indices("random_sorted", 20, 4, rng) for _ in range(2000)])
    assert (np.diff(drawn, axis=1) > 0).all()
    assert np.bincount(drawn.ravel(), minlength=20) == pytest.approx(np.full(20, 400), abs=80)
