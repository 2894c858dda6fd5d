"""Mini UCFRep: one solid shape that swings a known number of times in front of a static camera.

UCFRep labels videos of UCF101, so its files are in UCF101's folder.  The videos here belong to four classes that the
mini UCF101 does not list.  As in UCFRep, the cycles of one video have similar lengths and those of different videos
differ, so the length of a video does not determine the number of repetitions.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sigma_bench.miniworld.clips import stream
from sigma_bench.miniworld.generator import Counts, FileTask, Size
from sigma_bench.miniworld.scene import CANVAS, SHAPES, Mover, contrasting_colour, paint, shape_sprite, texture
from sigma_bench.miniworld.writers import write_video
from sigma_bench.records.store import write_atomically

CLASSES = ("SwingAcross", "SwingDown", "SwingRising", "SwingFalling")
DIRECTIONS = (0, 2, 3, 1)
"""Direction of the swing in each class, in steps of 45 degrees; 0 is to the right and 2 is down."""
SWING_PIXELS = 18
CYCLE_FRAMES, CYCLE_JITTER = (6, 24), 0.1
"""Range of the mean cycle of a video, and the largest relative difference of a cycle from it."""
REST_FRAMES = (2, 6)
"""Range of the number of frames before the first and after the last cycle."""
FIRST_TEST_GROUP = 21


def build(root: Path, seed: int, size: Size) -> tuple[Counts, list[FileTask]]:
    """Write the annotation files; return the counts and the tasks that write the media files."""
    tasks, counts = [], {"train": 0, "test": 0}
    for name, direction in zip(CLASSES, DIRECTIONS, strict=True):
        blocks = []
        for part, group in _groups(size):
            video = f"v_{name}_g{group:02d}_c01"
            _, bounds = swinging_shape(stream(seed, "ucfrep", video), direction)
            blocks.append(f"{video}\n{' '.join(str(bound + 1) for bound in bounds)}\n\n\n")
            counts[part] += 1
            path = root / "UCF-101" / name / f"{video}.avi"
            tasks.append(FileTask(_write_clip, (path, seed, direction)))
        write_atomically(root / "UCFRep/annotations/repetition_label" / f"{name}.txt", "".join(blocks).encode())
    return {"ucfrep": counts}, tasks


def _groups(size: Size) -> Iterator[tuple[str, int]]:
    """Part and number of each group; as in UCFRep, training groups start at 1 and test groups at 21."""
    for part, first, count in zip(("train", "test"), (1, FIRST_TEST_GROUP), size, strict=True):
        yield from ((part, group) for group in range(first, first + count))


def _write_clip(path: Path, seed: int, direction: int) -> None:
    write_video(path, swinging_shape(stream(seed, "ucfrep", path.stem), direction)[0])


def swinging_shape(rng: np.random.Generator, direction: int) -> tuple[np.ndarray, tuple[int, ...]]:
    """A shape that swings back and forth for 2 to 7 cycles and rests before and after them.

    Returns:
        Frames (T, S, S, 3) uint8, and the indices of the frames at which a cycle begins or ends, one more than cycles.
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
