"""Mini ImageNet-1K: JPEG images in ten classes by the digit shown, in folders with names like WordNet ids."""

from pathlib import Path

from sigma_bench.miniworld.clips import flock_clip, stream
from sigma_bench.miniworld.generator import Counts, FileTask, Size, counts_of
from sigma_bench.miniworld.scene import DIGITS
from sigma_bench.miniworld.writers import write_jpeg

SIZE = (300, 200)
"""Number of training and test samples."""


def build(root: Path, seed: int, size: Size) -> tuple[Counts, list[FileTask]]:
    """Return the counts and the tasks that write the images; ImageNet has no lists."""
    tasks = []
    for part, folder in (("train", "train"), ("test", "val")):
        for position in range(counts_of(size)[part]):
            digit = position % len(DIGITS)
            path = root / folder / f"n{digit:08d}" / f"n{digit:08d}_{part}{position}.JPEG"
            tasks.append(FileTask(_write_image, (path, seed, digit, part)))
    return {"imagenet1k": counts_of(size)}, tasks


def _write_image(path: Path, seed: int, digit: int, part: str) -> None:
    write_jpeg(path, flock_clip(stream(seed, "imagenet1k", path.stem), digit=digit, part=part, num_frames=1)[0])
