"""Mini Something-Something v2: eight templates by the direction of motion; the moving digit is the [something]."""

from pathlib import Path

from sigma_bench.miniworld.clips import WAYS, gliding_flock, stream
from sigma_bench.miniworld.generator import Counts, FileTask, Size, counts_of
from sigma_bench.miniworld.scene import DIGITS
from sigma_bench.miniworld.writers import write_json, write_video

SIZE = (1000, 400)
"""Number of training and test samples."""


def build(root: Path, seed: int, size: Size) -> tuple[Counts, list[FileTask]]:
    """Write the annotation files; return the counts and the tasks that write the media files."""
    templates = [f"Moving [something] from {way}" for way in WAYS]
    labels = {template.replace("[something]", "something"): str(i) for i, template in enumerate(templates)}
    tasks, number = [], 1
    for part, official, count in (("train", "train", size[0]), ("test", "validation", size[1])):
        entries = []
        for position in range(count):
            digit = int(stream(seed, "ssv2", part, position, "digit").integers(10))
            thing = DIGITS[digit].lower()
            template = templates[position % len(templates)]
            entries.append(
                {
                    "id": str(number),
                    "label": template.replace("[something]", thing).lower(),
                    "template": template,
                    "placeholders": [thing],
                }
            )
            video = root / "20bn-something-something-v2" / f"{number}.webm"
            tasks.append(FileTask(_write_ssv2_clip, (video, seed, digit, part, position)))
            number += 1
        write_json(root / "labels" / f"something-something-v2-{official}.json", entries)
    write_json(root / "labels" / "something-something-v2-labels.json", labels)
    return {"ssv2": counts_of(size)}, tasks


def _write_ssv2_clip(path: Path, seed: int, digit: int, part: str, position: int) -> None:
    way = list(WAYS.values())[position % len(WAYS)]
    write_video(path, gliding_flock(stream(seed, "ssv2", part, position), way, digit=digit, part=part))
