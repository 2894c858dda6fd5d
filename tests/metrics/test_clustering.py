"""Cluster measures: permuted labels, numbers by hand, all assignments tried, scikit-learn's contingency."""

from itertools import permutations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from sigma_bench.metrics.accuracy import top1
from sigma_bench.metrics.clustering import ari, hungarian_labels, majority_labels, nmi

TRUTH = np.array([0, 0, 0, 1, 1, 1, 2, 2])
CLUSTER = np.array([5, 5, 7, 7, 7, 7, 9, 5])


def test_permuted_labels_are_perfect() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 12, 400)
    cluster = rng.permutation(12)[truth]
    assert np.array_equal(hungarian_labels(truth, cluster), truth)
    assert np.array_equal(majority_labels(truth, cluster), truth)
    assert nmi(truth, cluster) == pytest.approx(1)
    assert ari(truth, cluster) == pytest.approx(1)


def test_by_hand() -> None:
    """Cluster 5 holds 0 0 2, cluster 7 holds 0 1 1 1, cluster 9 holds 2: six right either way."""
    assert hungarian_labels(TRUTH, CLUSTER).tolist() == [0, 0, 1, 1, 1, 1, 2, 0]
    assert top1(TRUTH, majority_labels(TRUTH, CLUSTER)) == 6 / 8
    # Pairs together in both 1 + 3 = 4, in truth 3 + 3 + 1 = 7, in clusters 3 + 6 = 9, of 28; expected 63 / 28 = 2.25.
    assert ari(TRUTH, CLUSTER) == pytest.approx((4 - 2.25) / (8 - 2.25))


def test_nmi_by_its_definition() -> None:
    joint = np.array([[2, 1, 0], [0, 3, 0], [1, 0, 1]]) / 8
    p, q = joint.sum(1, keepdims=True), joint.sum(0, keepdims=True)
    there = joint > 0
    mutual = (joint[there] * np.log((joint / (p * q))[there])).sum()
    entropies = [-(x * np.log(x)).sum() for x in (p, q)]
    assert nmi(TRUTH, CLUSTER) == pytest.approx(mutual / np.mean(entropies))


@pytest.mark.parametrize(("measure", "other"), [(nmi, normalized_mutual_info_score), (ari, adjusted_rand_score)])
def test_the_measures_are_those_of_scikit_learn(measure, other) -> None:  # type: ignore[no-untyped-def]
    """Also for one class, one cluster, one sample, and labels with gaps."""
    rng = np.random.default_rng(0)
    for number in range(100):
        size, classes, clusters = rng.integers(1, (40, 5, 8))
        truth, cluster = 3 * rng.integers(0, classes, size), rng.integers(0, clusters, size)
        cluster = truth if number % 10 == 0 else cluster
        assert measure(truth, cluster) == pytest.approx(other(truth, cluster), abs=1e-12)


@pytest.mark.parametrize("num_clusters", [3, 4, 5])
def test_no_assignment_gets_more_right(num_clusters: int) -> None:
    """Fewer, as many and more clusters than classes, all one-to-one assignments tried."""
    rng = np.random.default_rng(num_clusters)
    for _ in range(20):
        truth, cluster = rng.integers(0, 4, 30), rng.integers(0, num_clusters, 30)
        names = [*range(4), *[-1] * max(0, num_clusters - 4)]
        best = max(np.mean(np.array(p)[cluster] == truth) for p in permutations(names, num_clusters))
        assert top1(truth, hungarian_labels(truth, cluster)) == best


def test_clusters_without_a_partner_are_never_right() -> None:
    truth, cluster = np.zeros(6, int), np.arange(6)
    assert sorted(hungarian_labels(truth, cluster).tolist()) == [-1, -1, -1, -1, -1, 0]
    assert majority_labels(truth, cluster).tolist() == [0] * 6


@pytest.mark.parametrize("measure", [nmi, ari])
def test_samples_without_a_cluster_lower_every_measure(measure) -> None:  # type: ignore[no-untyped-def]
    """The samples without a cluster belong to one class, so that as one more cluster they would be a perfect one."""
    lost = np.where(TRUTH == 2, -1, CLUSTER)
    whole = measure(TRUTH[:6], CLUSTER[:6])
    assert measure(TRUTH, lost) == pytest.approx(whole * 6 / 8)
    assert measure(TRUTH, TRUTH) == pytest.approx(1) and measure(TRUTH, np.where(TRUTH == 2, -1, TRUTH)) == 6 / 8
    assert measure(TRUTH, np.full(8, -1)) == 0


def test_an_index_below_chance_does_not_rise_by_samples_without_a_cluster() -> None:
    truth, cluster = np.array([0, 0, 1, 1, 0]), np.array([0, 1, 0, 1, -1])
    assert ari(truth, cluster) == ari(truth[:4], cluster[:4]) < 0


def test_nothing_to_score_is_refused() -> None:
    with pytest.raises(ValueError, match="give one per sample"):
        hungarian_labels(np.array([], int), np.array([], int))
