"""Clips kept for the next encoder: the same ones, decoded once, and never more than was allowed."""

from pathlib import Path

import pytest
import torch

from sigma_bench.data.catalogue import open_dataset
from sigma_bench.data.clips import ClipMemory, EvaluationClips
from sigma_bench.specs.catalogue import load_dataset, load_task, resolve


class Counting(EvaluationClips):
    """Counts how many samples were decoded."""

    decoded = 0

    def __getitem__(self, index: int) -> tuple[int, torch.Tensor | str]:
        self.decoded += 1
        return super().__getitem__(index)


@pytest.fixture
def clips(world: Path):
    task = resolve(load_task("ssv2/knn"))
    samples = open_dataset(load_dataset("ssv2"), world).splits["test"].samples
    return lambda size=32: Counting(samples, task.protocol.clip, num_frames=4, image_size=size)


def same(one: list, two: list) -> bool:
    return all(a[0] == b[0] and torch.equal(a[1], b[1]) for a, b in zip(one, two, strict=True))


def test_what_was_decoded_is_given_again(clips) -> None:
    memory, first, second, other = ClipMemory(2**30), clips(), clips(), clips(size=48)
    given = list(memory.items(first))
    assert same(list(memory.items(second)), given)
    assert (first.decoded, second.decoded) == (len(given), 0)
    list(memory.items(other))
    assert other.decoded == len(given)  # another size is another clip


def test_what_does_not_fit_is_decoded_again(clips) -> None:
    expected = list(ClipMemory(0).items(clips()))
    one_clip = expected[0][1].nbytes
    for limit in (0, one_clip, one_clip * len(expected)):
        memory, again = ClipMemory(limit), clips()
        assert same(list(memory.items(clips())), expected)
        assert same(list(memory.items(again)), expected)
        assert again.decoded == len(expected)
    memory, again = ClipMemory(one_clip * len(expected) + 1), clips()
    list(memory.items(clips()))
    list(memory.items(again))
    assert again.decoded == 0
