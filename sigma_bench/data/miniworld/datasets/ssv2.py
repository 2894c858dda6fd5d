"""Mini SSv2: eight templates by the direction of motion; the digit that moves is the [something]."""

from pathlib import Path

from sigma_bench.data.miniworld.clips import DIRECTIONS, flock_clip, stream
from sigma_bench.data.miniworld.files import write_json, write_video
from sigma_bench.data.miniworld.job import Counts, Job, counts_of
from sigma_bench.data.miniworld.scene import DIGITS
from sigma_bench.data.miniworld.size import WorldSize


def build(root: Path, seed: int, size: WorldSize) -> tuple[Counts, list[Job]]:
    """The lists, written; and the jobs that write the rest."""
    templates = [f"Moving [something] from {direction}" for direction in DIRECTIONS]
    labels = {template.replace("[something]", "something"): str(i) for i, template in enumerate(templates)}
    jobs, number = [], 1
    for part, official, count in (("train", "train", size.ssv2[0]), ("test", "validation", size.ssv2[1])):
        entries = []
        for position in range(count):
            digit = int(stream(seed, "ssv2", part, position, "digit").integers(10))
            direction = position % len(DIRECTIONS)
            thing = DIGITS[digit].lower()
            template = templates[direction]
            entries.append(
                {
                    "id": str(number),
                    "label": template.replace("[something]", thing).lower(),
                    "template": template,
                    "placeholders": [thing],
                }
            )
            video = root / "20bn-something-something-v2" / f"{number}.webm"
            jobs.append(Job(_write_ssv2_clip, (video, seed, digit, direction, part, position)))
            number += 1
        write_json(root / "labels" / f"something-something-v2-{official}.json", entries)
    write_json(root / "labels" / "something-something-v2-labels.json", labels)
    return {"ssv2": counts_of(size.ssv2)}, jobs


def _write_ssv2_clip(path: Path, seed: int, digit: int, direction: int, part: str, position: int) -> None:
    rng = stream(seed, "ssv2", part, position)
    write_video(path, flock_clip(rng, digit=digit, part=part, num_frames=16, direction=direction))
