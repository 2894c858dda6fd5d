"""multilabel: several actions per video (Charades, as SEVERE's experiment 8 trains and tests it)."""

from collections.abc import Collection
from typing import ClassVar, Literal

from sigma_bench.specs.folds import Folds
from sigma_bench.specs.frozen_protocol import train_test_splits
from sigma_bench.specs.passes import SampleLabels, SplitUse
from sigma_bench.specs.recipe import Positive
from sigma_bench.specs.training_protocol import SupervisedProtocol


class MultilabelProtocol(SupervisedProtocol):
    """Binary cross-entropy per class, then mean average precision over the classes with a positive test video."""

    sample_labels: ClassVar[SampleLabels] = "actions"
    scoring: ClassVar[str] = "sigma_bench.protocols.multilabel.scores"
    kind: Literal["multilabel"]
    train_target: Literal["sampled_span", "whole_video"]
    """``sampled_span``: classes active between the first and the last sampled frame; ``whole_video``: classes active
    anywhere in the video."""
    frame_folder_rate: Positive
    """Frames per second of videos that are folders of frames; a video file states its rate."""
    view_pooling: Literal["mean", "max"]
    """How the scores of the views of a video are combined."""
    unlabelled_videos: Literal["negatives", "left_out"]
    """Whether test videos without any action are negatives of every class or are not scored."""
    metrics: tuple[Literal["map"], ...]

    @property
    def pools_by_maximum(self) -> bool:
        return self.view_pooling == "max"

    def splits(self, names: Collection[str], folds: Folds) -> tuple[SplitUse, ...]:
        """Train and test."""
        return train_test_splits(names)
