"""The clustered bootstrap: units stay whole, intervals cover, and a thousand replicates are quick."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sigma_bench.metrics.uncertainty import Resampling, bootstrap_interval, interval_ends


def mean_of(values):
    return lambda index: float(values[index].mean())


def interval(values, units, level=0.95, replicates=500, seed=0, method="bootstrap"):
    rng = np.random.default_rng(seed)
    return bootstrap_interval(mean_of(values), units, level=level, replicates=replicates, rng=rng, method=method)


def test_a_constant_has_no_spread():
    assert interval(np.full(10, 0.25), np.arange(10)) == (0.25, 0.25, 10)


def test_two_units_by_hand():
    # Resamples of {0, 1} have mean 0, 1/2 or 1 with probability 1/4, 1/2, 1/4.
    values = np.array([0.0, 1.0])
    assert interval(values, ["a", "b"], level=0.8, replicates=2000, method="percentile") == (0.0, 1.0, 2)
    assert interval(values, ["a", "b"], level=0.4, replicates=2000, method="percentile") == (0.5, 0.5, 2)
    # Student's t with one degree of freedom has its 30 % quantile at -tan(36 degrees) = -0.7265; times sqrt(2) that is
    # the 15.2 % quantile of the normal distribution, where the mean is still 0.
    assert interval(values, ["a", "b"], level=0.4, replicates=2000) == (0.0, 1.0, 2)


def test_the_expanded_interval_has_the_width_of_students_t():
    # Replicates of a mean are nearly normal with standard deviation s * sqrt((n - 1) / n) / sqrt(n).
    values = np.random.default_rng(2).normal(size=12)
    low, high, _ = interval(values, np.arange(12), replicates=20_000)
    t = 2.200985  # 97.5 % quantile, 11 degrees of freedom, from a printed table
    assert high - low == pytest.approx(2 * t * values.std(ddof=1) / np.sqrt(12), rel=0.04)


def test_a_centred_interval_lies_round_the_value():
    """The share of samples drawn again is 0 in the data and about 1/e in a resample."""

    def share_drawn_again(index):
        return 1 - len(np.unique(index)) / len(index)

    def ends(method):
        rng = np.random.default_rng(0)
        return bootstrap_interval(share_drawn_again, np.arange(50), level=0.9, replicates=2000, rng=rng, method=method)

    low, high, _ = ends("bootstrap")
    assert low < 1 / np.e < high and low > 0.2
    centred_low, centred_high, _ = ends("centred_bootstrap")
    assert centred_low < 0 < centred_high
    assert centred_high - centred_low == pytest.approx(high - low)


def test_with_many_units_both_are_one():
    values = np.random.default_rng(2).normal(size=5000)
    wide, plain = interval(values, np.arange(5000)), interval(values, np.arange(5000), method="percentile")
    assert wide[:2] == pytest.approx(plain[:2], abs=1e-4)


@settings(deadline=None, max_examples=50)
@given(units=st.lists(st.integers(0, 5), min_size=2, max_size=30).filter(lambda u: len(set(u)) > 1))
def test_all_samples_of_a_drawn_unit_come_along(units):
    units = np.array(units)
    size = {unit: (units == unit).sum() for unit in set(units)}

    def record(index):
        times_drawn = {unit: (units[index] == unit).sum() / size[unit] for unit in size}
        assert all(value == int(value) for value in times_drawn.values())
        assert sum(times_drawn.values()) == len(size)
        for sample in range(len(units)):
            assert (index == sample).sum() == times_drawn[units[sample]]
        return 0.0

    bootstrap_interval(record, units, level=0.9, replicates=5, rng=np.random.default_rng(1))


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_order_of_samples_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    values, units = rng.random(40), rng.integers(0, 8, 40)
    units[:2] = 0, 1
    order = rng.permutation(40)
    shuffled = interval(values[order], units[order], replicates=50)
    assert shuffled == pytest.approx(interval(values, units, replicates=50), abs=1e-12)


def test_groups_of_equal_samples_widen_the_interval():
    rng = np.random.default_rng(3)
    values = rng.integers(0, 2, 20).astype(float).repeat(25)
    low, high, num_units = interval(values, np.arange(20).repeat(25))
    naive_low, naive_high, _ = interval(values, np.arange(500))
    assert num_units == 20
    assert high - low > 3 * (naive_high - naive_low)


def coverage(values_SD, units, truth, method="bootstrap", replicates=1000):
    """Share of data sets, one per column, whose 95 % interval for the mean holds the truth."""
    resampling = Resampling(units, replicates=replicates, rng=np.random.default_rng(1))
    means_RD = resampling.means(values_SD)
    ends = [interval_ends(mean_R, num_units=resampling.num_units, level=0.95, method=method) for mean_R in means_RD.T]
    return np.mean([low <= truth + 1e-12 and truth <= high + 1e-12 for low, high in ends])


def clustered(rng, num_units, num_draws=2000):
    """Right or wrong answers on five clips of each video; some videos are easy, some are hard."""
    easy_UD = rng.beta(2, 2, (num_units, num_draws)).repeat(5, axis=0)
    return rng.random(easy_UD.shape) < easy_UD


@pytest.mark.parametrize("num_units", [15, 100])
def test_intervals_cover_as_often_as_they_say_in_2000_draws(num_units):
    rng = np.random.default_rng(num_units)
    assert coverage(rng.beta(2, 2, (num_units, 2000)), np.arange(num_units), 0.5) == pytest.approx(0.95, abs=0.015)
    units = np.arange(num_units).repeat(5)
    values_SD = clustered(rng, num_units)
    assert coverage(values_SD, units, 0.5) == pytest.approx(0.95, abs=0.015)
    assert coverage(values_SD, np.arange(len(units)), 0.5) < 0.9  # what ignoring the videos would do


def test_the_plain_percentile_interval_of_eight_videos_is_too_narrow_and_ours_is_not():
    values_SD, units = clustered(np.random.default_rng(8), 8), np.arange(8).repeat(5)
    assert coverage(values_SD, units, 0.5, method="percentile") < 0.935
    assert coverage(values_SD, units, 0.5) == pytest.approx(0.95, abs=0.015)


def test_means_are_values_of_the_mean():
    rng = np.random.default_rng(9)
    values, units = rng.random((40, 3)), rng.integers(0, 9, 40)
    resampling = Resampling(units, replicates=30, rng=rng)
    fast_RX = resampling.means(values)
    for column in range(3):
        np.testing.assert_allclose(fast_RX[:, column], resampling.values(mean_of(values[:, column])), atol=1e-12)
    np.testing.assert_array_equal(resampling.means(values), fast_RX)


def test_the_same_generator_state_gives_the_same_interval():
    values = np.random.default_rng(5).random(30)
    assert interval(values, np.arange(30), seed=6) == interval(values, np.arange(30), seed=6)
    assert interval(values, np.arange(30), seed=6) != interval(values, np.arange(30), seed=7)


def test_a_thousand_replicates_of_four_thousand_samples_take_less_than_a_second():
    values = np.random.default_rng(8).random(4000)
    units = np.arange(4000) // 3
    start = time.process_time()
    interval(values, units, replicates=1000)
    assert time.process_time() - start < 1.0


@pytest.mark.parametrize("units", [[], ["a"], ["a", "a", "a"]])
def test_fewer_than_two_units_are_refused(units):
    with pytest.raises(ValueError, match="at least two independent units"):
        interval(np.zeros(len(units)), units)


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_a_level_outside_is_refused(level):
    with pytest.raises(ValueError, match="between 0 and 1"):
        interval(np.zeros(4), np.arange(4), level=level)


def test_no_replicate_is_refused():
    with pytest.raises(ValueError, match="at least one replicate"):
        interval(np.zeros(4), np.arange(4), replicates=0)
