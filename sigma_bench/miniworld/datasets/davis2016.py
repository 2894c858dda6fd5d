"""Mini DAVIS-2016: sequences of one moving shape, with masks of the values 0 and 255."""

from pathlib import Path

import numpy as np
from PIL import Image

from sigma_bench.miniworld.clips import crossing_shapes, stream
from sigma_bench.miniworld.generator import Counts, FileTask, Size, counts_of
from sigma_bench.miniworld.scene import SHAPES
from sigma_bench.miniworld.writers import write_jpeg
from sigma_bench.records.store import write_atomically

NUM_FRAMES = 20
SIZE = (3, 6)
"""Number of training and test sequences."""


def build(root: Path, seed: int, size: Size) -> tuple[Counts, list[FileTask]]:
    """Write the annotation files; return the counts and the tasks that write the media files."""
    home = root / "DAVIS"
    tasks = []
    for official, count in (("train", size[0]), ("val", size[1])):
        names = [f"shape-{official}-{number:02d}" for number in range(count)]
        rows = [
            f"/JPEGImages/480p/{name}/{frame:05d}.jpg /Annotations/480p/{name}/{frame:05d}.png"
            for name in names
            for frame in range(NUM_FRAMES)
        ]
        write_atomically(home / "ImageSets" / "480p" / f"{official}.txt", ("\n".join(rows) + "\n").encode())
        tasks += [FileTask(_write_sequence, (home, seed, name)) for name in names]
    return {"davis2016": counts_of(size)}, tasks


def _write_sequence(home: Path, seed: int, name: str) -> None:
    rng = stream(seed, "davis2016", name)
    frames, owners = crossing_shapes(rng, [str(rng.choice(SHAPES))], num_frames=NUM_FRAMES)
    masks = home / "Annotations" / "480p" / name
    masks.mkdir(parents=True, exist_ok=True)
    for number, (frame, owner) in enumerate(zip(frames, owners, strict=True)):
        write_jpeg(home / "JPEGImages" / "480p" / name / f"{number:05d}.jpg", frame)
        Image.fromarray(np.where(owner > 0, 255, 0).astype(np.uint8)).save(masks / f"{number:05d}.png")
