"""Mini Kinetics-400: eight classes by the pattern of the scene, with lists in ActivityNet's format."""

from pathlib import Path

from sigma_bench.miniworld.clips import scene_clip, stream
from sigma_bench.miniworld.generator import Counts, FileTask, Size, counts_of
from sigma_bench.miniworld.patterns import SCENES, Scene
from sigma_bench.miniworld.writers import write_video
from sigma_bench.records.store import write_atomically

CLASSES = tuple(scene for scene in SCENES if scene.pattern != "plaid")
SIZE = (240, 120)
"""Number of training and test samples."""


def build(root: Path, seed: int, size: Size) -> tuple[Counts, list[FileTask]]:
    """Write the annotation files; return the counts and the tasks that write the media files."""
    tasks = []
    for part, official, count in (("train", "train", size[0]), ("test", "val", size[1])):
        rows = ["label,youtube_id,time_start,time_end,split,is_cc"]
        for position in range(count):
            scene = CLASSES[position % len(CLASSES)]
            label, video = scene.words, f"{part[:2]}{position:09d}"
            rows.append(f"{label},{video},{position},{position + 10},{official},1")
            path = root / official / label / f"{video}_{position:06d}_{position + 10:06d}.mp4"
            tasks.append(FileTask(_write_clip, (path, seed, scene)))
        write_atomically(root / f"kinetics-400_{official}.csv", ("\n".join(rows) + "\n").encode())
    return {"kinetics400": counts_of(size)}, tasks


def _write_clip(path: Path, seed: int, scene: Scene) -> None:
    rng = stream(seed, "kinetics400", path.stem)
    write_video(path, scene_clip(rng, scene.pattern, scene.width, num_frames=16))
