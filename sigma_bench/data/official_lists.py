"""Lists of samples: text, tables, JSON, and paths with labels; and subsets of such lists.

Something-Something v2 and Kinetics-400 often come with the lists of VideoMAE, SIGMA, JEPA or mmaction2, whose
lines are ``path label``.  A blank or a comma separates the two; mmaction2's format for frame folders has the number of
frames in between.  Paths are absolute or relative to the dataset's folder, and bare file names are looked up in the
official folders.  A video may be stored in another container, or as a folder of frames.

The id of such a sample is its path without the suffix, because some copies use the same file names in every folder.
The path is relative to the dataset's folder, or to the deepest common folder of all listed files if some are outside.
"""

import csv
import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sigma_bench.data.data_files import is_video
from sigma_bench.data.manifest import Sample
from sigma_bench.data.media import find_video
from sigma_bench.specs.dataset import SplitName

SUBSET_SEED = 99999
SUBSET_SAMPLES = 1000
"""Number of samples that SEVERE requests; rounding up for every class gives a few more."""
_PATH_AND_LABEL = re.compile(r"(.+?)[\s,]+(\d+)")
"""A file or folder, which may contain blanks and commas, and a number."""


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Non-empty lines with their 1-based numbers; ValueError if the file is missing or not text."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise ValueError(f"{path}: this official file is missing") from error
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: cannot be read as text") from error
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            yield number, line.strip()


def table(path: Path, columns: Sequence[str], *, separator: str = ",") -> Iterator[tuple[int, dict[str, str]]]:
    """Rows of a CSV file with a header, with their 1-based line numbers; ValueError if a column is missing."""
    numbered = list(lines(path))
    reader = csv.DictReader((line for _, line in numbered), delimiter=separator)
    absent = [column for column in columns if column not in (reader.fieldnames or ())]
    if absent:
        raise ValueError(f"{path}: line 1: the column '{absent[0]}' is missing")
    try:
        for row in reader:
            number = numbered[reader.line_num - 1][0]
            if any(row[column] is None for column in columns):
                raise ValueError(f"{path}: line {number}: fewer values than columns")
            yield number, row
    except csv.Error as error:
        raise ValueError(f"{path}: not a table ({error})") from error


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object; ValueError if the file is missing or contains anything else."""
    content = _parsed(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected a JSON object, found a {type(content).__name__}")
    return content


def read_objects(path: Path) -> list[dict[str, Any]]:
    """A JSON list of objects; ValueError if the file is missing or contains anything else."""
    content = _parsed(path)
    if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
        raise ValueError(f"{path}: expected a JSON list of objects")
    return content


def _parsed(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise ValueError(f"{path}: this official file is missing") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: line {error.lineno}: not valid JSON ({error.msg})") from error
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: cannot be read as text") from error


class _Row(NamedTuple):
    place: Path
    label: int


def read_labelled_paths(
    root: Path, lists: Mapping[SplitName, Path], num_classes: int, *, folders: Mapping[SplitName, tuple[Path, ...]]
) -> dict[SplitName, list[Sample]]:
    """The samples of lists whose lines are ``path label``, by split.

    Args:
        folders: by split, the folders in which bare file names are looked up.

    Raises:
        ValueError: a line is not a path and a label below ``num_classes``.
    """
    rows = {
        split: [_row(root, path, number, line, num_classes) for number, line in lines(path)]
        for split, path in lists.items()
    }
    base = _base(root, [row.place for of_split in rows.values() for row in of_split])
    return {split: [_sample(row, root, base, folders[split]) for row in of_split] for split, of_split in rows.items()}


def _row(root: Path, path: Path, number: int, line: str, num_classes: int) -> _Row:
    match = _PATH_AND_LABEL.fullmatch(line)
    if match is None or int(match[2]) >= num_classes:
        raise ValueError(f"{path}: line {number}: expected 'path label' with a label below {num_classes}, got '{line}'")
    with_frames = None if is_video(match[1]) else _PATH_AND_LABEL.fullmatch(match[1])
    return _Row(Path(os.path.normpath(root / (with_frames or match)[1])), int(match[2]))


def _base(root: Path, places: list[Path]) -> Path:
    """The folder that ids are relative to, chosen so that ids are the same in all copies of the data."""
    here = Path(os.path.normpath(root))
    if all(place.is_relative_to(here) for place in places):
        return here
    return Path(os.path.commonpath([place.parent.absolute() for place in places]))


def _sample(row: _Row, root: Path, base: Path, folders: tuple[Path, ...]) -> Sample:
    place, label = row
    name, suffix = (place.stem, place.suffix) if is_video(place) else (place.name, ".mp4")
    is_bare = place.parent == Path(os.path.normpath(root))
    video, media = find_video((place.parent, *folders) if is_bare else (place.parent,), name, suffix)
    shown = place if base == Path(os.path.normpath(root)) else place.absolute()
    sample_id = (shown.relative_to(base).parent / name).as_posix()
    return Sample(sample_id, video, media, label, group=sample_id)


def draw_subset(samples: Sequence[Sample], per_class: int | None = None) -> list[Sample]:
    """The same number of samples of every class, or all of a class that has fewer, in the order drawn.

    SEVERE (Thoker et al., ECCV 2022) draws its subsets of about 1000 samples in this way.  Subsets are drawn from the
    complete official list, so a missing file does not change which others are drawn, and a larger subset contains every
    smaller one.  NumPy's legacy generator is part of the definition: classes in ascending order draw from one stream.

    Args:
        per_class: number of samples of every class; by default ``ceil(1000 / classes)`` as in SEVERE, which gives 1,010
            samples of UCF101 and 1,089 of Gym99.
    """
    label_S = np.array([sample.label for sample in samples])
    classes = np.unique(label_S)
    per_class = per_class or math.ceil(SUBSET_SAMPLES / len(classes))
    rng = np.random.RandomState(SUBSET_SEED)
    chosen: list[int] = []
    for label in classes:
        rows = np.flatnonzero(label_S == label)
        chosen += rows[rng.choice(len(rows), min(per_class, len(rows)), replace=False)].tolist()
    return [samples[index] for index in chosen]
