"""Kinetics-400: lists ``path label``, or the ActivityNet csv with folders of classes.

ActivityNet: ``kinetics-400_{train,val}.csv`` (or ``{train,val}.csv`` or ``annotations/{train,val}.csv`` with the
same columns) name ``youtube_id`` and seconds; videos are ``{train,val}/<class>/<id>_<start>_<end>.mp4``, the class
written with blanks or underscores, or without folders of classes.  Copies of Kinetics differ (videos disappear from
their source), so the lists say what this copy should hold, and the card what the original held.
"""

from pathlib import Path

from sigma_bench.data.manifest import Manifest, Sample, expected_counts, make_split
from sigma_bench.data.readers.labelled_paths import read_labelled_paths
from sigma_bench.data.readers.media import find_video
from sigma_bench.data.readers.text_lists import lines, table
from sigma_bench.specs.dataset import DatasetCard, SplitName

_OFFICIAL_NAME: dict[SplitName, str] = {"train": "train", "test": "val"}
_PLACES = ("kinetics-400_{}.csv", "annotations/{}.csv", "{}.csv")
_COLUMNS = ("label", "youtube_id", "time_start", "time_end")


def read(root: Path, card: DatasetCard) -> Manifest:
    """Find Kinetics-400 below ``root``; the validation split plays the test, as in every paper."""
    world, expected = expected_counts(root, card)
    lists = {split: _list_of(root, name) for split, name in _OFFICIAL_NAME.items()}
    with_header = [path for path in lists.values() if _has_header(path)]
    if with_header and len(with_header) < len(lists):
        raise ValueError(f"{with_header[0]}: has ActivityNet's columns and the other split's list has not")
    num_classes = card.classes or 0
    rows = {path: list(table(path, _COLUMNS)) for path in with_header}
    classes = tuple(sorted({row["label"] for found in rows.values() for _, row in found}))
    index = {name: number for number, name in enumerate(classes)}
    splits = {}
    for split, path in lists.items():
        if with_header:
            samples = [_sample(root, path, number, row, _OFFICIAL_NAME[split], index) for number, row in rows[path]]
        else:
            samples = read_labelled_paths(root, path, num_classes)
        splits[split] = make_split(split, samples, expected[split], path)
    return Manifest(card.dataset, world, classes or tuple(map(str, range(num_classes))), splits)


def _list_of(root: Path, name: str) -> Path:
    places = [root / place.format(name) for place in _PLACES]
    return next((path for path in places if path.exists()), places[-1])


def _has_header(path: Path) -> bool:
    _, first = next(lines(path), (1, ""))
    return "youtube_id" in first


def _sample(root: Path, path: Path, number: int, row: dict[str, str], official: str, index: dict[str, int]) -> Sample:
    start, end = row["time_start"], row["time_end"]
    if not (start.isdecimal() and end.isdecimal()):
        raise ValueError(f"{path}: line {number}: '{start}' and '{end}' are not whole seconds")
    name, label = f"{row['youtube_id']}_{int(start):06d}_{int(end):06d}", row["label"]
    home = root / official
    video, media = find_video((home / label, home / label.replace(" ", "_"), home), name, ".mp4")
    return Sample(name, video, media, index[label], group=row["youtube_id"])
