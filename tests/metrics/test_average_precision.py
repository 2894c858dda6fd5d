"""Average precision against scikit-learn, by hand, and under resampling."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from sigma_bench.metrics.average_precision import average_precisions, mean_average_precision, rank


def test_by_hand() -> None:
    truth_SL = np.array([[1, 0], [0, 0], [1, 0], [0, 0]])
    score_SL = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.1, 0.4]])
    everything = np.arange(4)
    average_L = average_precisions(rank(truth_SL, score_SL), everything)
    assert average_L[0] == pytest.approx((1 + 2 / 3) / 2)
    assert np.isnan(average_L[1])
    assert mean_average_precision(rank(truth_SL, score_SL), everything) == pytest.approx(5 / 6)


def test_scikit_learn_agrees_with_ties_and_repeated_samples() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        num_samples, num_classes = rng.integers(2, 30), rng.integers(1, 6)
        truth_SL = rng.random((num_samples, num_classes)) < 0.4
        truth_SL[0] = True
        score_SL = np.round(rng.random((num_samples, num_classes)), 1)
        index = np.append(rng.integers(num_samples, size=num_samples), 0)
        expected = [average_precision_score(truth_SL[index, c], score_SL[index, c]) for c in range(num_classes)]
        ranking = rank(truth_SL, score_SL)
        np.testing.assert_allclose(average_precisions(ranking, index), expected, rtol=1e-12)
        assert mean_average_precision(ranking, index) == pytest.approx(np.mean(expected), rel=1e-12)


def test_equal_scores_give_the_share_of_positives() -> None:
    truth_SL = np.array([[True], [False], [False], [False]])
    assert mean_average_precision(rank(truth_SL, np.zeros((4, 1))), np.arange(4)) == 0.25


def test_what_cannot_be_scored_is_said() -> None:
    with pytest.raises(ValueError, match="no class has a positive sample"):
        rank(np.zeros((3, 2), bool), np.zeros((3, 2)))
    with pytest.raises(ValueError, match="needs finite scores"):
        rank(np.ones((3, 2), bool), np.full((3, 2), np.nan))
    with pytest.raises(ValueError, match=r"labels have shape \(3, 2\), scores have \(3, 1\)"):
        rank(np.ones((3, 2), bool), np.zeros((3, 1)))
    one = rank(np.array([[True], [False]]), np.zeros((2, 1)))
    with pytest.raises(ValueError, match="no class has a positive sample"):
        mean_average_precision(one, np.array([1, 1]))
