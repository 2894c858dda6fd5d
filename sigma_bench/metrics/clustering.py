"""Agreement of clusters of samples with their classes.

The measures are the accuracy after the one-to-one assignment with the most correct samples (Hungarian matching), the
accuracy after each cluster is assigned its most frequent class (purity), and two measures that need no assignment.  The
released code of SIGMA has none of them for clips.

Shapes: S samples, G classes present, P clusters present, N pairs of a class and a cluster with common samples.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy  # a module of it is loaded when it is used
from numpy.typing import NDArray

from sigma_bench.metrics.matching import NO_LABEL

Labels = NDArray[np.integer]


def hungarian_labels(truth_S: Labels, cluster_S: Labels) -> Labels:
    """Class that each sample's cluster is matched to one-to-one, (S,), so that as many samples as possible are right.

    If there are more clusters than classes, some clusters have no class (``NO_LABEL``).  If there are fewer, some
    classes have no cluster.

    Raises:
        ValueError: different lengths, or no sample.
    """
    class_G, count_GP, place_S = _counts(truth_S, cluster_S)
    rows, columns = scipy.optimize.linear_sum_assignment(count_GP, maximize=True)
    label_P = np.full(count_GP.shape[1], NO_LABEL, dtype=np.int64)
    label_P[columns] = class_G[rows]
    return label_P[place_S]


def majority_labels(truth_S: Labels, cluster_S: Labels) -> Labels:
    """Most frequent class of each sample's cluster, (S,); on a tie the lowest.  Several clusters may share a class.

    Raises:
        ValueError: different lengths, or no sample.
    """
    class_G, count_GP, place_S = _counts(truth_S, cluster_S)
    label_S: Labels = class_G[count_GP.argmax(0)][place_S]
    return label_S


def nmi(truth_S: Labels, cluster_S: Labels) -> float:
    """Mutual information over the arithmetic mean of both entropies, 0 to 1.

    The same as scikit-learn's ``normalized_mutual_info_score`` up to rounding.  It takes a small part of the time for
    the thousands of small resamples of an interval.  Samples without a cluster (``NO_LABEL``) count as wrong, see
    ``_of_clustered``.
    """
    return _of_clustered(_nmi, truth_S, cluster_S)


def ari(truth_S: Labels, cluster_S: Labels) -> float:
    """Rand index adjusted for chance (Hubert and Arabie 1985): 0 in expectation for random clusters, at most 1.

    The same as scikit-learn's ``adjusted_rand_score``.  Samples without a cluster (``NO_LABEL``) count as wrong, see
    ``_of_clustered``.
    """
    return _of_clustered(_ari, truth_S, cluster_S)


class _Sizes(NamedTuple):
    """Number of samples of each class, of each cluster, and of each class in each cluster, without zeros."""

    class_G: NDArray[np.intp]
    cluster_P: NDArray[np.intp]
    common_N: NDArray[np.intp]
    expected_N: NDArray[np.float64]
    """Product of the sizes of class and cluster over the number of samples."""


def _of_clustered(measure: Callable[[_Sizes], float], truth_S: Labels, cluster_S: Labels) -> float:
    """A measure of the samples that have a cluster, times their share of all samples if it is positive.

    Accuracy behaves in the same way, because it counts such samples as wrong.  If they were treated as one more
    cluster, they would raise both measures where most of them belong to one class.
    """
    has_cluster_S = cluster_S != NO_LABEL
    if not has_cluster_S.any():
        return 0.0
    value = measure(_sizes(truth_S[has_cluster_S], cluster_S[has_cluster_S]))
    return value * float(has_cluster_S.mean()) if value > 0 else value


def _sizes(truth_S: Labels, cluster_S: Labels) -> _Sizes:
    class_G, cluster_P = np.bincount(truth_S), np.bincount(cluster_S)
    common = np.bincount(truth_S.astype(np.int64) * len(cluster_P) + cluster_S)
    place_N = np.flatnonzero(common)
    expected_N = class_G[place_N // len(cluster_P)] * (cluster_P[place_N % len(cluster_P)] / len(truth_S))
    return _Sizes(class_G[class_G > 0], cluster_P[cluster_P > 0], common[place_N], expected_N)


def _nmi(sizes: _Sizes) -> float:
    if len(sizes.class_G) == len(sizes.cluster_P) == 1:
        return 1.0
    num_samples = sizes.class_G.sum()
    mutual = float((sizes.common_N * np.log(sizes.common_N / sizes.expected_N)).sum()) / num_samples
    entropies = [-float((size * np.log(size / num_samples)).sum()) / num_samples for size in sizes[:2]]
    return mutual / (sum(entropies) / 2) if mutual > np.finfo(float).eps else 0.0


def _ari(sizes: _Sizes) -> float:
    num_samples, *pairs = int(sizes.class_G.sum()), *(int((size**2).sum()) for size in sizes[:3])
    of_class, of_cluster, of_both = pairs  # ordered pairs of samples, each sample with itself included
    if of_class == of_cluster == of_both:
        return 1.0
    chance = (of_class - num_samples) * (of_cluster - num_samples) / (num_samples * (num_samples - 1))
    return (of_both - num_samples - chance) / ((of_class + of_cluster) / 2 - num_samples - chance)


def _counts(truth_S: Labels, cluster_S: Labels) -> tuple[Labels, Labels, NDArray[np.intp]]:
    """Classes present, samples of each class in each cluster (G, P), and the cluster's place of every sample."""
    if truth_S.ndim != 1 or truth_S.shape != cluster_S.shape or not truth_S.size:
        raise ValueError(f"truth has shape {truth_S.shape} and clusters have {cluster_S.shape}; give one per sample")
    class_G, row_S = np.unique(truth_S, return_inverse=True)
    cluster_P, place_S = np.unique(cluster_S, return_inverse=True)
    count_GP = np.zeros((len(class_G), len(cluster_P)), np.int64)
    np.add.at(count_GP, (row_S, place_S), 1)
    return class_G, count_GP, place_S
