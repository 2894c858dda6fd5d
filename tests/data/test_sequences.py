"""The frames of a sequence that make up a clip."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sigma_bench.data.annotations import ObjectCategories
from sigma_bench.data.datasets import open_dataset
from sigma_bench.data.decoder import DecodeError
from sigma_bench.data.sequences import MaskedSequence, drawn_indices
from sigma_bench.specs.catalogue import load_dataset


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


def test_an_object_without_a_category_is_named_with_its_file(world: Path) -> None:
    sample = open_dataset(load_dataset("youtube_vos"), world).splits["train"].samples[0]
    with pytest.raises(DecodeError, match=rf"{sample.id}/\d+\.png: the mask has the object [23], which the annotation"):
        MaskedSequence(replace(sample, annotation=ObjectCategories(((1, 1),)))).masks(range(4))
