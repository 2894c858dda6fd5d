"""The clustered bootstrap: units stay whole, intervals cover, and a thousand replicates are quick."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sigma_bench.metrics.uncertainty import bootstrap_interval


def mean_of(values):
    return lambda index: float(values[index].mean())


def interval(values, units, level=0.95, replicates=500, seed=0):
    return bootstrap_interval(
        mean_of(values), units, level=level, replicates=replicates, rng=np.random.default_rng(seed)
    )


def test_a_constant_has_no_spread():
    assert interval(np.full(10, 0.25), np.arange(10)) == (0.25, 0.25, 10)


def test_two_units_by_hand():
    # Resamples of {0, 1} have mean 0, 1/2 or 1 with probability 1/4, 1/2, 1/4.
    values = np.array([0.0, 1.0])
    assert interval(values, ["a", "b"], level=0.8, replicates=2000) == (0.0, 1.0, 2)
    assert interval(values, ["a", "b"], level=0.4, replicates=2000) == (0.5, 0.5, 2)


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


def test_the_interval_covers_about_as_often_as_it_says():
    rng = np.random.default_rng(4)
    covered = 0
    for trial in range(200):
        values = rng.random(60)
        low, high, _ = interval(values, np.arange(60), level=0.9, replicates=200, seed=trial)
        covered += low <= 0.5 <= high
    assert 0.83 <= covered / 200 <= 0.96


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
