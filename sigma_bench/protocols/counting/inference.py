"""From a trained detector to counts: 74 clips of every video, in 13 rounds for all videos at once.

The procedure is that of SEVERE's released code.  It finds one cycle length for the whole video and refines it a few
times.  Levels of 2, 4, 8 and 16 time points follow; each starts from the result of the level before and writes its own
result to the neighbourhoods of its time points.  Finally, the local frequencies are averaged and multiplied by the
length of the video.  Lengths at time points are whole numbers, rounded towards zero, as in the released code.

If no scale gives an allowed length, the first length is that of the shortest cycle.

Shapes: V videos, K scales, P time points, N time points of a level, S states; A anchors; axes of 2: left and right.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from sigma_bench.protocols.counting.frames import half_lengths
from sigma_bench.protocols.counting.spec import ANCHOR_OF_NO_CHANGE, CountingProtocol

LEFT, RIGHT = 0, 1
FULL_LEVELS = 2
"""Number of levels whose results fill their whole neighbourhoods; later levels, except the last, share less."""


class Prediction(NamedTuple):
    """Outputs of the heads for states."""

    foreground_S2A: np.ndarray
    """Probability of each anchor."""
    box_S2A: np.ndarray
    """Logarithm of the length over the anchor."""


Predict = Callable[[np.ndarray, np.ndarray], Prediction]
"""Numbers of videos (S,) and states (S, 3) -> outputs of the heads."""


def count_repetitions(length_V: np.ndarray, predict: Predict, protocol: CountingProtocol) -> np.ndarray:
    """Number of repetitions of every video, (V,) whole numbers.

    Args:
        length_V: numbers of frames.
        predict: applies the detector to states of these videos.
    """
    cycle_V = first_cycle(length_V, predict, protocol)
    points = protocol.inference.time_points
    centre_VP = (length_V[:, None] / (points + 1) * (np.arange(points) + 0.5)).astype(np.int64)
    bound_VP2 = np.stack([centre_VP - cycle_V[:, None], centre_VP + cycle_V[:, None] + 1], axis=2)
    owned_VP22 = np.stack([bound_VP2, bound_VP2], axis=2)
    for level in range(len(protocol.inference.passes_per_level)):
        _refine_level(level, owned_VP22, centre_VP, length_V, predict, protocol)
    bound_VP2 = np.round(owned_VP22.mean(axis=2))
    return np.array([_count(*video) for video in zip(length_V, cycle_V, centre_VP, bound_VP2, strict=True)])


def scale_lengths(length: float | np.ndarray, index: np.ndarray, protocol: CountingProtocol) -> np.ndarray:
    """Cycle lengths that are tried first: a geometric series between the two scales of the protocol."""
    shortest, longest = protocol.scales
    return length * shortest * (longest / shortest) ** (index / (protocol.inference.num_scales - 1))


def first_cycle(length_V: np.ndarray, predict: Predict, protocol: CountingProtocol) -> np.ndarray:
    """One cycle length for each whole video, (V,): the one with the highest probability over all scales, then
    refined."""
    num_scales = protocol.inference.num_scales
    half_VK = scale_lengths(length_V[:, None], np.arange(num_scales), protocol)
    found_VK, probability_VK = _cycles_at_middle(half_VK, length_V, predict, protocol)
    probability_VK = np.where(_is_allowed(found_VK, length_V, protocol), probability_VK, -1.0)
    best_V = probability_VK.argmax(1)
    videos = np.arange(len(length_V))
    is_found_V = probability_VK[videos, best_V] >= 0
    cycle_V = np.where(is_found_V, found_VK[videos, best_V], protocol.min_cycle_frames).astype(np.int64)
    for _ in range(protocol.inference.refinements):
        found_V1, _ = _cycles_at_middle(cycle_V[:, None].astype(float), length_V, predict, protocol)
        merged_V = np.round(_merged(found_V1[:, 0], cycle_V, protocol)).astype(np.int64)
        cycle_V = np.where(_is_allowed(found_V1, length_V, protocol)[:, 0], merged_V, cycle_V)
    return cycle_V


def _cycles_at_middle(
    half_VK: np.ndarray, length_V: np.ndarray, predict: Predict, protocol: CountingProtocol
) -> tuple[np.ndarray, np.ndarray]:
    """Lengths of a left cycle that ends in the middle, corrected by the anchor of scale 1, and their probabilities."""
    middle_VK = np.broadcast_to(length_V[:, None] / 2, half_VK.shape)
    state_VK3 = np.stack([middle_VK - half_VK, middle_VK, middle_VK + half_VK + 1], axis=2)
    heads = predict(np.repeat(np.arange(len(length_V)), half_VK.shape[1]), state_VK3.reshape(-1, 3))
    anchor, limit = protocol.anchors.index(ANCHOR_OF_NO_CHANGE), protocol.inference.box_limit
    change_VK = np.exp(heads.box_S2A[:, LEFT, anchor].clip(-limit, limit)).reshape(half_VK.shape)
    return half_VK * change_VK, heads.foreground_S2A[:, LEFT, anchor].reshape(half_VK.shape)


def _is_allowed(found_VK: np.ndarray, length_V: np.ndarray, protocol: CountingProtocol) -> np.ndarray:
    longest_V1 = length_V[:, None] / protocol.inference.min_cycles
    return (found_VK >= protocol.min_cycle_frames) & (found_VK < longest_V1)


def _refine_level(
    level: int,
    owned_VP22: np.ndarray,
    centre_VP: np.ndarray,
    length_V: np.ndarray,
    predict: Predict,
    protocol: CountingProtocol,
) -> None:
    """Predict at all time points of a level at once, and write the results to their neighbourhoods."""
    points = centre_VP.shape[1]
    width = points >> (level + 2)
    node_N = np.arange(width, points, 2 * width)
    centre_VN = centre_VP[:, node_N]
    now = new = np.round(owned_VP22[:, node_N].mean(axis=2))
    for number in range(protocol.inference.passes_per_level[level]):
        now = np.round(_merged(new, now, protocol)) if number else now
        new = _improved(now, centre_VN, length_V, predict, protocol)
    _write_to_neighbourhoods(level, owned_VP22, centre_VP, _merged(new, now, protocol) - centre_VN[..., None])


def _improved(
    bound_VN2: np.ndarray, centre_VN: np.ndarray, length_V: np.ndarray, predict: Predict, protocol: CountingProtocol
) -> np.ndarray:
    """Bounds of each time point after one pass, from the most probable anchors.

    A bound whose cycle would become too short keeps its value.
    """
    state_S3 = np.stack([bound_VN2[..., 0], centre_VN, bound_VN2[..., 1]], axis=2).reshape(-1, 3)
    heads = predict(np.repeat(np.arange(len(length_V)), centre_VN.shape[1]), state_S3)
    wanted_VN2 = (half_lengths(state_S3) * scale_change(heads, protocol.anchors, protocol.inference.box_limit)).reshape(
        bound_VN2.shape
    )
    longest_V11 = (length_V / protocol.inference.min_cycles)[:, None, None]
    wanted_VN2 = np.minimum(np.maximum(wanted_VN2, protocol.min_cycle_frames), longest_V11)
    new_VN2 = np.trunc(np.stack([centre_VN - wanted_VN2[..., 0] + 1, centre_VN + wanted_VN2[..., 1]], axis=2))
    got_VN2 = np.stack([centre_VN - new_VN2[..., 0] + 1, new_VN2[..., 1] - centre_VN], axis=2)
    return np.where(got_VN2 < protocol.min_cycle_frames, bound_VN2, new_VN2)


def scale_change(heads: Prediction, anchors: tuple[float, ...], box_limit: float) -> np.ndarray:
    """Factor by which the most probable anchor changes the length of each side, (S, 2); ties go to the first anchor."""
    best_S2 = heads.foreground_S2A.argmax(2)
    box_S2 = np.take_along_axis(heads.box_S2A, best_S2[..., None], 2)[..., 0]
    return np.exp(box_S2.clip(-box_limit, box_limit)) * np.array(anchors)[best_S2]


def _merged(new: np.ndarray, old: np.ndarray, protocol: CountingProtocol) -> np.ndarray:
    weight = protocol.inference.merge
    return weight * new + (1 - weight) * old


def _write_to_neighbourhoods(level: int, owned_VP22: np.ndarray, centre_VP: np.ndarray, offset_VN2: np.ndarray) -> None:
    """Write the offsets of every node to the time points around it.

    A time point has two copies of its bounds, one for the node on each side.  A point before the node takes the offsets
    as its right copy; the node and the points after it take them as their left copy.  The other copy is overwritten as
    well on the first two levels, on the last level, and at both ends of the video; on all other levels it keeps the
    value of the previous level, until the other node writes it.
    """
    points, nodes = centre_VP.shape[1], offset_VN2.shape[1]
    width = points // (2 * nodes)
    is_shared_level = level < FULL_LEVELS or width == 1
    for node in range(nodes):
        for shift in range(2 * width):
            place = 2 * width * node + shift
            value_V2 = np.trunc(centre_VP[:, place, None] + offset_VN2[:, node])
            own = RIGHT if shift < width else LEFT
            owned_VP22[:, place, own] = value_V2
            if is_shared_level or node == (0 if own == RIGHT else nodes - 1):
                owned_VP22[:, place, 1 - own] = value_V2


def _count(length: int, cycle: int, centre_P: np.ndarray, bound_P2: np.ndarray) -> int:
    """Integral of the local frequencies of one video, over time points whose context lies inside it."""
    left_P, right_P = centre_P - bound_P2[:, 0] + 1, bound_P2[:, 1] - centre_P
    is_inside_P = (bound_P2[:, 0] - left_P >= 0) & (bound_P2[:, 1] + right_P < length)
    if not is_inside_P.any():
        return round(length / (cycle + 1))
    # The product comes before the mean, as in the released code, so that half counts are rounded to the same side.
    return round(float((length * (0.5 * (1 / left_P + 1 / right_P)))[is_inside_P].mean()))
