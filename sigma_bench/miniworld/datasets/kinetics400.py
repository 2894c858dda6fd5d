"""Mini Kinetics-400: eight classes by the digit and the number of its copies, with lists in ActivityNet's format."""

from pathlib import Path

from sigma_bench.miniworld.clips import flock_clip, stream
from sigma_bench.miniworld.generator import Counts, FileTask, Size, counts_of
from sigma_bench.miniworld.scene import DIGITS
from sigma_bench.miniworld.writers import write_video
from sigma_bench.records.store import write_atomically

COPIES = {"few": 2, "many": 4}
"""Number of digits in a row and in a column."""
NUM_DIGITS = 4
SIZE = (240, 120)
"""Number of training and test samples."""


def build(root: Path, seed: int, size: Size) -> tuple[Counts, list[FileTask]]:
    """Write the annotation files; return the counts and the tasks that write the media files."""
    classes = [(crowd, digit) for crowd in COPIES for digit in range(NUM_DIGITS)]
    tasks = []
    for part, official, count in (("train", "train", size[0]), ("test", "val", size[1])):
        rows = ["label,youtube_id,time_start,time_end,split,is_cc"]
        for position in range(count):
            crowd, digit = classes[position % len(classes)]
            label, video = f"{crowd} {DIGITS[digit].lower()}s", f"{part[:2]}{position:09d}"
            rows.append(f"{label},{video},{position},{position + 10},{official},1")
            path = root / official / label / f"{video}_{position:06d}_{position + 10:06d}.mp4"
            tasks.append(FileTask(_write_clip, (path, seed, digit, COPIES[crowd], part)))
        write_atomically(root / f"kinetics-400_{official}.csv", ("\n".join(rows) + "\n").encode())
    return {"kinetics400": counts_of(size)}, tasks


def _write_clip(path: Path, seed: int, digit: int, copies: int, part: str) -> None:
    rng = stream(seed, "kinetics400", path.stem)
    write_video(path, flock_clip(rng, digit=digit, part=part, num_frames=16, copies=copies))
