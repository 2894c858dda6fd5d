"""Mini UCFRep: a flock that swings a known number of times; in UCF101's folder, as the real one.

The real videos are UCF101's own; these are of four classes that the mini UCF101 does not list.
"""

from collections.abc import Iterator
from pathlib import Path

from sigma_bench.data.miniworld.clips import stream, swinging_flock
from sigma_bench.data.miniworld.files import write_video
from sigma_bench.data.miniworld.job import Counts, Job
from sigma_bench.data.miniworld.size import WorldSize
from sigma_bench.records.store import write_atomically

CLASSES = ("SwingAcross", "SwingDown", "SwingRising", "SwingFalling")
"""In steps of 45 degrees from rightwards to downwards: 0, 2, 3, 1."""
DIRECTIONS = (0, 2, 3, 1)
FIRST_TEST_GROUP = 21


def build(root: Path, seed: int, size: WorldSize) -> tuple[Counts, list[Job]]:
    """The lists, written; and the jobs that write the rest."""
    jobs, counts = [], {"train": 0, "test": 0}
    for name, direction in zip(CLASSES, DIRECTIONS, strict=True):
        blocks = []
        for part, group in _groups(size):
            video = f"v_{name}_g{group:02d}_c01"
            _, bounds = swinging_flock(stream(seed, "ucfrep", video), direction, part)
            blocks.append(f"{video}\n{' '.join(str(bound + 1) for bound in bounds)}\n\n\n")
            counts[part] += 1
            path = root / "UCF-101" / name / f"{video}.avi"
            jobs.append(Job(_write_clip, (path, seed, direction, part)))
        write_atomically(root / "UCFRep/annotations/repetition_label" / f"{name}.txt", "".join(blocks).encode())
    return {"ucfrep": counts}, jobs


def _groups(size: WorldSize) -> Iterator[tuple[str, int]]:
    """Official numbers: train from 1, test from 21."""
    for part, first, count in zip(("train", "test"), (1, FIRST_TEST_GROUP), size.ucfrep_groups, strict=True):
        yield from ((part, group) for group in range(first, first + count))


def _write_clip(path: Path, seed: int, direction: int, part: str) -> None:
    write_video(path, swinging_flock(stream(seed, "ucfrep", path.stem), direction, part)[0])
