"""Training segments of videos, as in the released code of SEVERE's repetition counting.

Differs from it: segments are drawn from the seed, and a segment that is cut to the greatest length keeps the mean cycle
length of the whole segment.

Shapes: N frames of a segment.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sigma_bench.data.annotations import UNKNOWN, CycleBounds, neighbour_offsets
from sigma_bench.data.manifest import Split

MIN_BOUNDS = 3


@dataclass(frozen=True)
class Segment:
    """Consecutive frames of one video; frame 0 of a video is its first annotated one."""

    video: int
    cycles: CycleBounds
    first: int
    num_frames: int
    mean_cycle: float
    """Frames per cycle, roughly: what is known where labels are not."""

    @cached_property
    def offsets(self) -> tuple[np.ndarray, np.ndarray]:
        """Per frame, how far away the like moment of the next and of the previous cycle is, (N,) each."""
        next_N, previous_N = neighbour_offsets(self.cycles)
        inside = slice(self.first, self.first + self.num_frames)
        return next_N[inside], previous_N[inside]

    @property
    def cycle(self) -> float:
        """Length to begin with: the labelled one of the first frame, or the mean."""
        first = self.offsets[0][0]
        return self.mean_cycle if first == UNKNOWN else float(first)


def cycles_of(split: Split) -> list[CycleBounds]:
    """The annotations of a split; ValueError where a sample has none."""
    found = [sample.annotation for sample in split.samples if isinstance(sample.annotation, CycleBounds)]
    if len(found) < len(split.samples):
        raise ValueError(f"counting needs to know where cycles begin and end; the {split.name} split does not say")
    return found


def draw_segments(split: Split, videos: list[int], per_video: int, max_frames: int, seed: int) -> list[Segment]:
    """So many segments of each of these videos, each at least from one bound to the next but one.

    Raises:
        ValueError: a video with fewer than two cycles.
    """
    rng, cycles = np.random.default_rng([seed, 0]), cycles_of(split)
    for video in videos:
        if len(cycles[video].bounds) < MIN_BOUNDS:
            raise ValueError(f"'{split.samples[video].id}' has fewer than two cycles; counting cannot learn from it")
    return [_drawn(video, cycles[video], max_frames, rng) for video in videos for _ in range(per_video)]


def _drawn(video: int, cycles: CycleBounds, max_frames: int, rng: np.random.Generator) -> Segment:
    bounds = np.array(cycles.bounds) - cycles.bounds[0]
    begin = int(rng.integers(0, len(bounds) - MIN_BOUNDS + 1))
    end = int(rng.integers(begin + 2, len(bounds) + 1))
    first = 0 if begin == 0 else int(rng.integers(bounds[begin - 1], bounds[begin] + 1))
    last = int(bounds[-1] if end == len(bounds) else rng.integers(bounds[end - 1], bounds[end] + 1))
    num_frames = last - first + 1
    return Segment(video, cycles, first, min(num_frames, max_frames), num_frames / (end - begin))
