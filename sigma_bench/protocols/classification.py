"""Classification on features of a frozen encoder: a classifier is fitted on train and predicts test, or fold by fold.

Shapes: S samples, Q test samples of a fold, L classes, K best classes in order.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sigma_bench.data.manifest import Split
from sigma_bench.protocols.contract import Evaluation, Predictions, require_readable
from sigma_bench.protocols.features import SplitFeatures
from sigma_bench.records.record import Selection

NO_PREDICTION = -1
"""Stands for a sample that could not be decoded; it is wrong whatever its label."""
RANKED = 5
"""Best classes kept per sample."""


@dataclass(frozen=True)
class TrainFeatures:
    """What a classifier is fitted on: features (or rows of them) with labels, and groups that must not be split."""

    features: SplitFeatures
    index_S: np.ndarray
    """Which samples of the split."""
    label_S: np.ndarray
    group_S: np.ndarray
    num_classes: int


Classifier = Callable[[TrainFeatures, SplitFeatures, np.ndarray], tuple[np.ndarray, Selection | None]]
"""Is fitted on the first; returns class scores (Q, L) for those samples of the second, and how it chose."""


def classify(evaluation: Evaluation[Any], classifier: Classifier) -> Predictions | None:
    """Predict every sample of the scored split once; None on the processes that only helped with the features.

    Training samples are never under the condition of the test, also where folds make both of one split.

    Raises:
        ValueError: a fold cannot be formed, or files do not decode and the protocol says ``fail``.
    """
    train_split, test_split = evaluation.splits[0], evaluation.splits[-1]
    features, failures = readable_features(evaluation)
    if not evaluation.world.is_main:
        return None
    train, test = features[0], features[-1]
    ranked_SK = no_ranks(test_split, evaluation.num_classes)
    selections = []
    for train_index, test_index in folds(train_split, test_split):
        train_index = np.intersect1d(train_index, train.usable)
        test_index = np.intersect1d(test_index, test.usable)
        if not len(test_index):  # no sample of a fold can be read: it counts as wrong, and no classifier is fitted
            continue
        labels, groups = labels_of(train_split)[train_index], groups_of(train_split)[train_index]
        known = TrainFeatures(train, train_index, labels, groups, evaluation.num_classes)
        score_QL, selection = classifier(known, test, test_index)
        ranked_SK[test_index] = ranked(score_QL)
        selections += [selection] if selection else []
    return classified(test_split, ranked_SK, failures, tuple(selections))


def readable_features(evaluation: Evaluation[Any]) -> tuple[list[SplitFeatures], dict[str, str]]:
    """Features of all passes, and the samples without a feature, id -> reason.

    Raises:
        ValueError: samples cannot be read and the protocol says ``fail``.
    """
    features = [evaluation.features(one) for one in evaluation.passes]
    failures = {
        evaluation.split(one).samples[index].id: reason
        for one, found in zip(evaluation.passes, features, strict=True)
        for index, reason in found.failures.items()
    }
    require_readable(failures, evaluation.protocol)
    return features, failures


def classified(
    scored: Split, ranked_SK: np.ndarray, failures: Mapping[str, str], selections: tuple[Selection, ...] = ()
) -> Predictions:
    """The predictions of any protocol that ranks the classes for every sample of a split."""
    assert len(ranked_SK) == len(scored.samples), "predictions do not cover the split exactly"
    truth_S = labels_of(scored)
    arrays = {
        "ids": np.array(scored.ids),
        "groups": groups_of(scored),
        "truth": truth_S,
        "predicted": ranked_SK[:, 0],
        "ranked": ranked_SK,
    }
    share = np.bincount(truth_S) / len(truth_S)
    return Predictions(arrays, len(truth_S), failures, selections, {"chance": float(share.max())})


def no_ranks(split: Split, num_classes: int) -> np.ndarray:
    """Room for the best classes of every sample, (S, K), nothing predicted yet."""
    return np.full((len(split.samples), min(RANKED, num_classes)), NO_PREDICTION)


def ranked(score_QL: np.ndarray) -> np.ndarray:
    """The best classes of every row, (Q, K); a tie goes to the lower index; a class of score -inf has no rank."""
    label_QK = np.argsort(-score_QL, axis=1, kind="stable")[:, :RANKED]
    return np.where(np.isneginf(np.take_along_axis(score_QL, label_QK, 1)), NO_PREDICTION, label_QK)


def folds(train: Split, test: Split) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Indices of the training and of the test samples: everything at once, or fold by fold where both are one split."""
    if train is test:
        yield from leave_one_group_out(train)
    else:
        yield np.arange(len(train.samples)), np.arange(len(test.samples))


def leave_one_group_out(split: Split) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For every group: the indices of all others, and its own."""
    group_S = groups_of(split)
    names = np.unique(group_S)
    if len(names) < 2:
        raise ValueError(f"leave_one_group_out needs at least two groups; all samples say '{names[0]}'")
    for name in names:
        yield np.flatnonzero(group_S != name), np.flatnonzero(group_S == name)


def labels_of(split: Split) -> np.ndarray:
    """Class indices of a split, (S,)."""
    return np.array([sample.label for sample in split.samples], np.int64)


def groups_of(split: Split) -> np.ndarray:
    """Group names of a split, (S,)."""
    return np.array([sample.group for sample in split.samples])
