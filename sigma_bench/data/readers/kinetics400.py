"""Kinetics-400 from lists of lines ``path label``, or from ActivityNet's lists with a folder per class.

ActivityNet's lists are ``kinetics-400_{train,val}.csv`` (or ``{train,val}.csv`` or ``annotations/{train,val}.csv`` with
the same columns), which contain the ``youtube_id`` and the start and end in seconds.  Videos are
``{train,val}/<class>/<id>_<start>_<end>.mp4``, with or without the folders of classes.  Download tools spell these
folders differently (blanks or underscores; torchvision also drops apostrophes and brackets), so only the letters and
digits of their names are compared.

Copies of Kinetics differ, because videos disappear from their source.  The lists state what this copy should contain,
and the card states what the original contained.
"""

import re
from pathlib import Path

from sigma_bench.data.data_files import contents, subfolders
from sigma_bench.data.manifest import Manifest, Sample, expected_counts, make_split
from sigma_bench.data.media import find_video
from sigma_bench.data.official_lists import lines, read_labelled_paths, table
from sigma_bench.data.parts import Part, first_bytes
from sigma_bench.specs.dataset import DatasetCard, SplitName

_OFFICIAL_NAME: dict[SplitName, str] = {"train": "train", "test": "val"}
_PLACES = ("kinetics-400_{}.csv", "annotations/{}.csv", "{}.csv")
_FOLDERS = ("{}", "videos_{}", "videos")
_COLUMNS = ("label", "youtube_id", "time_start", "time_end")


def _has_columns(path: Path) -> bool:
    return b"youtube_id" in first_bytes(path, 1 << 10)


_CLIP = r".{11}_\d{6}_\d{6}(\.\w+)?"
_CLASS = r"(?!train|val|test|replacement|videos).+"
"""A folder whose subfolders are splits is not one of classes."""
PARTS = tuple(
    part
    for name, names in (("train", "train"), ("val", "val|validate|validation"))
    for part in (
        Part(
            _PLACES[0].format(name),
            file=rf"(.*[-_])?({names})\.csv",
            also=tuple(place.format(name) for place in _PLACES[1:]),
            accepts=_has_columns,
        ),
        Part(name, (_CLIP,), also=tuple(folder.format(name) for folder in _FOLDERS[1:]), is_media=True),
        Part(name, (f"{_CLASS}/{_CLIP}",), also=tuple(folder.format(name) for folder in _FOLDERS[1:]), is_media=True),
    )
)


def read(root: Path, card: DatasetCard) -> Manifest:
    """Find Kinetics-400 below ``root``; the validation split is the test split, as in the literature."""
    data_source, expected = expected_counts(root, card)
    lists = {split: _list_of(root, name) for split, name in _OFFICIAL_NAME.items()}
    folders = {
        split: tuple(root / folder.format(name) for folder in _FOLDERS) for split, name in _OFFICIAL_NAME.items()
    }
    with_header = [path for path in lists.values() if _has_header(path)]
    if with_header and len(with_header) < len(lists):
        raise ValueError(
            f"{with_header[0]}: this list has ActivityNet's columns, but the list of the other split does not; "
            "use one format for both"
        )
    num_classes = card.classes or 0
    if with_header:
        rows = {split: list(table(path, _COLUMNS)) for split, path in lists.items()}
        classes = tuple(sorted({row["label"] for found in rows.values() for _, row in found}))
        samples = {split: _samples(lists[split], found, folders[split], classes) for split, found in rows.items()}
    else:
        classes = tuple(map(str, range(num_classes)))
        samples = read_labelled_paths(root, lists, num_classes, folders=folders)
    splits = {split: make_split(split, samples[split], expected[split], path) for split, path in lists.items()}
    return Manifest(card.dataset, data_source, classes, splits)


def _list_of(root: Path, name: str) -> Path:
    places = [root / place.format(name) for place in _PLACES]
    found = next((path for path in places if path.exists()), None)
    if found is None:
        raise ValueError(f"{places[0]}: this official file is missing (or {name}.csv); in {root} {contents(root)}")
    return found


def _has_header(path: Path) -> bool:
    _, first = next(lines(path), (1, ""))
    return "youtube_id" in first


def _samples(
    path: Path, rows: list[tuple[int, dict[str, str]]], homes: tuple[Path, ...], classes: tuple[str, ...]
) -> list[Sample]:
    index = {name: number for number, name in enumerate(classes)}
    of_class: dict[str, list[Path]] = {}
    for folder in (folder for home in homes for folder in subfolders(home)):
        of_class.setdefault(letters_of(folder.name), []).append(folder)
    places = {label: (homes[0] / label, *of_class.get(letters_of(label), ()), *homes) for label in classes}
    samples = []
    for number, row in rows:
        start, end, label = row["time_start"], row["time_end"], row["label"]
        if not (start.isdecimal() and end.isdecimal()):
            raise ValueError(f"{path}: line {number}: '{start}' and '{end}' are not whole seconds")
        name = f"{row['youtube_id']}_{int(start):06d}_{int(end):06d}"
        video, media = find_video(places[label], name, ".mp4")
        samples.append(Sample(name, video, media, index[label], group=row["youtube_id"]))
    return samples


def letters_of(name: str) -> str:
    """The letters and digits of a class name in lower case, which are the same in all spellings."""
    return re.sub(r"[\W_]+", "", name).lower()
