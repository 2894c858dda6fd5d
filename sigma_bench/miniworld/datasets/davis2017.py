"""Mini DAVIS-2017: sequences of two or three occluding shapes with instance masks."""

from pathlib import Path

from sigma_bench.miniworld.clips import occluding_shapes, stream
from sigma_bench.miniworld.generator import Counts, FileTask, Size, counts_of
from sigma_bench.miniworld.writers import write_jpeg, write_palette_mask
from sigma_bench.records.store import write_atomically

DAVIS_FRAMES = 20
SIZE = (4, 16)
"""Number of training and test sequences."""


def build(root: Path, seed: int, size: Size) -> tuple[Counts, list[FileTask]]:
    """Write the annotation files; return the counts and the tasks that write the media files."""
    home = root / "DAVIS"
    tasks = []
    for official, count in (("train", size[0]), ("val", size[1])):
        names = [f"shapes-{official}-{number:02d}" for number in range(count)]
        write_atomically(home / "ImageSets" / "2017" / f"{official}.txt", ("\n".join(names) + "\n").encode())
        tasks += [FileTask(_write_davis_sequence, (home, seed, name)) for name in names]
    return {"davis2017": counts_of(size)}, tasks


def _write_davis_sequence(home: Path, seed: int, name: str) -> None:
    frames, owners = occluding_shapes(stream(seed, "davis2017", name), num_frames=DAVIS_FRAMES)
    for number, (frame, owner) in enumerate(zip(frames, owners, strict=True)):
        write_jpeg(home / "JPEGImages" / "480p" / name / f"{number:05d}.jpg", frame)
        write_palette_mask(home / "Annotations_unsupervised" / "480p" / name / f"{number:05d}.png", owner)
