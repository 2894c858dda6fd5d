"""multilabel: several actions per video (Charades), trained with binary cross-entropy, judged by mAP.

As SEVERE's experiment 8, which is SlowFast's; what belongs to its convolutional network (SGD, dropout, precise batch
norm, its own normalisation) is the fine-tuning recipe of ``finetune`` here.

Shapes: S samples, L classes.
"""

import numpy as np

from sigma_bench.protocols.contract import Evaluation, Predictions, require_readable
from sigma_bench.protocols.multilabel.spec import MultilabelProtocol
from sigma_bench.protocols.supervised import train_and_test
from sigma_bench.training.targets import ManyActions, actions_of

LOWEST_SCORE, HIGHEST_SCORE = -1.0, 2.0
"""Scores below and above every sigmoid."""


def run(evaluation: Evaluation[MultilabelProtocol]) -> Predictions | None:
    """Train on one split, score every class for every video of the other."""
    protocol, (train, test), num_classes = evaluation.protocol, evaluation.splits, evaluation.num_classes
    labels = ManyActions(num_classes, protocol.train_target == "whole_video", protocol.frame_folder_rate)
    scored = [s for s in test.samples if protocol.unlabelled_videos == "negatives" or actions_of(s)]
    tested = train_and_test(evaluation, protocol, labels, train.samples, scored, part="whole", frozen=False)
    require_readable(tested.failures, protocol)
    if not evaluation.world.is_main:
        return None
    truth_SL = np.array([[action in actions_of(sample) for action in range(num_classes)] for sample in scored])
    lost_S = np.array([sample.id in tested.failures for sample in scored])
    arrays = {
        "ids": np.array([sample.id for sample in scored]),
        "groups": np.array([sample.group for sample in scored]),
        "truth": truth_SL,
        "score": wrong_where_lost(truth_SL, tested.score_SL, lost_S),
    }
    prevalence_L = truth_SL.mean(0)
    controls = {"chance": float(prevalence_L[prevalence_L > 0].mean())}
    return Predictions(arrays, len(scored), tested.failures, controls=controls)


def wrong_where_lost(truth_SL: np.ndarray, score_SL: np.ndarray, lost_S: np.ndarray) -> np.ndarray:
    """Scores (S, L) in which a video that does not decode is wrong in every class.

    It is ranked last in the classes that it has and first in all others.  With the lowest score everywhere, it would be
    right about every action that it does not show.
    """
    wrong_SL = np.where(truth_SL, LOWEST_SCORE, HIGHEST_SCORE).astype(np.float32)
    return np.where(lost_S[:, None], wrong_SL, score_SL)
