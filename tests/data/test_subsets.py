"""Subsets of other sizes than SEVERE's; those themselves are checked against the official lists."""

from collections import Counter
from pathlib import Path

from sigma_bench.data.manifest import Sample
from sigma_bench.data.official_lists import draw_subset


def samples(*counts: int) -> list[Sample]:
    return [
        Sample(f"{label}-{i}", Path("x"), "video", label, group=f"{label}-{i}")
        for i in range(max(counts))
        for label, count in enumerate(counts)
        if i < count
    ]


def test_every_class_gives_as_many_and_a_small_one_all() -> None:
    chosen = Counter(sample.label for sample in draw_subset(samples(30, 3, 30), 5))
    assert chosen == {0: 5, 1: 3, 2: 5}


def test_a_larger_subset_holds_the_smaller() -> None:
    everything = samples(40, 25, 60)
    ids = [{sample.id for sample in draw_subset(everything, size)} for size in (1, 5, 20, 100)]
    assert ids[0] < ids[1] < ids[2] < ids[3] == {sample.id for sample in everything}


def test_severes_size_is_the_default() -> None:
    everything = samples(400, 400, 400)
    assert draw_subset(everything) == draw_subset(everything, 334)  # ceil(1000 / 3)
