"""Mini HMDB51: five classes by the pattern of the scene, at any wavelength.

Files have official names, and there are four clips of every source.
"""

from pathlib import Path

from sigma_bench.miniworld.clips import scene_clip, stream
from sigma_bench.miniworld.generator import Counts, FileTask, Size, counts_of
from sigma_bench.miniworld.patterns import PATTERNS
from sigma_bench.miniworld.writers import write_video
from sigma_bench.records.store import write_atomically

CLIPS_PER_SOURCE = 4
USED_AS = {"train": 1, "test": 2}
SIZE = (200, 100)
"""Number of training and test samples."""


def build(root: Path, seed: int, size: Size) -> tuple[Counts, list[FileTask]]:
    """Write the annotation files; return the counts and the tasks that write the media files."""
    tasks = []
    for pattern in PATTERNS:
        name, rows = pattern.replace(" ", "_"), []
        for part, count in counts_of(size).items():
            for number in range(count // len(PATTERNS)):
                source = f"{part}_{number // CLIPS_PER_SOURCE}"
                file = f"{source}_{name}_f_nm_np1_fr_med_{number % CLIPS_PER_SOURCE}.avi"
                rows.append(f"{file} {USED_AS[part]}")
                tasks.append(FileTask(_write_clip, (root / "hmdb51_org" / name / file, seed, pattern)))
        lists = root / "testTrainMulti_7030_splits"
        write_atomically(lists / f"{name}_test_split1.txt", ("\n".join(rows) + "\n").encode())
    kept = {part: count // len(PATTERNS) * len(PATTERNS) for part, count in counts_of(size).items()}
    return {"hmdb51": kept}, tasks


def _write_clip(path: Path, seed: int, pattern: str) -> None:
    write_video(path, scene_clip(stream(seed, "hmdb51", path.stem), pattern, num_frames=16))
