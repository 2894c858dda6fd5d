"""Charades, whose videos have several actions over time, from the official lists or the frame lists of PySlowFast.

The official lists are ``Charades/Charades_v1_{train,test}.csv`` with the columns id, actions (such as
``c092 11.90 21.20;c147 0.00 12.60``) and length.  The frame lists are ``frame_lists/{train,val}.csv`` with one row per
frame at 24 frames per second.  Videos are ``Charades_v1_480/<id>.mp4``; frames are
``Charades_v1_rgb/<id>/<id>-000001.jpg``.
"""

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from sigma_bench.data.annotations import ActionIntervals
from sigma_bench.data.manifest import Manifest, Sample, Split, expected_counts, make_split
from sigma_bench.data.media import find_video
from sigma_bench.data.official_lists import lines, table
from sigma_bench.data.parts import Part, first_bytes
from sigma_bench.specs.dataset import DatasetCard, SplitName

FRAMES_PER_SECOND = 24
_CSV: dict[SplitName, str] = {"train": "Charades_v1_train.csv", "test": "Charades_v1_test.csv"}
_FRAME_LIST: dict[SplitName, str] = {"train": "train.csv", "test": "val.csv"}
_ACTION = re.compile(r"^c(\d{3}) (\d+(?:\.\d+)?) (\d+(?:\.\d+)?)$")
_FRAME_COLUMNS = ("original_vido_id", "frame_id", "path", "labels")


def _are_frame_lists(folder: Path) -> bool:
    return first_bytes(folder / "train.csv").startswith(_FRAME_COLUMNS[0].encode())


_FOLDERS = ("Charades_v1_480", "Charades_v1_rgb", "Charades_v1")
PARTS = (
    Part("Charades", (r"Charades_v1_train\.csv", r"Charades_v1_test\.csv"), also=("",)),
    Part(_FOLDERS[0], (r"[A-Z0-9]{5}\.\w+",), also=_FOLDERS[1:], is_media=True),
    Part(_FOLDERS[0], (r"[A-Z0-9]{5}/[A-Z0-9]{5}-\d{6}\.jpg",), also=_FOLDERS[1:], is_media=True),
    Part("frame_lists", (r"train\.csv", r"val\.csv"), is_optional=True, accepts=_are_frame_lists),
)


def read(root: Path, card: DatasetCard) -> Manifest:
    """Find Charades below ``root``; the annotation of a sample is its actions with their times in seconds."""
    home = root / "Charades" if (root / "Charades").is_dir() else root
    is_official = (home / _CSV["train"]).exists() or not (root / "frame_lists").is_dir()
    data_source, expected = expected_counts(root, card)
    splits: dict[SplitName, Split] = {}
    for split, name in (_CSV if is_official else _FRAME_LIST).items():
        path = home / name if is_official else root / "frame_lists" / name
        found = _from_csv(path, card.classes or 0) if is_official else _from_frames(path, card.classes or 0)
        samples = [_sample(root, video, actions) for video, actions in found]
        splits[split] = make_split(split, samples, expected[split], path)
    return Manifest(
        card.dataset, data_source, _class_names(home / "Charades_v1_classes.txt", card.classes or 0), splits
    )


def _sample(root: Path, name: str, actions: ActionIntervals) -> Sample:
    video, media = find_video(tuple(root / folder for folder in _FOLDERS), name, ".mp4")
    return Sample(name, video, media, None, group=name, annotation=actions)


def _from_csv(path: Path, num_classes: int) -> Iterator[tuple[str, ActionIntervals]]:
    for number, row in table(path, ("id", "actions", "length")):
        intervals = []
        for text in filter(None, row["actions"].split(";")):
            match = _ACTION.match(text)
            if match is None or int(match[1]) >= num_classes:
                raise ValueError(
                    f"{path}: line {number}: '{text}' is not '<action> <start> <end>' of an action c000 to "
                    f"c{num_classes - 1:03}; fetch the official file again"
                )
            intervals.append((int(match[1]), float(match[2]), float(match[3])))
        yield row["id"], ActionIntervals(tuple(intervals))


def _from_frames(path: Path, num_classes: int) -> Iterator[tuple[str, ActionIntervals]]:
    """Names and actions of the videos; consecutive frames with a label are one interval.

    Frame f, counted from 0, lasts from f / 24 to (f + 1) / 24 seconds.
    """
    rows = table(path, _FRAME_COLUMNS, separator=" ")
    for name, of_video in groupby(rows, key=lambda row: row[1]["original_vido_id"]):
        open_since: dict[int, int] = {}
        intervals: list[tuple[int, float, float]] = []
        frame = -1
        for frame, (number, row) in enumerate(of_video):
            labels = set(filter(None, row["labels"].split(",")))
            if not all(label.isdecimal() and int(label) < num_classes for label in labels):
                raise ValueError(f"{path}: line {number}: '{row['labels']}' are not labels below {num_classes}")
            active = set(map(int, labels))
            ended = sorted(open_since.keys() - active)
            intervals += [_interval(label, open_since.pop(label), frame) for label in ended]
            for label in active - open_since.keys():
                open_since[label] = frame
        intervals += [_interval(label, first, frame + 1) for label, first in sorted(open_since.items())]
        yield name, ActionIntervals(tuple(intervals))


def _interval(label: int, first: int, end: int) -> tuple[int, float, float]:
    return label, first / FRAMES_PER_SECOND, end / FRAMES_PER_SECOND


def _class_names(path: Path, num_classes: int) -> tuple[str, ...]:
    """Class names from ``Charades_v1_classes.txt`` (lines ``c000 Holding some clothes``); numbers without it."""
    if not path.exists():
        return tuple(f"c{number:03d}" for number in range(num_classes))
    return tuple(line.partition(" ")[2] for _, line in lines(path))
