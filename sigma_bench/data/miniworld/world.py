"""The mini world on disk: four datasets in their official layouts, at miniature size.

The same seed writes the same bytes.  A marker file beside each dataset says that it is the mini world, which
seed drew it and how many samples it has, so that nothing here can pass for the real dataset.
"""

import json
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sigma_bench.data.manifest import MINIWORLD_MARKER
from sigma_bench.data.miniworld.clips import CANVAS, DIRECTIONS, flock_clip, occluding_shapes, stream
from sigma_bench.data.miniworld.files import write_jpeg, write_palette_mask, write_video
from sigma_bench.records.store import write_atomically

GENERATOR_VERSION = 1
UNFINISHED_MARKER = ".miniworld-unfinished"
DIGITS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")
UCF_GROUPS, UCF_TEST_GROUPS = 25, 7
DAVIS_FRAMES = 20


@dataclass(frozen=True)
class WorldSize:
    """How many samples each dataset gets, (train, test) where there are two numbers."""

    ucf_clips_per_group: int = 4
    ssv2: tuple[int, int] = (1200, 400)
    cifar100: tuple[int, int] = (1500, 1000)
    davis2017: tuple[int, int] = (4, 8)


@dataclass(frozen=True)
class _Job:
    """One file to draw and write in a worker process."""

    write: Callable[..., None]
    arguments: tuple[Any, ...]


def write_miniworld(root: Path, seed: int, *, size: WorldSize | None = None, num_workers: int = 2) -> Iterator[float]:
    """Write all datasets below ``root``, yielding the share done; datasets already complete are left alone.

    Raises:
        ValueError: a folder of that name holds something else than this mini world, or cannot be written.
    """
    size = size or WorldSize()
    builders = {"ucf101": _ucf101, "ssv2": _ssv2, "cifar100": _cifar100, "davis2017": _davis2017}
    pending = {name: build for name, build in builders.items() if not _is_complete(root / name, seed, size)}
    jobs, markers = [], []
    for name, build in pending.items():
        counts, dataset_jobs = build(root / name, seed, size)
        jobs += dataset_jobs
        markers.append((root / name / MINIWORLD_MARKER, counts))
    done = 0
    with ProcessPoolExecutor(num_workers) as pool:
        for _ in pool.map(_run, jobs, chunksize=16):
            done += 1
            yield done / len(jobs)
    for path, counts in markers:
        marker = {**_identity(seed, size), "samples": counts}
        write_atomically(path, json.dumps(marker).encode())
        (path.parent / UNFINISHED_MARKER).unlink()


def _identity(seed: int, size: WorldSize) -> dict[str, Any]:
    return {"generator": GENERATOR_VERSION, "seed": seed, "size": json.loads(json.dumps(asdict(size)))}


def _is_complete(folder: Path, seed: int, size: WorldSize) -> bool:
    marker = folder / MINIWORLD_MARKER
    if not marker.is_file():
        official = ("ucfTrainTestlist", "labels", "cifar-100-python", "DAVIS")
        if any((folder / name).exists() for name in official) and not (folder / UNFINISHED_MARKER).exists():
            raise ValueError(f"{folder}: holds a dataset that is not the mini world; choose another folder")
        write_atomically(folder / UNFINISHED_MARKER, b"")
        return False
    content = json.loads(marker.read_text())
    if any(content.get(key) != value for key, value in _identity(seed, size).items()):
        raise ValueError(
            f"{folder}: holds another mini world (generator {content['generator']}, seed {content['seed']}); "
            f"wanted generator {GENERATOR_VERSION}, seed {seed}; choose another folder or remove this one"
        )
    return True


def _run(job: _Job) -> None:
    job.write(*job.arguments)


def _ucf101(root: Path, seed: int, size: WorldSize) -> tuple[dict[str, int], list[_Job]]:
    """Ten classes by the digit shown; official naming with 25 groups, the first 7 of them test."""
    lists: dict[str, list[str]] = {"train": [], "test": []}
    jobs = []
    for label, name in enumerate(f"Digit{digit}" for digit in DIGITS):
        for group in range(1, UCF_GROUPS + 1):
            part = "test" if group <= UCF_TEST_GROUPS else "train"
            for clip in range(1, size.ucf_clips_per_group + 1):
                relative = f"{name}/v_{name}_g{group:02d}_c{clip:02d}.avi"
                lists[part].append(relative if part == "test" else f"{relative} {label + 1}")
                jobs.append(_Job(_write_ucf_clip, (root / "UCF-101" / relative, seed, label, group, clip, part)))
    folder = root / "ucfTrainTestlist"
    classes = [f"{label + 1} Digit{digit}" for label, digit in enumerate(DIGITS)]
    for file, content in (("classInd", classes), ("trainlist01", lists["train"]), ("testlist01", lists["test"])):
        write_atomically(folder / f"{file}.txt", ("\n".join(content) + "\n").encode())
    return {part: len(rows) for part, rows in lists.items()}, jobs


