"""Training segments of videos, as in the released code of SEVERE's repetition counting.

Differs from the released code: segments are drawn from the seed, and a segment that is cut to the greatest length keeps
the mean cycle length of the whole segment.

Shapes: N frames of a segment.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sigma_bench.data.annotations import UNKNOWN, CycleBounds, neighbour_offsets
from sigma_bench.data.manifest import Split

MIN_BOUNDS = 3
"""Least number of cycle bounds of a training video, which is two cycles."""


@dataclass(frozen=True)
class Segment:
    """Consecutive frames of one video; frame 0 of a video is its first annotated one."""

    video: int
    cycles: CycleBounds
    first: int
    num_frames: int
    mean_cycle: float
    """Approximate number of frames per cycle, for frames without a label."""

    @cached_property
    def offsets(self) -> tuple[np.ndarray, np.ndarray]:
        """Number of frames from every frame to the same phase of the next and of the previous cycle, (N,) each."""
        next_N, previous_N = neighbour_offsets(self.cycles)
        inside = slice(self.first, self.first + self.num_frames)
        return next_N[inside], previous_N[inside]

    @property
    def cycle(self) -> float:
        """Cycle length at the first frame: its label, or the mean if it has none."""
        first = self.offsets[0][0]
        return self.mean_cycle if first == UNKNOWN else float(first)


def cycles_of(split: Split) -> list[CycleBounds]:
    """The annotations of a split; ValueError if a sample has none."""
    found = [sample.annotation for sample in split.samples if isinstance(sample.annotation, CycleBounds)]
    if len(found) < len(split.samples):
        raise ValueError(f"counting needs the bounds of all cycles, which samples of the {split.name} split lack")
    return found


def draw_segments(split: Split, videos: list[int], per_video: int, max_frames: int, seed: int) -> list[Segment]:
    """Random segments of these videos, ``per_video`` of each.

    Before it is cut to ``max_frames``, a segment contains at least one whole cycle.

    Raises:
        ValueError: a video with fewer than two cycles.
    """
    rng, cycles = np.random.default_rng([seed, 0]), cycles_of(split)
    for video in videos:
        if len(cycles[video].bounds) < MIN_BOUNDS:
            raise ValueError(
                f"'{split.samples[video].id}' has fewer than two cycles; no training segment can be drawn from it"
            )
    return [_drawn(video, cycles[video], max_frames, rng) for video in videos for _ in range(per_video)]


def _drawn(video: int, cycles: CycleBounds, max_frames: int, rng: np.random.Generator) -> Segment:
    bounds = np.array(cycles.bounds) - cycles.bounds[0]
    begin = int(rng.integers(0, len(bounds) - MIN_BOUNDS + 1))
    end = int(rng.integers(begin + 2, len(bounds) + 1))
    first = 0 if begin == 0 else int(rng.integers(bounds[begin - 1], bounds[begin] + 1))
    last = int(bounds[-1] if end == len(bounds) else rng.integers(bounds[end - 1], bounds[end] + 1))
    num_frames = last - first + 1
    return Segment(video, cycles, first, min(num_frames, max_frames), num_frames / (end - begin))
