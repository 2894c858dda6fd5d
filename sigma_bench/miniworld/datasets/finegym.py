"""Mini FineGym: sub-actions that differ in the number and order of movements, with twelve of the labels of Gym99.

A flock makes one or two movements: to the left or right for the labels of FX-S1, up or down for those of UB-S1.
Left-right and right-left end where they begin, so neither one frame nor both ends of the path distinguish them.
"""

from pathlib import Path

from sigma_bench.miniworld.clips import moving_flock, stream
from sigma_bench.miniworld.generator import Counts, FileTask, Size, counts_of
from sigma_bench.miniworld.writers import write_video
from sigma_bench.records.store import write_atomically

_FLOOR, _BARS = {"L": (0, -1), "R": (0, 1)}, {"U": (-1, 0), "D": (1, 0)}
"""Direction (y, x) of a movement by its letter."""
ROUTINES = {
    **{6 + i: tuple(_FLOOR[move] for move in word) for i, word in enumerate(("L", "R", "LL", "LR", "RL", "RR"))},
    **{74 + i: tuple(_BARS[move] for move in word) for i, word in enumerate(("U", "D", "UU", "UD", "DU", "DD"))},
}
"""Movements by label."""
NUM_FRAMES = 20
SIZE = (480, 240)
"""Number of training and test samples."""


def build(root: Path, seed: int, size: Size) -> tuple[Counts, list[FileTask]]:
    """Write the annotation files; return the counts and the tasks that write the media files."""
    labels, tasks = list(ROUTINES), []
    for part, official, count in (("train", "train", size[0]), ("test", "val", size[1])):
        rows = []
        for position in range(count):
            label = labels[position % len(labels)]
            name = f"{part[:2]}{position:09d}_E_000000_000010_A_{0:04d}_{2:04d}"
            rows.append(f"{name} {label}")
            tasks.append(FileTask(_write_clip, (root / "subactions" / f"{name}.mp4", seed, label, part)))
        for level in ("gym99", "gym288"):
            write_atomically(root / "annotations" / f"{level}_{official}.txt", "\n".join(rows).encode())
    counts = counts_of(size)
    half = {part: sum(labels[i % len(labels)] < 74 for i in range(count)) for part, count in counts.items()}
    rest = {part: counts[part] - half[part] for part in counts}
    whole = dict.fromkeys(("finegym_gym99", "finegym_gym288", "finegym_gym99_1k"), counts)
    return {**whole, "finegym_fx_s1": half, "finegym_ub_s1": rest}, tasks


def _write_clip(path: Path, seed: int, label: int, part: str) -> None:
    rng = stream(seed, "finegym", path.stem)
    write_video(path, moving_flock(rng, ROUTINES[label], part=part, num_frames=NUM_FRAMES))
