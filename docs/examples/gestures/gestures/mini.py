"""Gestures at miniature size: a random texture moves in one of four directions, which no single frame shows."""

import json
from pathlib import Path

import numpy as np

from sigma_bench.extend import FileTask, write_video

WAYS = {"up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1)}
CLIPS_OF_PERSON = 12
FRAMES, CANVAS, CELL = 16, 64, 4
SIZE = (48, 24)
"""Number of training and test samples."""


def build(root: Path, seed: int, size: tuple[int, ...]) -> tuple[dict[str, dict[str, int]], list[FileTask]]:
    """Write the lists; return the number of samples of each split and the tasks that write the videos."""
    (root / "persons").mkdir(parents=True, exist_ok=True)
    (root / "classes.txt").write_text("\n".join(WAYS) + "\n")
    split: dict[str, list[str]] = {"train": [], "test": []}
    tasks = []
    for name, count in zip(split, size, strict=True):
        for _ in range(count // CLIPS_OF_PERSON):
            person = f"p{len(split['train']) + len(split['test']) + 1:02}"
            split[name].append(person)
            clips = {f"{number + 1:04}": list(WAYS)[number % len(WAYS)] for number in range(CLIPS_OF_PERSON)}
            content = [{"clip": clip, "gesture": gesture} for clip, gesture in clips.items()]
            (root / "persons" / f"{person}.json").write_text(json.dumps(content))
            for clip, gesture in clips.items():
                path = root / "videos" / person / f"{clip}.mp4"
                tasks.append(FileTask(_write_clip, (path, [seed, int(person[1:]), int(clip)], gesture)))
    (root / "split.json").write_text(json.dumps(split))
    return {"gestures": {name: len(persons) * CLIPS_OF_PERSON for name, persons in split.items()}}, tasks


def _write_clip(path: Path, seed: list[int], gesture: str) -> None:
    """Draw and write one clip; what leaves the frame on one side comes back on the other."""
    rng = np.random.default_rng(seed)
    cell_HWC = rng.integers(0, 256, (CANVAS // CELL, CANVAS // CELL, 3), np.uint8)
    image_HWC = cell_HWC.repeat(CELL, 0).repeat(CELL, 1)
    step = np.array(WAYS[gesture]) * CELL
    write_video(path, np.stack([np.roll(image_HWC, number * step, (0, 1)) for number in range(FRAMES)]))
