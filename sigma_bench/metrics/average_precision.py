"""Average precision of several labels per sample, as defined by scikit-learn, fast enough for a bootstrap.

Average precision is the precision at every positive, averaged over the positives of a class; samples with equal scores
are taken together.  Scores are sorted once, because a resample only changes how often each sample counts.

Average precision is higher on a smaller test set: in simulation (10 labels, a quarter of the samples positive) 0.426 in
the limit, 0.442 on 300 samples, 0.483 on 60.  Its centred bootstrap interval refers to test sets of the same size:
it covers their expected score in 93 to 94 % of the draws instead of 95 %.  Only scores of one test set can be compared.

Shapes: S samples, L classes, P positives (class by class, from the highest score to the lowest).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sigma_bench.metrics.uncertainty import SampleIndex

Index = NDArray[np.intp]


@dataclass(frozen=True)
class Ranking:
    """The samples of every class from the highest score to the lowest, classes one after the other."""

    num_samples: int
    num_classes: int
    sample: Index
    """(L x S,)"""
    sample_P: Index
    class_P: Index
    last_equal_P: Index
    """Place in ``sample`` of the last sample that has the positive's score."""


def rank(truth_SL: NDArray[Any], score_SL: NDArray[Any]) -> Ranking:
    """Sort the samples of each class once for all resamples.

    Args:
        truth_SL: whether a sample has a label.
        score_SL: finite; higher means more likely.

    Raises:
        ValueError: different shapes, scores that are not finite, or no positive at all.
    """
    if truth_SL.shape != score_SL.shape or truth_SL.ndim != 2:
        raise ValueError(f"labels have shape {truth_SL.shape}, scores have {score_SL.shape}; give (samples, classes)")
    if not np.isfinite(score_SL).all():
        raise ValueError("average precision needs finite scores; some are not")
    if not truth_SL.any():
        raise ValueError("no class has a positive sample; average precision of nothing is undefined")
    num_samples, num_classes = score_SL.shape
    sample_LS = np.argsort(-score_SL, axis=0, kind="stable").T
    score_LS = np.take_along_axis(score_SL.T, sample_LS, 1)
    is_last_LS = np.ones((num_classes, num_samples), bool)
    is_last_LS[:, :-1] = score_LS[:, 1:] != score_LS[:, :-1]
    last = np.flatnonzero(is_last_LS)
    place_P = np.flatnonzero(np.take_along_axis(truth_SL.T, sample_LS, 1))
    return Ranking(
        num_samples=num_samples,
        num_classes=num_classes,
        sample=sample_LS.ravel(),
        sample_P=sample_LS.ravel()[place_P],
        class_P=place_P // num_samples,
        last_equal_P=last[np.searchsorted(last, place_P)],
    )


def average_precisions(ranking: Ranking, index: SampleIndex) -> NDArray[np.float64]:
    """Average precision of each class on the samples with these indices, (L,); NaN if none of them is positive."""
    count_S = np.bincount(index, minlength=ranking.num_samples)
    class_P, last_P = ranking.class_P, ranking.last_equal_P
    seen_P = count_S[ranking.sample].cumsum()[last_P] - class_P * len(index)
    weight_P = count_S[ranking.sample_P]
    found = np.concatenate([[0], weight_P.cumsum()])
    found_P = found[np.searchsorted(last_P, last_P, "right")] - found[np.searchsorted(class_P, class_P)]
    precision_P = found_P / np.maximum(seen_P, 1)
    total_L, number_L = (
        np.bincount(class_P, weights, ranking.num_classes) for weights in (precision_P * weight_P, weight_P)
    )
    average_L: NDArray[np.float64] = np.full(ranking.num_classes, np.nan)
    np.divide(total_L, number_L, out=average_L, where=number_L > 0)
    return average_L


def mean_average_precision(ranking: Ranking, index: SampleIndex) -> float:
    """Mean over the classes that have a positive among these samples, a fraction.

    Raises:
        ValueError: no class has a positive sample.
    """
    average_L = average_precisions(ranking, index)
    if np.isnan(average_L).all():
        raise ValueError("no class has a positive sample; average precision of nothing is undefined")
    return float(np.nanmean(average_L))
