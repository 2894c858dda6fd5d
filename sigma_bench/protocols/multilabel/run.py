"""multilabel: several actions per video (Charades), trained with binary cross-entropy and scored by mAP.

The procedure is that of SEVERE's experiment 8, which is SlowFast's.  The settings of its convolutional network (SGD,
dropout, precise batch norm, normalisation of colours) are replaced by those of ``finetune``.

Shapes: S samples, L classes.
"""

import numpy as np

from sigma_bench.protocols.interface import Evaluation, HeadSizes, Predictions, require_readable
from sigma_bench.protocols.multilabel.spec import MultilabelProtocol
from sigma_bench.protocols.training_and_testing import train_and_test
from sigma_bench.training.targets import ManyActions, actions_of

LOWEST_SCORE, HIGHEST_SCORE = -1.0, 2.0
"""Scores below and above the range of a sigmoid."""


def run(evaluation: Evaluation[MultilabelProtocol]) -> Predictions | None:
    """Train on train and score every class for every video of test; None on all processes but the main one."""
    protocol, (train, test), num_classes = evaluation.protocol, evaluation.splits, evaluation.num_classes
    labels = ManyActions(num_classes, protocol.train_target == "whole_video", protocol.frame_folder_rate)
    scored = [s for s in test.samples if protocol.unlabelled_videos == "negatives" or actions_of(s)]
    (tested,) = train_and_test(evaluation, protocol, labels, train.samples, scored, (), fold="all", frozen=False)
    require_readable(tested.failures, protocol)
    if not evaluation.processes.is_main:
        return None
    truth_SL = np.array([[action in actions_of(sample) for action in range(num_classes)] for sample in scored])
    failed_S = np.array([sample.id in tested.failures for sample in scored])
    arrays = {
        "ids": np.array([sample.id for sample in scored]),
        "groups": np.array([sample.group for sample in scored]),
        "truth": truth_SL,
        "score": wrong_where_failed(truth_SL, tested.score_SL, failed_S),
    }
    prevalence_L = truth_SL.mean(0)
    controls = {"chance": float(prevalence_L[prevalence_L > 0].mean())}
    return Predictions(arrays, len(scored), tested.failures, controls=controls)


def head_seconds(protocol: MultilabelProtocol, sizes: HeadSizes) -> float:
    """Zero, because the head is trained with the network, and the time of these steps is predicted as encoding."""
    return 0.0


def wrong_where_failed(truth_SL: np.ndarray, score_SL: np.ndarray, failed_S: np.ndarray) -> np.ndarray:
    """Scores (S, L) in which the videos of ``failed_S`` (S,) are wrong in every class.

    Such a video is ranked last in its classes and first in all others.  The lowest score in all classes would count as
    right in the classes that the video does not show.
    """
    wrong_SL = np.where(truth_SL, LOWEST_SCORE, HIGHEST_SCORE).astype(np.float32)
    return np.where(failed_S[:, None], wrong_SL, score_SL)
