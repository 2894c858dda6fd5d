"""Classification on features of a frozen encoder: a classifier is fitted on train and scores test, or each fold in
turn.

Shapes: S samples of a split or of the training part of a fold, Q test samples of a fold, L classes, K best classes.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sigma_bench.data.manifest import Split
from sigma_bench.protocols.features import SplitFeatures
from sigma_bench.protocols.interface import Evaluation, Predictions, require_readable
from sigma_bench.protocols.ranking import NO_PREDICTION, RANKED
from sigma_bench.records.record import Selection


@dataclass(frozen=True)
class TrainFeatures:
    """Training samples of a classifier: some rows of the features of a split, with labels and groups."""

    features: SplitFeatures
    index_S: np.ndarray
    """Rows of ``features``."""
    label_S: np.ndarray
    group_S: np.ndarray
    """Samples of one group must not be divided between fitting and held-out parts."""
    num_classes: int


Classifier = Callable[[TrainFeatures, SplitFeatures, np.ndarray], tuple[np.ndarray, Selection | None]]
"""(training features, test features, indices (Q,) of test samples) -> the best classes (Q, K), as ``ranked`` returns
them, and how the head was chosen."""


def classify(evaluation: Evaluation[Any], classifier: Classifier) -> Predictions | None:
    """Predict every sample of the scored split once; None on the other processes, which only compute features.

    The test condition applies to no training sample, even if folds of one split serve as train and test.

    Raises:
        ValueError: samples cannot be read and failures are not counted as wrong.
    """
    train_split, test_split = evaluation.splits[0], evaluation.splits[-1]
    features, failures = readable_features(evaluation)
    if not evaluation.processes.is_main:
        return None
    train, test = features[0], features[-1]
    ranked_SK = no_ranks(test_split, evaluation.num_classes)
    selections = []
    for train_index, test_index in folds(train_split, test_split):
        train_index = np.intersect1d(train_index, train.usable)
        test_index = np.intersect1d(test_index, test.usable)
        if not len(test_index):  # no sample of the fold can be read; all of them count as wrong
            continue
        labels, groups = labels_of(train_split)[train_index], groups_of(train_split)[train_index]
        to_fit = TrainFeatures(train, train_index, labels, groups, evaluation.num_classes)
        ranked_SK[test_index], selection = classifier(to_fit, test, test_index)
        selections += [selection] if selection else []
    return classified(test_split, ranked_SK, failures, tuple(selections))


def readable_features(evaluation: Evaluation[Any]) -> tuple[list[SplitFeatures], dict[str, str]]:
    """Features of all passes, and the reason (by sample id) why a sample has none.

    Raises:
        ValueError: samples cannot be read and failures are not counted as wrong.
    """
    features = [evaluation.features(pass_) for pass_ in evaluation.passes]
    failures = {
        evaluation.split(pass_).samples[index].id: reason
        for pass_, found in zip(evaluation.passes, features, strict=True)
        for index, reason in found.failures.items()
    }
    require_readable(failures, evaluation.protocol)
    return features, failures


def classified(
    scored: Split, ranked_SK: np.ndarray, failures: Mapping[str, str], selections: tuple[Selection, ...] = ()
) -> Predictions:
    """Predictions of a protocol that ranks the classes for every sample of a split.

    Args:
        ranked_SK: the best classes of every sample in falling order.
        failures: sample id -> why it could not be read.
    """
    assert len(ranked_SK) == len(scored.samples), "predictions do not cover the split exactly"
    truth_S = labels_of(scored)
    arrays = {
        "ids": np.array(scored.ids),
        "groups": groups_of(scored),
        "truth": truth_S,
        "predicted": ranked_SK[:, 0],
        "ranked": ranked_SK,
        **({"fold": np.array(scored.folds)} if scored.folds else {}),
    }
    return Predictions(arrays, len(truth_S), failures, selections, {"chance": majority_share(truth_S)})


def majority_share(truth_S: np.ndarray) -> float:
    """Share of the most frequent class: the accuracy of always predicting it."""
    return float(np.bincount(truth_S).max() / len(truth_S))


def no_ranks(split: Split, num_classes: int) -> np.ndarray:
    """An array (S, K) for the best classes of every sample, filled with ``NO_PREDICTION``."""
    return np.full((len(split.samples), min(RANKED, num_classes)), NO_PREDICTION)


def folds(train: Split, test: Split) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Indices of training and of test samples: all at once, or fold by fold if both are the same split."""
    if train is not test:
        yield np.arange(len(train.samples)), np.arange(len(test.samples))
        return
    fold_S = np.array(test.folds)
    for number in np.unique(fold_S):
        yield np.flatnonzero(fold_S != number), np.flatnonzero(fold_S == number)


def labels_of(split: Split) -> np.ndarray:
    """Class indices of a split, (S,)."""
    return np.array([sample.label for sample in split.samples], np.int64)


def groups_of(split: Split) -> np.ndarray:
    """Group names of a split, (S,)."""
    return np.array([sample.group for sample in split.samples])