def _write_ucf_clip(path: Path, seed: int, digit: int, group: int, clip: int, part: str) -> None:
    rng = stream(seed, "ucf101", digit, group, clip)
    write_video(path, flock_clip(rng, digit=digit, part=part, num_frames=16, speed_px=(0.5, 2.0)))


def _ssv2(root: Path, seed: int, size: WorldSize) -> tuple[dict[str, int], list[_Job]]:
    """Eight templates by the direction of motion; the digit that moves is the [something]."""
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
            jobs.append(_Job(_write_ssv2_clip, (video, seed, digit, direction, part, position)))
            number += 1
        _write_json(root / "labels" / f"something-something-v2-{official}.json", entries)
    _write_json(root / "labels" / "something-something-v2-labels.json", labels)
    return _counts(size.ssv2), jobs


def _write_ssv2_clip(path: Path, seed: int, digit: int, direction: int, part: str, position: int) -> None:
    rng = stream(seed, "ssv2", part, position)
    write_video(path, flock_clip(rng, digit=digit, part=part, num_frames=16, direction=direction))


def _cifar100(root: Path, seed: int, size: WorldSize) -> tuple[dict[str, int], list[_Job]]:
    """Ten classes by the digit shown, as 32 x 32 stills in the pickles torchvision downloads."""
    names = [f"digit_{digit.lower()}" for digit in DIGITS]
    folder = root / "cifar-100-python"
    _write_pickle(folder / "meta", {"fine_label_names": names, "coarse_label_names": ["digit"]})
    jobs = [
        _Job(_write_cifar_split, (folder / part, seed, part, count)) for part, count in _counts(size.cifar100).items()
    ]
    return _counts(size.cifar100), jobs


def _write_cifar_split(path: Path, seed: int, part: str, count: int) -> None:
    labels = [position % len(DIGITS) for position in range(count)]
    images = []
    for position, digit in enumerate(labels):
        rng = stream(seed, "cifar100", part, position)
        images.append(flock_clip(rng, digit=digit, part=part, num_frames=1, side=CANVAS // 2)[0])
    content = {
        "data": np.stack(images).transpose(0, 3, 1, 2).reshape(count, -1),
        "fine_labels": labels,
        "coarse_labels": [0] * count,
        "filenames": [f"{part}_{position:05d}.png" for position in range(count)],
    }
    _write_pickle(path, content)


def _davis2017(root: Path, seed: int, size: WorldSize) -> tuple[dict[str, int], list[_Job]]:
    """Sequences of two or three occluding shapes with instance masks."""
    home = root / "DAVIS"
    jobs = []
    for official, count in (("train", size.davis2017[0]), ("val", size.davis2017[1])):
        names = [f"shapes-{official}-{number:02d}" for number in range(count)]
        write_atomically(home / "ImageSets" / "2017" / f"{official}.txt", ("\n".join(names) + "\n").encode())
        jobs += [_Job(_write_davis_sequence, (home, seed, name)) for name in names]
    return _counts(size.davis2017), jobs


def _write_davis_sequence(home: Path, seed: int, name: str) -> None:
    frames, owners = occluding_shapes(stream(seed, "davis2017", name), num_frames=DAVIS_FRAMES)
    for number, (frame, owner) in enumerate(zip(frames, owners, strict=True)):
        write_jpeg(home / "JPEGImages" / "480p" / name / f"{number:05d}.jpg", frame)
        write_palette_mask(home / "Annotations_unsupervised" / "480p" / name / f"{number:05d}.png", owner)


def _counts(sizes: tuple[int, int]) -> dict[str, int]:
    return dict(zip(("train", "test"), sizes, strict=True))


def _write_json(path: Path, content: Any) -> None:
    write_atomically(path, json.dumps(content, indent=0).encode())


def _write_pickle(path: Path, content: dict[str, Any]) -> None:
    write_atomically(path, pickle.dumps(content, protocol=2))
