"""Targets and losses by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sigma_bench.data.annotations import ActionIntervals
from sigma_bench.data.datasets import open_dataset
from sigma_bench.data.manifest import Sample
from sigma_bench.specs.catalogue import load_dataset
from sigma_bench.training.targets import ManyActions, OneClass


def test_smoothed_cross_entropy() -> None:
    labels = OneClass(4, smoothing=0.2)
    sample = Sample("a", Path("a"), "video", 2, "a")
    target_L = labels.target(sample, np.arange(2))
    torch.testing.assert_close(target_L, torch.tensor([0.05, 0.05, 0.85, 0.05]))
    logit_BL = torch.tensor([[0.0, 1.0, 2.0, 3.0], [1.0, 0.0, 0.0, 0.0]])
    expected = torch.nn.CrossEntropyLoss(label_smoothing=0.2)(logit_BL, torch.tensor([2, 2]))
    torch.testing.assert_close(labels.loss(logit_BL, target_L.repeat(2, 1)), expected)


def test_actions_of_the_sampled_span_or_of_the_whole_video() -> None:
    """At 24 frames per second frames 24 to 47 are the second second."""
    annotation = ActionIntervals(((0, 0.0, 0.5), (1, 0.9, 1.1), (2, 1.4, 1.45), (3, 1.999, 2.5), (4, 2.0, 3.0)))
    sample = Sample("a", Path("a"), "frame_folder", None, "a", annotation=annotation)
    span = ManyActions(5, whole_video=False, frame_folder_rate=24)
    index_T = np.array([24, 40, 47])  # action 2 lies between two sampled frames
    assert span.target(sample, index_T).tolist() == [0, 1, 1, 1, 0]
    assert span.target(sample, np.array([48])).tolist() == [0, 0, 0, 1, 1]
    assert ManyActions(5, True, 24).target(sample, index_T).tolist() == [1] * 5
    logit_BL, target_BL = torch.zeros(2, 5), torch.ones(2, 5)
    assert float(span.loss(logit_BL, target_BL)) == pytest.approx(np.log(2))


def test_a_file_says_its_own_frame_rate(world: Path) -> None:
    sample = open_dataset(load_dataset("charades"), world).splits["train"].samples[0]
    assert sample.media == "video"
    assert ManyActions(157, False, 24).frame_rate(sample) == pytest.approx(12, rel=0.01)
