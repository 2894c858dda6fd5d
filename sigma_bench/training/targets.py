"""Targets and losses of labels: one class per sample, or several actions at once.

Shapes: B clips, T frames, L classes.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sigma_bench.data.annotations import ActionIntervals, VideoLabels
from sigma_bench.data.manifest import Sample
from sigma_bench.data.video_facts import video_facts


class Labels(Protocol):
    """Targets of samples, and the loss against them."""

    @property
    def num_classes(self) -> int: ...

    def target(self, sample: Sample, index_T: np.ndarray) -> Tensor:
        """The target of a clip of these frames, (L,) float32."""
        ...

    def loss(self, logit_BL: Tensor, target_BL: Tensor) -> Tensor:
        """The mean loss of the clips."""
        ...

    def scores(self, logit_BL: Tensor) -> Tensor:
        """Probabilities of the classes, (B, L)."""
        ...


@dataclass(frozen=True)
class OneClass:
    """One class per sample; cross-entropy with smoothed targets, which may be mixed."""

    num_classes: int
    smoothing: float

    def target(self, sample: Sample, index_T: np.ndarray) -> Tensor:
        assert sample.label is not None, sample.id
        target_L = torch.full((self.num_classes,), self.smoothing / self.num_classes)
        target_L[sample.label] += 1 - self.smoothing
        return target_L

    def loss(self, logit_BL: Tensor, target_BL: Tensor) -> Tensor:
        return -(target_BL * F.log_softmax(logit_BL.float(), 1)).sum(1).mean()

    def scores(self, logit_BL: Tensor) -> Tensor:
        return logit_BL.softmax(1)


@dataclass(frozen=True)
class ManyActions:
    """Several actions; binary cross-entropy, the mean over clips and classes.

    Args:
        whole_video: whether a clip has all actions of its video, or those of any frame from its first to its last;
            actions without times last as long as the video.
        frame_folder_rate: frames per second of samples that are folders of frames.
    """

    num_classes: int
    whole_video: bool
    frame_folder_rate: float

    def target(self, sample: Sample, index_T: np.ndarray) -> Tensor:
        active = actions_of(sample)
        if not self.whole_video and isinstance(sample.annotation, ActionIntervals):
            rate = self.frame_rate(sample)
            active = actions_within(sample, index_T.min() / rate, (index_T.max() + 1) / rate)
        target_L = torch.zeros(self.num_classes)
        target_L[sorted(active)] = 1
        return target_L

    def loss(self, logit_BL: Tensor, target_BL: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(logit_BL.float(), target_BL)

    def scores(self, logit_BL: Tensor) -> Tensor:
        return logit_BL.sigmoid()

    def frame_rate(self, sample: Sample) -> float:
        """Frames per second."""
        if sample.media == "frame_folder":
            return self.frame_folder_rate
        facts = video_facts(sample.path)
        return facts.num_packets / facts.seconds


def actions_of(sample: Sample) -> set[int]:
    """Classes that are active anywhere in the video."""
    if isinstance(sample.annotation, VideoLabels):
        return set(sample.annotation.labels)
    return {action for action, _, _ in _intervals(sample)}


def actions_within(sample: Sample, start: float, end: float) -> set[int]:
    """Classes that are active at some time after ``start`` and before ``end``, in seconds."""
    return {action for action, first, last in _intervals(sample) if first < end and last > start}


def _intervals(sample: Sample) -> tuple[tuple[int, float, float], ...]:
    assert isinstance(sample.annotation, ActionIntervals), sample.id
    return sample.annotation.intervals
