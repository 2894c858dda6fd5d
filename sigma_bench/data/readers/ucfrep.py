"""UCFRep: repetition labels of 526 videos of UCF101 in ``UCFRep/annotations/repetition_label/<Class>.txt``.

Groups g01 to g20 are the training split, and g21 to g25 the validation split, which is the test split here.  Videos
without repetitions, whose line is 0, are not part of the dataset.  Frames are numbered from 1 in the files and from 0
here.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from sigma_bench.data.annotations import CycleBounds
from sigma_bench.data.data_files import contents, visible
from sigma_bench.data.manifest import Manifest, Sample, Split, expected_counts, make_split
from sigma_bench.data.media import find_video
from sigma_bench.data.official_lists import lines
from sigma_bench.data.parts import Part
from sigma_bench.data.readers.ucf101 import VIDEOS
from sigma_bench.specs.dataset import DatasetCard, SplitName

_VIDEO = re.compile(r"^v_(?P<class>[A-Za-z]+)_g(?P<group>\d\d)_c\d\d$")
_LAST_TRAIN_GROUP = 20
_FOLDERS_OF_CLASS = {"HandStandPushups": ("HandstandPushups", "HandStandPushups")}
"""Folders to search for the videos of a class, in order, if it is not the folder with the name of the class.

UCF101 spells the folder of this class differently from its files; copies made for counting spell both in the same way.
"""
PARTS = (Part("UCFRep", (r"annotations/repetition_label/[A-Z]\w+\.txt",)), VIDEOS)


def read(root: Path, card: DatasetCard) -> Manifest:
    """Find UCFRep in UCF101's folder; the annotation of a sample is the bounds of its cycles."""
    folder = root / "UCFRep" / "annotations" / "repetition_label"
    paths = [path for path in visible(folder) if path.suffix == ".txt"]
    if not paths:
        raise ValueError(
            f"{folder}: no repetition labels here ('<Class>.txt' of ucf526_annotations.zip); {contents(folder)}"
        )
    data_source, expected = expected_counts(root, card)
    samples: dict[SplitName, list[Sample]] = {"train": [], "test": []}
    for path in paths:
        for name, group, bounds in _videos(path):
            is_train = group <= _LAST_TRAIN_GROUP
            samples["train" if is_train else "test"].append(_sample(root, name, bounds))
    splits: dict[SplitName, Split] = {
        name: make_split(name, found, expected[name], folder) for name, found in samples.items()
    }
    return Manifest(card.dataset, data_source, None, splits)


def _videos(path: Path) -> Iterator[tuple[str, int, CycleBounds]]:
    """Name, group and cycles of the videos of one class that contain repetitions."""
    rows = list(lines(path))
    for (number, name), (number_of_bounds, text) in zip(rows[::2], rows[1::2], strict=False):
        match = _VIDEO.match(name)
        if match is None:
            raise ValueError(f"{path}: line {number}: expected 'v_<Class>_gNN_cNN', got '{name}'")
        numbers = text.split()
        frames = [int(number) for number in numbers if number.isdecimal()]
        if len(frames) < len(numbers) or frames != sorted(set(frames)):
            raise ValueError(f"{path}: line {number_of_bounds}: expected ascending frame numbers, got '{text}'")
        if frames != [0]:
            yield name, int(match["group"]), CycleBounds(tuple(frame - 1 for frame in frames))
    if len(rows) % 2:
        raise ValueError(f"{path}: line {rows[-1][0]}: the frames of '{rows[-1][1]}' are missing")


def _sample(root: Path, name: str, bounds: CycleBounds) -> Sample:
    match = _VIDEO.match(name)
    assert match is not None
    names = _FOLDERS_OF_CLASS.get(match["class"], (match["class"],))
    video, media = find_video(tuple(root / "UCF-101" / folder for folder in names), name, ".avi")
    return Sample(name, video, media, None, group=f"{match['class']}_g{match['group']}", annotation=bounds)
