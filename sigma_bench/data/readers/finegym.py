"""FineGym sub-actions: ``annotations/gym99_{train,val}.txt`` (and gym288) and ``subactions/<id>.mp4``.

A line is ``<sub-action id>[.avi|.mp4] <label>``.  An id is ``<video>_E_<event>_A_<sub-action>`` with times in seconds.
Lists without file suffixes are the original ones, which SEVERE calls ``*_org.txt`` and the website of FineGym calls
``gym99_train_element_v1.0.txt`` and ``gym99_val_element.txt``.

The variants are ``gym99``, ``gym288``, ``fx_s1`` and ``ub_s1`` (the classes of one set of elements of Gym99, numbered
from 0), and ``gym99_1k`` (Gym99 with SEVERE's subset as training split).
"""

import re
from pathlib import Path

from sigma_bench.data.data_files import visible
from sigma_bench.data.manifest import Manifest, Sample, expected_counts, make_split
from sigma_bench.data.media import find_video, first_file
from sigma_bench.data.official_lists import draw_subset, lines
from sigma_bench.data.parts import Part
from sigma_bench.specs.dataset import DatasetCard, SplitName

_OFFICIAL_NAME: dict[SplitName, str] = {"train": "train", "test": "val"}
_ID = re.compile(r"^.{11}_E_\d+_\d+_A_\d+_\d+$")
_CLASSES = {"fx_s1": range(6, 17), "ub_s1": range(74, 89)}
"""Labels of Gym99 in a variant: leaps, jumps and hops of floor exercise, and circles on the uneven bars."""
_FOLDERS = ("subactions", "videos")
_EVENT = r".{11}_E_\d+_\d+"
PARTS = (
    Part("annotations", (r"gym(99|288)_(train|val)\w*(\.\w+)*\.txt",)),
    Part(_FOLDERS[0], (rf"{_EVENT}_A_\d+_\d+(\.\w+)?",), also=_FOLDERS[1:], is_media=True),
    Part(
        _FOLDERS[0],
        (rf"{_EVENT}\.\w+",),
        unusable="these are videos of events; cut them into sub-actions, with the times in the ids of the lists",
    ),
)


def read(root: Path, card: DatasetCard) -> Manifest:
    """Find FineGym below ``root``; the validation split is the test split.

    Each sub-action is a group of its own, because 39 videos and 265 events occur in both official splits.
    """
    level = "gym288" if card.variant == "gym288" else "gym99"
    everything = range(288 if level == "gym288" else 99)
    kept = _CLASSES.get(card.variant or "", everything)
    data_source, expected = expected_counts(root, card)
    splits = {}
    for split, official in _OFFICIAL_NAME.items():
        path = _list_of(root / "annotations", f"{level}_{official}")
        rows = [_row(path, number, line, everything) for number, line in lines(path)]
        samples = [_sample(root, name, kept.index(label)) for name, label in rows if label in kept]
        if card.variant == "gym99_1k" and split == "train":
            samples = draw_subset(samples)
        splits[split] = make_split(split, samples, expected[split], path)
    names = _class_names(root / "annotations", level)
    return Manifest(card.dataset, data_source, tuple(names.get(label, str(label)) for label in kept), splits)


def _list_of(folder: Path, name: str) -> Path:
    """The first list that exists under one of its names: the short one, SEVERE's, or that of FineGym's website."""
    of_site = re.compile(rf"{name}_element(_v\d+\.\d+)?\.txt")
    published = [path.name for path in visible(folder) if of_site.fullmatch(path.name)]
    if len(published) > 1:
        raise ValueError(f"{folder}: {' and '.join(published)} are versions of one list; keep one of them")
    return first_file((folder,), (f"{name}.txt", f"{name}_org.txt", *(published or (f"{name}_element.txt",))))


def _row(path: Path, number: int, line: str, labels: range) -> tuple[str, int]:
    file, _, label = line.rpartition(" ")
    name = file.removesuffix(".avi").removesuffix(".mp4")
    if not label.isdecimal() or int(label) not in labels or not _ID.match(name):
        raise ValueError(
            f"{path}: line {number}: expected '<sub-action id> <label>' with a label below {len(labels)}, got '{line}'"
        )
    return name, int(label)


def _sample(root: Path, name: str, label: int) -> Sample:
    video, media = find_video(tuple(root / folder for folder in _FOLDERS), name, ".mp4")
    return Sample(name, video, media, label, group=name)


def _class_names(folder: Path, level: str) -> dict[int, str]:
    """Class names by label from ``gym99_categories.txt`` (lines ``Clabel: 0; set: 1; <name>``); empty without it."""
    path = folder / f"{level}_categories.txt"
    if not path.exists():
        return {}
    names = {}
    for number, line in lines(path):
        match = re.match(r"Clabel:\s*(\d+);.*;\s*(.+)$", line)
        if match is None:
            raise ValueError(f"{path}: line {number}: expected 'Clabel: <number>; set: <number>; <name>', got '{line}'")
        names[int(match[1])] = match[2]
    return names
