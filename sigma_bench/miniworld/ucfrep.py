"""Mini UCFRep: one solid shape that swings a known number of times before a still camera; in UCF101's folder.

The real videos are UCF101's own; these are of four classes that the mini UCF101 does not list.  As there, cycles of
one video are alike and those of different videos are not, so that its length does not tell how often it repeats.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sigma_bench.miniworld.clips import CANVAS, stream
from sigma_bench.miniworld.generator import Counts, FileTask, Size
from sigma_bench.miniworld.scene import SHAPES, Mover, contrasting_colour, paint, shape_sprite, texture
from sigma_bench.miniworld.writers import write_video
from sigma_bench.records.store import write_atomically

CLASSES = ("SwingAcross", "SwingDown", "SwingRising", "SwingFalling")
"""In steps of 45 degrees from rightwards to downwards: 0, 2, 3, 1."""
DIRECTIONS = (0, 2, 3, 1)
SWING_PIXELS = 18
CYCLE_FRAMES, CYCLE_JITTER = (8, 20), 0.1
REST_FRAMES = (2, 6)
FIRST_TEST_GROUP = 21


def build(root: Path, seed: int, size: Size) -> tuple[Counts, list[FileTask]]:
    """Write the annotation files; return the counts and the tasks that write the media files."""
    jobs, counts = [], {"train": 0, "test": 0}
    for name, direction in zip(CLASSES, DIRECTIONS, strict=True):
        blocks = []
        for part, group in _groups(size):
            video = f"v_{name}_g{group:02d}_c01"
            _, bounds = swinging_shape(stream(seed, "ucfrep", video), direction)
            blocks.append(f"{video}\n{' '.join(str(bound + 1) for bound in bounds)}\n\n\n")
            counts[part] += 1
            path = root / "UCF-101" / name / f"{video}.avi"
            jobs.append(FileTask(_write_clip, (path, seed, direction)))
        write_atomically(root / "UCFRep/annotations/repetition_label" / f"{name}.txt", "".join(blocks).encode())
    return {"ucfrep": counts}, jobs


def _groups(size: Size) -> Iterator[tuple[str, int]]:
    """Official numbers: train from 1, test from 21."""
    for part, first, count in zip(("train", "test"), (1, FIRST_TEST_GROUP), size, strict=True):
        yield from ((part, group) for group in range(first, first + count))


def _write_clip(path: Path, seed: int, direction: int) -> None:
    write_video(path, swinging_shape(stream(seed, "ucfrep", path.stem), direction)[0])


def swinging_shape(rng: np.random.Generator, direction: int) -> tuple[np.ndarray, tuple[int, ...]]:
    """A shape that swings there and back some times: frames (T, S, S, 3) and its bounds.

    Bounds are the frames where a cycle begins or ends, one more than there are cycles (2 to 7); before and after
    them the shape rests.
    """
    cycle = np.exp(rng.uniform(*np.log(CYCLE_FRAMES)))
    lengths = np.round(cycle * rng.uniform(1 - CYCLE_JITTER, 1 + CYCLE_JITTER, rng.integers(2, 8))).astype(int)
    bounds = np.concatenate([[0], lengths.cumsum()]) + rng.integers(*REST_FRAMES)
    num_frames = int(bounds[-1] + rng.integers(*REST_FRAMES))
    background, base = texture(num_frames, CANVAS, rng, 0.0)
    phase_T = np.interp(np.arange(num_frames), bounds, np.arange(len(bounds)))
    angle = direction * np.pi / 4
    swing_T = -SWING_PIXELS * np.cos(2 * np.pi * phase_T) / 2
    middle = rng.uniform(0.4, 0.6, 2) * CANVAS
    centre_T2 = middle + swing_T[:, None] * np.array([np.sin(angle), np.cos(angle)])
    shape = Mover(shape_sprite(str(rng.choice(SHAPES))), contrasting_colour(base, rng), rng.uniform(16, 22), centre_T2)
    return paint(background, [shape])[0], tuple(bounds.tolist())
