"""The memory of decoded clips: clips are unchanged, decoded once, and within the limit."""

from pathlib import Path

import pytest
import torch

from sigma_bench.data.datasets import open_dataset
from sigma_bench.data.evaluation_clips import ClipMemory, EvaluationClips
from sigma_bench.specs.catalogue import load_dataset, load_task, resolve


class Counting(EvaluationClips):
    """Counts how many samples were decoded."""

    decoded = 0

    def __getitem__(self, index: int) -> torch.Tensor | str:
        self.decoded += 1
        return super().__getitem__(index)


@pytest.fixture
def clips(world: Path):
    task = resolve(load_task("ssv2/knn"))
    samples = open_dataset(load_dataset("ssv2"), world).splits["test"].samples
    return lambda size=32: Counting(samples, task.protocol.clip, num_frames=4, image_size=size)


def everything(memory: ClipMemory, clips: EvaluationClips) -> list:
    return [memory.item(clips, index) for index in range(len(clips))]


def same(one: list, two: list) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_what_was_decoded_is_given_again(clips) -> None:
    memory, first, second, other = ClipMemory(2**30), clips(), clips(), clips(size=48)
    given = everything(memory, first)
    assert same(everything(memory, second), given)
    assert (first.decoded, second.decoded) == (len(given), 0)
    everything(memory, other)
    assert other.decoded == len(given)  # another size is another clip


def test_what_does_not_fit_is_decoded_again(clips) -> None:
    expected = everything(ClipMemory(0), clips())
    one_clip = expected[0].nbytes
    for room in (0, 1, len(expected) - 1, len(expected)):
        memory, again = ClipMemory(one_clip * room), clips()
        assert same(everything(memory, clips()), expected)
        assert same(everything(memory, again), expected)
        assert again.decoded == len(expected) - room
