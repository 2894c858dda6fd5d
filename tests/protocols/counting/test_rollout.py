"""Roll-outs: initial states, steps, and new starts."""

import numpy as np

from sigma_bench.data.annotations import CycleBounds
from sigma_bench.protocols.counting.frames import half_lengths
from sigma_bench.protocols.counting.rollout import advanced, initial_states
from sigma_bench.protocols.counting.segments import Segment
from sigma_bench.protocols.counting.spec import CountingProtocol
from sigma_bench.specs.catalogue import load_task, resolve


def protocol() -> CountingProtocol:
    found = resolve(load_task("ucfrep/counting")).protocol
    assert isinstance(found, CountingProtocol)
    return found


def segment(period: int, count: int) -> Segment:
    return Segment(0, CycleBounds(tuple(range(0, period * count + 1, period))), 0, period * count + 1, float(period))


def test_beginnings_are_whole_states_inside_the_first_half() -> None:
    for one in (segment(10, 6), segment(40, 2), segment(4, 2), segment(30, 9)):
        state_S3 = initial_states([one] * 500, protocol(), np.random.default_rng(0))
        left, middle, right = state_S3.T
        assert state_S3.dtype.kind == "i"
        assert (left >= 0).all() and (left <= middle).all() and (middle < right).all()
        assert (right < one.num_frames).all() and (2 * middle + 1 < one.num_frames).all()
        length_S2 = half_lengths(state_S3)
        assert (length_S2[:, 0] == length_S2[:, 1]).all(), "both sides begin equally long"


def test_a_quarter_of_beginnings_is_near_half_one_or_two_cycles() -> None:
    """By hand: of 100-frame cycles, those between 45..55, 90..110 and 180..220 hold the second kind whole.

    The first kind is log-uniform over 50..200 and the third geometric over 30..350 of 1001 frames, so outside of
    25..250 there is only the third: k of 30 scales with 0.03 (0.35/0.03)^(k/29) above 0.25 are k = 26..29.
    """
    state_S3 = initial_states([segment(100, 10)] * 4000, protocol(), np.random.default_rng(1))
    length_S = half_lengths(state_S3)[:, 0]
    assert 0.5 * 4 / 30 - 0.03 < (length_S > 250).mean() < 0.5 * 4 / 30 + 0.03
    near = sum(((0.94 * one < length_S) & (length_S < 1.06 * one)).mean() for one in (50, 100, 200))
    assert near > 0.25


def test_the_middle_moves_on_by_a_twentieth_to_a_fifth_and_lengths_change_as_told() -> None:
    one = segment(10, 20)
    state_S3 = np.tile([20, 29, 44], (300, 1))
    new_S3, is_through_S = advanced(state_S3, np.tile([2.0, 0.8], (300, 1)), [one] * 300, protocol(), rng())
    stride_S = new_S3[:, 1] - 29
    assert (stride_S.min(), stride_S.max()) == (10, 40), "201 frames over 5 to 20"
    assert (half_lengths(new_S3) == [20, 12]).all()
    assert not is_through_S.any()


def test_past_the_end_or_too_short_begins_anew() -> None:
    one = segment(10, 20)
    state_S3 = np.array([[190, 199, 209], [20, 29, 39], [20, 29, 39]])
    change_S2 = np.array([[1.0, 1.0], [0.3, 1.0], [0.5, 1.0]])
    new_S3, is_through_S = advanced(state_S3, change_S2, [one] * 3, protocol(), rng())
    assert is_through_S.tolist() == [True, False, False]
    assert new_S3[0, 1] < 100, "begins anew in the first half"
    assert half_lengths(new_S3)[1, 0] == half_lengths(new_S3)[1, 1], "3 frames are too short"
    assert half_lengths(new_S3)[2].tolist() == [5, 10]


def test_lengths_are_cut_towards_zero_before_the_video_as_well() -> None:
    """Middle m, left length 10 * 1.55 = 15.5: m - 14.5 is cut to m - 14 above zero's other side, m - 15 above zero."""
    one = segment(10, 20)
    new_S3, _ = advanced(np.array([[-9, 0, 10]] * 50), np.tile([1.55, 1.0], (50, 1)), [one] * 50, protocol(), rng())
    middle_S = new_S3[:, 1]
    assert (new_S3[:, 0] == np.where(middle_S < 15, middle_S - 14, middle_S - 15)).all()
    assert {True, False} == set((middle_S < 15).tolist())


def rng() -> np.random.Generator:
    return np.random.default_rng(0)
