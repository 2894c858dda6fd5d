"""The mini world on disk: four datasets in their official layouts, at miniature size.

The same seed writes the same bytes.  A marker file beside each dataset says that it is the mini world, which
seed drew it and how many samples it has, so that nothing here can pass for the real dataset.
"""

import json
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sigma_bench.data.manifest import MINIWORLD_MARKER
from sigma_bench.data.miniworld.clips import CANVAS, DIRECTIONS, flock_clip, occluding_shapes, stream
from sigma_bench.data.miniworld.files import write_jpeg, write_palette_mask, write_video
from sigma_bench.records.store import write_atomically

GENERATOR_VERSION = 1
DIGITS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")
UCF_GROUPS, UCF_TEST_GROUPS, UCF_CLIPS_PER_GROUP = 25, 7, 4
SSV2_SAMPLES = {"train": 1200, "test": 400}
CIFAR_SAMPLES = {"train": 1500, "test": 1000}
DAVIS_SEQUENCES = {"train": 4, "test": 8}
DAVIS_FRAMES = 20


@dataclass(frozen=True)
class _Job:
    """One file to draw and write in a worker process."""

    write: Callable[..., None]
    arguments: tuple[Any, ...]


def write_miniworld(root: Path, seed: int, *, num_workers: int = 2) -> Iterator[float]:
    """Write all datasets below ``root``, yielding the share done; datasets already complete are left alone.

    Raises:
        ValueError: a folder of that name holds something else than this mini world, or cannot be written.
    """
    builders = {"ucf101": _ucf101, "ssv2": _ssv2, "cifar100": _cifar100, "davis2017": _davis2017}
    pending = {name: build for name, build in builders.items() if not _is_complete(root / name, seed)}
    jobs, markers = [], []
    for name, build in pending.items():
        counts, dataset_jobs = build(root / name, seed)
        jobs += dataset_jobs
        markers.append((root / name / MINIWORLD_MARKER, counts))
    done = 0
    with ProcessPoolExecutor(num_workers) as pool:
        for _ in pool.map(_run, jobs, chunksize=16):
            done += 1
            yield done / len(jobs)
    for path, counts in markers:
        marker = {"generator": GENERATOR_VERSION, "seed": seed, "samples": counts}
        write_atomically(path, json.dumps(marker).encode())


def _is_complete(folder: Path, seed: int) -> bool:
    marker = folder / MINIWORLD_MARKER
    if not marker.is_file():
        official = ("ucfTrainTestlist", "labels", "cifar-100-python", "DAVIS")
        if any((folder / name).exists() for name in official) and not (folder / ".miniworld-unfinished").exists():
            raise ValueError(f"{folder}: holds a dataset that is not the mini world; choose another folder")
        write_atomically(folder / ".miniworld-unfinished", b"")
        return False
    content = json.loads(marker.read_text())
    if (content["generator"], content["seed"]) != (GENERATOR_VERSION, seed):
        raise ValueError(
            f"{folder}: holds the mini world of generator {content['generator']}, seed {content['seed']}; "
            f"wanted generator {GENERATOR_VERSION}, seed {seed}; choose another folder or remove this one"
        )
    return True


def _run(job: _Job) -> None:
    job.write(*job.arguments)


def _ucf101(root: Path, seed: int) -> tuple[dict[str, int], list[_Job]]:
    """Ten classes by the digit shown; official naming with 25 groups, the first 7 of them test."""
    lists: dict[str, list[str]] = {"train": [], "test": []}
    jobs = []
    for label, name in enumerate(f"Digit{digit}" for digit in DIGITS):
        for group in range(1, UCF_GROUPS + 1):
            part = "test" if group <= UCF_TEST_GROUPS else "train"
            for clip in range(1, UCF_CLIPS_PER_GROUP + 1):
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


def _ssv2(root: Path, seed: int) -> tuple[dict[str, int], list[_Job]]:
    """Eight templates by the direction of motion; the digit that moves is the [something]."""
    templates = [f"Moving [something] from {direction}" for direction in DIRECTIONS]
    labels = {template.replace("[something]", "something"): str(i) for i, template in enumerate(templates)}
    jobs, number = [], 1
    for part, official in (("train", "train"), ("test", "validation")):
        entries = []
        for position in range(SSV2_SAMPLES[part]):
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
    return dict(SSV2_SAMPLES), jobs


def _write_ssv2_clip(path: Path, seed: int, digit: int, direction: int, part: str, position: int) -> None:
    rng = stream(seed, "ssv2", part, position)
    write_video(path, flock_clip(rng, digit=digit, part=part, num_frames=16, direction=direction))


def _cifar100(root: Path, seed: int) -> tuple[dict[str, int], list[_Job]]:
    """Ten classes by the digit shown, as 32 x 32 stills in the pickles torchvision downloads."""
    names = [f"digit_{digit.lower()}" for digit in DIGITS]
    folder = root / "cifar-100-python"
    _write_pickle(folder / "meta", {"fine_label_names": names, "coarse_label_names": ["digit"]})
    jobs = [_Job(_write_cifar_split, (folder / part, seed, part, count)) for part, count in CIFAR_SAMPLES.items()]
    return dict(CIFAR_SAMPLES), jobs


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


def _davis2017(root: Path, seed: int) -> tuple[dict[str, int], list[_Job]]:
    """Sequences of two or three occluding shapes with instance masks."""
    home = root / "DAVIS"
    jobs = []
    for part, official in (("train", "train"), ("test", "val")):
        names = [f"shapes-{official}-{number:02d}" for number in range(DAVIS_SEQUENCES[part])]
        write_atomically(home / "ImageSets" / "2017" / f"{official}.txt", ("\n".join(names) + "\n").encode())
        jobs += [_Job(_write_davis_sequence, (home, seed, name)) for name in names]
    return dict(DAVIS_SEQUENCES), jobs


def _write_davis_sequence(home: Path, seed: int, name: str) -> None:
    frames, owners = occluding_shapes(stream(seed, "davis2017", name), num_frames=DAVIS_FRAMES)
    for number, (frame, owner) in enumerate(zip(frames, owners, strict=True)):
        write_jpeg(home / "JPEGImages" / "480p" / name / f"{number:05d}.jpg", frame)
        write_palette_mask(home / "Annotations_unsupervised" / "480p" / name / f"{number:05d}.png", owner)


def _write_json(path: Path, content: Any) -> None:
    write_atomically(path, json.dumps(content, indent=0).encode())


def _write_pickle(path: Path, content: dict[str, Any]) -> None:
    write_atomically(path, pickle.dumps(content, protocol=2))
