"""Mini ImageNet-1K: JPEG images in ten classes by the pattern of the scene, in folders with names like WordNet ids."""

from pathlib import Path

from sigma_bench.miniworld.clips import scene_clip, stream
from sigma_bench.miniworld.generator import Counts, FileTask, Size, counts_of
from sigma_bench.miniworld.patterns import SCENES, Scene
from sigma_bench.miniworld.writers import write_jpeg

SIZE = (300, 200)
"""Number of training and test samples."""


def build(root: Path, seed: int, size: Size) -> tuple[Counts, list[FileTask]]:
    """Return the counts and the tasks that write the images; ImageNet has no lists."""
    tasks = []
    for part, folder in (("train", "train"), ("test", "val")):
        for position in range(counts_of(size)[part]):
            label = position % len(SCENES)
            path = root / folder / f"n{label:08d}" / f"n{label:08d}_{part}{position}.JPEG"
            tasks.append(FileTask(_write_image, (path, seed, SCENES[label])))
    return {"imagenet1k": counts_of(size)}, tasks


def _write_image(path: Path, seed: int, scene: Scene) -> None:
    rng = stream(seed, "imagenet1k", path.stem)
    write_jpeg(path, scene_clip(rng, scene.pattern, scene.width, num_frames=1)[0])
