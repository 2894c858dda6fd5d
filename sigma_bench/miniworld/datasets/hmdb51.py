"""Mini HMDB51: five classes by the solid shape shown, with official file names and four clips of every source."""

from pathlib import Path

from sigma_bench.miniworld.clips import crossing_shapes, stream
from sigma_bench.miniworld.generator import Counts, FileTask, Size, counts_of
from sigma_bench.miniworld.scene import SHAPES
from sigma_bench.miniworld.writers import write_video
from sigma_bench.records.store import write_atomically

CLIPS_PER_SOURCE = 4
USED_AS = {"train": 1, "test": 2}
SIZE = (200, 100)
"""Number of training and test samples."""


def build(root: Path, seed: int, size: Size) -> tuple[Counts, list[FileTask]]:
    """Write the annotation files; return the counts and the tasks that write the media files."""
    tasks = []
    for name in SHAPES:
        rows = []
        for part, count in counts_of(size).items():
            for number in range(count // len(SHAPES)):
                source = f"{part}_{number // CLIPS_PER_SOURCE}"
                file = f"{source}_{name}_f_nm_np1_fr_med_{number % CLIPS_PER_SOURCE}.avi"
                rows.append(f"{file} {USED_AS[part]}")
                tasks.append(FileTask(_write_clip, (root / "hmdb51_org" / name / file, seed, name)))
        lists = root / "testTrainMulti_7030_splits"
        write_atomically(lists / f"{name}_test_split1.txt", ("\n".join(rows) + "\n").encode())
    kept = {part: count // len(SHAPES) * len(SHAPES) for part, count in counts_of(size).items()}
    return {"hmdb51": kept}, tasks


def _write_clip(path: Path, seed: int, shape: str) -> None:
    frames, _ = crossing_shapes(stream(seed, "hmdb51", path.stem), [shape], num_frames=16, side=64)
    write_video(path, frames)
