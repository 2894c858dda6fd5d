"""Accuracies: hand-computed cases, invariance, and the released code's running mean as a counter-example."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sigma_bench.metrics.accuracy import mean_of_classes, top1


def mean_class_accuracy(truth, predicted):
    return mean_of_classes(np.unique(truth, return_inverse=True)[1], np.equal(truth, predicted))


label_pairs = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5)), min_size=1, max_size=40)


def test_top1_by_hand():
    assert top1([0, 1, 2, 2], [0, 1, 1, 2]) == 0.75


def test_mean_class_accuracy_by_hand():
    # class 0: 3 of 4, class 1: 0 of 1, class 7: 1 of 1; class 9 is predicted only and has no accuracy
    assert mean_class_accuracy([0, 0, 0, 0, 1, 7], [0, 0, 0, 9, 0, 7]) == pytest.approx((0.75 + 0 + 1) / 3)


def test_three_classes_right_and_three_wrong_give_exactly_one_half():
    # The released routine keeps one running mean through the classes and returns something else.
    truth = np.repeat(np.arange(6), 5)
    predicted = np.where(truth < 3, truth, (truth + 1) % 6)
    assert mean_class_accuracy(truth, predicted) == 0.5
    assert mean_class_accuracy(truth[::-1], predicted[::-1]) == 0.5


def test_labels_may_be_names():
    assert top1(["run", "jump"], ["run", "run"]) == 0.5
    assert mean_class_accuracy(["run", "jump"], ["run", "run"]) == 0.5


@settings(deadline=None)
@given(pairs=label_pairs, seed=st.integers(0, 2**32 - 1))
def test_the_order_of_samples_does_not_matter(pairs, seed):
    truth, predicted = np.array(pairs).T
    order = np.random.default_rng(seed).permutation(len(truth))
    assert top1(truth[order], predicted[order]) == top1(truth, predicted)
    assert mean_class_accuracy(truth[order], predicted[order]) == mean_class_accuracy(truth, predicted)


@settings(deadline=None)
@given(pairs=label_pairs)
def test_mean_class_accuracy_equals_a_plain_loop(pairs):
    of_class = {label: [p == label for t, p in pairs if t == label] for label in {t for t, _ in pairs}}
    expected = sum(sum(hits) / len(hits) for hits in of_class.values()) / len(of_class)
    truth, predicted = np.array(pairs).T
    assert mean_class_accuracy(truth, predicted) == pytest.approx(expected, abs=1e-12)


@settings(deadline=None)
@given(hits=st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=6))
def test_both_agree_when_classes_are_balanced(hits):
    truth = np.repeat(np.arange(len(hits)), 3)
    predicted = np.where(np.concatenate(hits), truth, -1)
    assert mean_class_accuracy(truth, predicted) == pytest.approx(top1(truth, predicted), abs=1e-12)


@pytest.mark.parametrize(
    ("truth", "predicted", "message"),
    [
        ([0, 1], [0], "one label per sample"),
        ([0, 1, 2], [[0], [1], [2]], "one label per sample"),
        ([[0, 1]], [[0, 1]], "one label per sample"),
        ([], [], "no sample"),
    ],
)
def test_bad_input_is_refused(truth, predicted, message):
    with pytest.raises(ValueError, match=message):
        top1(truth, predicted)
