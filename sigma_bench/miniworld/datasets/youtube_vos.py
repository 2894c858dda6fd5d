"""Mini YouTube-VOS: two or three shapes, in half of the videos two of one category, with a mask in every fifth frame.

The names of frames are numbers without leading zeros.
"""

from pathlib import Path

import numpy as np

from sigma_bench.miniworld.clips import crossing_shapes, stream
from sigma_bench.miniworld.generator import Counts, FileTask, Size, counts_of
from sigma_bench.miniworld.scene import SHAPES
from sigma_bench.miniworld.writers import write_jpeg, write_json, write_palette_mask
from sigma_bench.records.store import write_atomically

NUM_FRAMES, MASK_EVERY = 20, 5
SIZE = (4, 8)
"""Number of training and test videos."""


def build(root: Path, seed: int, size: Size) -> tuple[Counts, list[FileTask]]:
    """Write the annotation files; return the counts and the tasks that write the media files."""
    videos, tasks, held_out = {}, [], []
    masked = [str(number) for number in range(0, NUM_FRAMES, MASK_EVERY)]
    for part, count in counts_of(size).items():
        for number in range(count):
            name = f"{part[:2]}{number:08d}"
            shapes = _shapes_of(stream(seed, "youtube_vos", name, "shapes"), twins=number % 2 == 0)
            objects = {str(i): {"category": shape, "frames": masked} for i, shape in enumerate(shapes, start=1)}
            videos[name] = {"objects": objects}
            tasks.append(FileTask(_write_sequence, (root / "train", seed, name, shapes)))
            held_out += [name] if part == "test" else []
    write_json(root / "train" / "meta.json", {"videos": videos})
    write_atomically(root / "held_out.txt", ("\n".join(held_out) + "\n").encode())
    return {"youtube_vos": counts_of(size)}, tasks


def _shapes_of(rng: np.random.Generator, *, twins: bool) -> list[str]:
    shapes = [str(shape) for shape in rng.choice(SHAPES, 2, replace=False)]
    return [*shapes, shapes[0]] if twins else shapes


def _write_sequence(home: Path, seed: int, name: str, shapes: list[str]) -> None:
    frames, owners = crossing_shapes(stream(seed, "youtube_vos", name), shapes, num_frames=NUM_FRAMES)
    for number, (frame, owner) in enumerate(zip(frames, owners, strict=True)):
        write_jpeg(home / "JPEGImages" / name / f"{number}.jpg", frame)
        if number % MASK_EVERY == 0:
            write_palette_mask(home / "Annotations" / name / f"{number}.png", owner)
