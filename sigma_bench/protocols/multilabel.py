"""multilabel: several actions per video (Charades), trained with binary cross-entropy, judged by mAP.

As SEVERE's experiment 8, which is SlowFast's; what belongs to its convolutional network (SGD, dropout, precise batch
norm, its own normalisation) is the fine-tuning recipe of ``finetune`` here.

Shapes: S samples, L classes.
"""

import numpy as np

from sigma_bench.data.annotations import ActionIntervals
from sigma_bench.data.manifest import Manifest, Split
from sigma_bench.protocols.classification import require_disjoint, require_present
from sigma_bench.protocols.job import Job, Outcome, required_split
from sigma_bench.protocols.supervised import require_readable, train_and_test
from sigma_bench.specs.multilabel import MultilabelProtocol
from sigma_bench.specs.task import ResolvedTask
from sigma_bench.training.targets import ManyActions, actions_of

LOWEST_SCORE, HIGHEST_SCORE = -1.0, 2.0
"""Scores below and above every sigmoid."""


def splits(manifest: Manifest, task: ResolvedTask) -> tuple[Split, ...]:
    """Train and test."""
    return required_split(manifest, task, "train"), required_split(manifest, task, "test")


def run(job: Job) -> Outcome | None:
    """Train on one split, score every class for every video of the other."""
    protocol = job.task.protocol
    assert isinstance(protocol, MultilabelProtocol)
    train, test = splits(job.manifest, job.task)
    if not all(isinstance(sample.annotation, ActionIntervals) for sample in (*train.samples, *test.samples)):
        raise ValueError(f"task '{job.task.task}': {job.manifest.dataset} does not list the actions of every video")
    require_present((train, test), protocol)
    require_disjoint(job.manifest, train, test)
    num_classes = len(job.manifest.classes or ())
    labels = ManyActions(num_classes, protocol.train_target == "whole_video", protocol.frame_folder_rate)
    asked = [s for s in test.samples if protocol.unlabelled_videos == "negatives" or actions_of(s)]
    tested = train_and_test(job, protocol, labels, train.samples, asked, part="whole", frozen=False)
    require_readable(tested.failures, protocol)
    if not job.world.is_main:
        return None
    truth_SL = np.array([[action in actions_of(sample) for action in range(num_classes)] for sample in asked])
    lost_S = np.array([sample.id in tested.failures for sample in asked])
    arrays = {
        "ids": np.array([sample.id for sample in asked]),
        "groups": np.array([sample.group for sample in asked]),
        "truth": truth_SL,
        "score": wrong_where_lost(truth_SL, tested.score_SL, lost_S),
    }
    prevalence_L = truth_SL.mean(0)
    controls = {"chance": float(prevalence_L[prevalence_L > 0].mean())}
    return Outcome(arrays, len(asked), tested.failures, controls=controls)


def wrong_where_lost(truth_SL: np.ndarray, score_SL: np.ndarray, lost_S: np.ndarray) -> np.ndarray:
    """Scores (S, L) in which a video that does not decode is wrong in every class.

    It is ranked last in the classes that it has and first in all others.  With the lowest score everywhere, it would be
    right about every action that it does not show.
    """
    wrong_SL = np.where(truth_SL, LOWEST_SCORE, HIGHEST_SCORE).astype(np.float32)
    return np.where(lost_S[:, None], wrong_SL, score_SL)
