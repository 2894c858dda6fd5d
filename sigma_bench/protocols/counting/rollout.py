"""Roll-outs of states through training segments.

A roll-out begins at a random position in the first half of a segment, with a length that is correct, wrong by a factor
of about two, or random.  After every step the middle moves forward and both lengths become the predictions of the
detector.

Differs from the released code: the initial scales are those of inference, 0 to 29, instead of 0 to 30.

Shapes: S segments, each with one state; a change is a factor for the left and the right length.
"""

from collections.abc import Sequence

import numpy as np

from sigma_bench.protocols.counting.frames import half_lengths
from sigma_bench.protocols.counting.inference import scale_lengths
from sigma_bench.protocols.counting.segments import Segment
from sigma_bench.protocols.counting.spec import CountingProtocol

STEPS_PER_SEGMENT = (5, 20)
"""Smallest and largest number of steps through a whole segment."""


def initial_states(segments: Sequence[Segment], protocol: CountingProtocol, rng: np.random.Generator) -> np.ndarray:
    """The initial state of the roll-out of every segment, (S, 3) whole numbers."""
    return np.array([_initial_state(segment, protocol, rng) for segment in segments])


def _initial_state(segment: Segment, protocol: CountingProtocol, rng: np.random.Generator) -> tuple[int, int, int]:
    frames = segment.num_frames
    left = int(rng.random() * segment.cycle)
    middle = max(left, left + int(_initial_length(segment, protocol, rng) - 1))
    if middle >= frames:
        left, middle = 0, max(0, int(segment.mean_cycle - 1))
    if 2 * middle + 1 >= frames:
        left, middle = 0, int(frames / 2 - 1)
    return left, middle, middle + (middle - left + 1)


def _initial_length(segment: Segment, protocol: CountingProtocol, rng: np.random.Generator) -> float:
    kind = rng.random()
    if kind < 0.25:
        return segment.cycle * 2 ** rng.uniform(-1, 1)
    if kind < 0.5:
        return segment.cycle * (2.0 ** rng.integers(-1, 2) + rng.uniform(-0.05, 0.05))
    index = rng.integers(0, protocol.inference.num_scales)
    return float(scale_lengths(segment.num_frames, np.array(index), protocol))


def advanced(
    state_S3: np.ndarray,
    change_S2: np.ndarray,
    segments: Sequence[Segment],
    protocol: CountingProtocol,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """The next states (S, 3), and which roll-outs have passed the end of their segment, (S,).

    These roll-outs start again from a new initial state, as do roll-outs in which a cycle has become too short.
    """
    frames_S = np.array([segment.num_frames for segment in segments])
    stride_S = np.maximum(frames_S / rng.uniform(*STEPS_PER_SEGMENT, len(frames_S)), 1).astype(np.int64)
    middle_S = state_S3[:, 1] + stride_S
    length_S2 = half_lengths(state_S3) * change_S2
    left_S = np.trunc(middle_S - length_S2[:, 0] + 1).astype(np.int64)
    right_S = np.trunc(middle_S + length_S2[:, 1]).astype(np.int64)
    new_S3 = np.stack([left_S, middle_S, right_S], axis=1)
    is_through_S = middle_S >= frames_S
    is_short_S = (half_lengths(new_S3) < protocol.min_cycle_frames).any(1)
    for row in np.flatnonzero(is_through_S | is_short_S).tolist():
        new_S3[row] = _initial_state(segments[row], protocol, rng)
    return new_S3, is_through_S
