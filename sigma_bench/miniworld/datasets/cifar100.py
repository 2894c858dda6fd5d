"""Mini CIFAR-100: images of 32 x 32 pixels in ten classes by the pattern of the scene.

They are written as the pickles that torchvision reads.
"""

import pickle
from pathlib import Path

import numpy as np

from sigma_bench.miniworld.clips import scene_clip, stream
from sigma_bench.miniworld.generator import Counts, FileTask, Size, counts_of
from sigma_bench.miniworld.patterns import SCENES
from sigma_bench.miniworld.scene import CANVAS
from sigma_bench.records.store import write_atomically

SIZE = (500, 400)
"""Number of training and test samples."""


def build(root: Path, seed: int, size: Size) -> tuple[Counts, list[FileTask]]:
    """Write the annotation files; return the counts and the tasks that write the media files."""
    names = [scene.words.replace(" ", "_") for scene in SCENES]
    folder = root / "cifar-100-python"
    write_atomically(
        folder / "meta", pickle.dumps({"fine_label_names": names, "coarse_label_names": ["scene"]}, protocol=2)
    )
    tasks = [
        FileTask(_write_cifar_split, (folder / part, seed, part, count)) for part, count in counts_of(size).items()
    ]
    return {"cifar100": counts_of(size)}, tasks


def _write_cifar_split(path: Path, seed: int, part: str, count: int) -> None:
    labels = [position % len(SCENES) for position in range(count)]
    images = []
    for position, label in enumerate(labels):
        rng, scene = stream(seed, "cifar100", part, position), SCENES[label]
        images.append(scene_clip(rng, scene.pattern, scene.width, num_frames=1, side=CANVAS // 2)[0])
    content = {
        "data": np.stack(images).transpose(0, 3, 1, 2).reshape(count, -1),
        "fine_labels": labels,
        "coarse_labels": [0] * count,
        "filenames": [f"{part}_{position:05d}.png" for position in range(count)],
    }
    write_atomically(path, pickle.dumps(content, protocol=4))
