"""Mini UCF101: ten classes by the pattern of the scene, with official file names.

There are 25 groups, of which the first 7 are test.

The folder also has the videos and annotations of the mini UCFRep.
"""

from pathlib import Path

from sigma_bench.miniworld import ucfrep
from sigma_bench.miniworld.clips import scene_clip, stream
from sigma_bench.miniworld.generator import Counts, FileTask, Size
from sigma_bench.miniworld.patterns import SCENES, Scene
from sigma_bench.miniworld.writers import write_video
from sigma_bench.records.store import write_atomically

UCF_GROUPS, UCF_TEST_GROUPS = 25, 7
SIZE = (3, 20, 5)
"""Number of clips of each group, and of UCFRep's training and test groups."""


def build(root: Path, seed: int, size: Size) -> tuple[Counts, list[FileTask]]:
    """Write the annotation files; return the counts and the tasks that write the media files."""
    clips_per_group, *repetition_groups = size
    lists: dict[str, list[str]] = {"train": [], "test": []}
    tasks = []
    names = [scene.words.title().replace(" ", "") for scene in SCENES]
    for label, (name, scene) in enumerate(zip(names, SCENES, strict=True)):
        for group in range(1, UCF_GROUPS + 1):
            part = "test" if group <= UCF_TEST_GROUPS else "train"
            for clip in range(1, clips_per_group + 1):
                relative = f"{name}/v_{name}_g{group:02d}_c{clip:02d}.avi"
                lists[part].append(relative if part == "test" else f"{relative} {label + 1}")
                tasks.append(FileTask(_write_ucf_clip, (root / "UCF-101" / relative, seed, scene)))
    folder = root / "ucfTrainTestlist"
    classes = [f"{label + 1} {name}" for label, name in enumerate(names)]
    for file, content in (("classInd", classes), ("trainlist01", lists["train"]), ("testlist01", lists["test"])):
        write_atomically(folder / f"{file}.txt", ("\n".join(content) + "\n").encode())
    counts = {part: len(rows) for part, rows in lists.items()}
    repetitions, repetition_tasks = ucfrep.build(root, seed, tuple(repetition_groups))
    return {"ucf101": counts, "ucf101_1k": counts, **repetitions}, tasks + repetition_tasks


def _write_ucf_clip(path: Path, seed: int, scene: Scene) -> None:
    rng = stream(seed, "ucf101", path.stem)
    write_video(path, scene_clip(rng, scene.pattern, scene.width, num_frames=16))
