"""Several actions per video (Charades, as SEVERE's experiment 8 trains and tests it)."""

from typing import Literal

from sigma_bench.specs.recipe import Positive
from sigma_bench.specs.supervised import SupervisedProtocol


class MultilabelProtocol(SupervisedProtocol):
    """Binary cross-entropy per class, then mean average precision."""

    kind: Literal["multilabel"]
    train_target: Literal["sampled_span", "whole_video"]
    """Classes active in any frame from the first to the last one sampled; or anywhere in the video."""
    frame_folder_rate: Positive
    """Frames per second of videos that are folders of frames; video files say theirs."""
    view_score: Literal["sigmoid"]
    unlabelled_videos: Literal["negatives", "left_out"]
    """Test videos without any action: as negatives of every class, or not scored."""
    classes_scored: Literal["with_a_positive"]
    metrics: tuple[Literal["map"], ...]
