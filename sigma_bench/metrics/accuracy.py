"""Accuracy of hard predictions: over samples, and over classes.

The mean over classes is the mean of the accuracies of the classes that occur in the truth.  The released evaluation of
SIGMA keeps one running mean through all classes, which gives the last classes the largest weights, so its value is not
comparable with this one.

Shapes: S samples, C classes.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def top1(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Share of samples whose predicted label is the true one, a fraction.

    Args:
        truth: true labels, (S,); numbers or names.
        predicted: predicted labels, (S,), in the same order.

    Raises:
        ValueError: different lengths, more than one axis, or no sample at all.
    """
    return float(_hits(truth, predicted).mean())


def topk(truth: ArrayLike, ranked_SK: ArrayLike, k: int) -> float:
    """Share of samples whose true label is among the ``k`` best, a fraction.

    Args:
        truth: true labels, (S,).
        ranked_SK: predicted labels, the best first, (S, K) with K >= k or K the number of classes.

    Raises:
        ValueError: different lengths, or no sample at all.
    """
    truth_S, label_SK = np.asarray(truth), np.asarray(ranked_SK)
    if label_SK.ndim != 2 or len(label_SK) != len(truth_S) or not truth_S.size:
        raise ValueError(f"truth has shape {truth_S.shape} and ranked labels have {label_SK.shape}; give one row each")
    return float((label_SK[:, :k] == truth_S[:, None]).any(1).mean())


def mean_of_classes(class_S: NDArray[np.intp], hit_S: NDArray[np.bool_]) -> float:
    """Mean class accuracy: the mean, over the classes that occur, of their share of hits, a fraction.

    Args:
        class_S: true class of every sample, numbered from 0; numbers that do not occur are not averaged.
        hit_S: whether the prediction of the sample is correct.
    """
    size_C = np.bincount(class_S)
    is_present_C = size_C > 0
    return float(np.mean(np.bincount(class_S, weights=hit_S)[is_present_C] / size_C[is_present_C]))


def _hits(truth: ArrayLike, predicted: ArrayLike) -> NDArray[np.bool_]:
    truth_S, predicted_S = np.asarray(truth), np.asarray(predicted)
    if truth_S.ndim != 1 or truth_S.shape != predicted_S.shape:
        raise ValueError(
            f"truth has shape {truth_S.shape} and predictions have {predicted_S.shape}; "
            "give one label per sample in both, in the same order"
        )
    if not truth_S.size:
        raise ValueError("there is no sample to score; accuracy of nothing is undefined")
    hit_S: NDArray[np.bool_] = np.equal(truth_S, predicted_S)
    return hit_S
