"""Matching rules: hand-computed cases, and Hungarian against every possible assignment."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sigma_bench.metrics.matching import NO_LABEL, hungarian_by_iou, iou_matrix, majority_by_precision


def confusions(max_labels=4, max_clusters=6):
    shape = st.tuples(st.integers(1, max_labels), st.integers(1, max_clusters))
    return shape.flatmap(lambda s: hnp.arrays(np.int64, s, elements=st.integers(0, 9)))


def test_iou_by_hand():
    # label 0 has 10 pixels, label 1 has 10; cluster 0 has 12, cluster 1 has 8
    iou = iou_matrix(np.array([[8, 2], [4, 6]]))
    np.testing.assert_allclose(iou, [[8 / 14, 2 / 16], [4 / 18, 6 / 12]])


def test_hungarian_is_not_greedy():
    # Greedy would give cluster 0 to label 0 (its best); the best sum crosses over.
    confusion = np.array([[60, 20], [40, 0]])
    iou = iou_matrix(confusion)
    assert iou[0, 0] == iou.max()
    np.testing.assert_array_equal(hungarian_by_iou(confusion), [1, 0])


def test_clusters_left_over_become_background():
    confusion = np.array([[50, 0, 6, 5], [0, 40, 0, 1]])
    np.testing.assert_array_equal(hungarian_by_iou(confusion), [0, 1, 0, 0])
    np.testing.assert_array_equal(hungarian_by_iou(confusion, leftover_index=NO_LABEL), [0, 1, -1, -1])


def test_labels_left_over_get_no_cluster():
    np.testing.assert_array_equal(hungarian_by_iou(np.array([[5], [9], [1]])), [1])


def test_majority_takes_the_label_with_most_pixels_and_the_lowest_at_a_tie():
    confusion = np.array([[4, 3, 0], [4, 1, 2], [1, 9, 2]])
    np.testing.assert_array_equal(majority_by_precision(confusion), [0, 2, 1])


@settings(deadline=None)
@given(confusion=confusions())
def test_hungarian_reaches_the_best_sum_of_all_assignments(confusion):
    iou = iou_matrix(confusion)
    num_labels, num_clusters = iou.shape
    short, long = sorted(iou.shape)
    oriented = iou if num_labels <= num_clusters else iou.T
    sums = [sum(oriented[i, j] for i, j in enumerate(chosen)) for chosen in permutations(range(long), short)]
    label = hungarian_by_iou(confusion, leftover_index=NO_LABEL)
    matched = label != NO_LABEL
    assert matched.sum() == short
    assert len(set(label[matched])) == matched.sum()
    assert iou[label[matched], np.flatnonzero(matched)].sum() == pytest.approx(max(sums), abs=1e-12)


@settings(deadline=None)
@given(confusion=confusions())
def test_majority_equals_the_highest_precision(confusion):
    for cluster, chosen in enumerate(majority_by_precision(confusion)):
        size = confusion[:, cluster].sum()
        precision = confusion[:, cluster] / max(size, 1)
        assert chosen == min(g for g in range(len(precision)) if precision[g] == precision.max())


@pytest.mark.parametrize("rule", [hungarian_by_iou, majority_by_precision])
@pytest.mark.parametrize("confusion", [np.zeros((0, 3), int), np.array([[-1, 2]]), np.array([1, 2])])
def test_what_is_no_confusion_is_refused(rule, confusion):
    with pytest.raises(ValueError, match="matrix of non-negative counts"):
        rule(confusion)
