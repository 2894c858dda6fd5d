"""Counting metrics by hand, and the constant predictor of UCFRep."""

import numpy as np
import pytest

from sigma_bench.metrics.counting import NO_COUNT, best_constant, counting_error, off_by_one
from sigma_bench.protocols.counting.scores import METRICS


def test_by_hand() -> None:
    """Off by 1 of 4, 3 of 2, 0 of 5: (0.25 + 1.5 + 0) / 3; one is off by more than one."""
    truth, predicted = np.array([4, 2, 5]), np.array([3, 5, 5])
    assert counting_error(truth, predicted) == pytest.approx(1.75 / 3)
    assert off_by_one(truth, predicted) == pytest.approx(2 / 3)


@pytest.mark.parametrize("truth", [1, 2, 7])
def test_a_video_without_a_count_is_wrong_under_both_metrics(truth: int) -> None:
    stored = {"truth": np.array([truth]), "predicted": np.array([NO_COUNT])}
    assert off_by_one(stored["truth"], stored["predicted"]) == 0
    assert counting_error(stored["truth"], stored["predicted"]) == 1
    for name, value in (("off_by_one", 0), ("counting_error", 1)):
        assert METRICS[name].statistic(stored, np.array([0])) == METRICS[name].of_sample(stored) == value


def test_an_error_is_better_when_lower_and_an_accuracy_when_higher() -> None:
    stored = {"truth": np.array([4, 2, 5]), "predicted": np.array([3, 5, 5])}
    assert not METRICS["counting_error"].higher_is_better
    assert METRICS["off_by_one"].higher_is_better
    assert METRICS["counting_error"].statistic(stored, np.array([0, 2])) == pytest.approx(0.125)


def test_small_counts_weigh_more_in_the_best_constant() -> None:
    """Errors of always 2: (0 + 3/5) / 2 = 0.3; of always 5: (3/2 + 0) / 2 = 0.75."""
    assert best_constant(np.array([2, 5])) == 2


VALIDATION = {2: 16, 3: 20, 4: 11, 5: 15, 6: 3, 7: 4, 8: 3, 9: 6, 10: 5, 11: 4, 12: 4, 13: 4, 14: 3} | dict.fromkeys(
    (16, 17, 18, 23, 25, 28, 32), 1
)
"""How many of UCFRep's 105 validation videos have so many repetitions (counted in its annotations)."""


def test_always_three_on_ucfrep_as_published() -> None:
    truth = np.repeat(list(VALIDATION), list(VALIDATION.values()))
    always = np.full_like(truth, 3)
    assert (len(truth), truth.sum(), best_constant(truth)) == (105, 730, 3)
    assert round(counting_error(truth, always), 4) == 0.4502
    assert round(off_by_one(truth, always), 3) == 0.448
