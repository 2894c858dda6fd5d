"""Lists of paths with labels, as VideoMAE, SIGMA, jepa and mmaction2 write them: a line is ``path label``.

A blank or a comma separates them; mmaction2's format for frame folders has the number of frames in between.  Paths are
absolute or relative to the dataset's folder, and bare file names are looked up in the official folders.  A video may be
stored in another container, or as a folder of frames.

The id of a sample is its path without the suffix, because some copies use the same file names in every folder.  The
path is relative to the dataset's folder, or to the deepest common folder of all listed files if some are outside of it.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from sigma_bench.data.files import is_video
from sigma_bench.data.manifest import Sample
from sigma_bench.data.media import find_video
from sigma_bench.data.text_lists import lines
from sigma_bench.specs.dataset import SplitName

_LINE = re.compile(r"(.+?)[\s,]+(\d+)")
"""A file or folder, which may itself hold blanks and commas, and a number."""


class _Row(NamedTuple):
    place: Path
    label: int


def read_labelled_paths(
    root: Path, lists: Mapping[SplitName, Path], num_classes: int, *, folders: Mapping[SplitName, tuple[Path, ...]]
) -> dict[SplitName, list[Sample]]:
    """The samples of the lists of a dataset.

    Args:
        folders: where the files of bare names lie, by split.

    Raises:
        ValueError: a line is no path with a label below ``num_classes``.
    """
    rows = {
        split: [_row(root, path, number, line, num_classes) for number, line in lines(path)]
        for split, path in lists.items()
    }
    base = _base(root, [row.place for of_split in rows.values() for row in of_split])
    return {split: [_sample(row, root, base, folders[split]) for row in of_split] for split, of_split in rows.items()}


def _row(root: Path, path: Path, number: int, line: str, num_classes: int) -> _Row:
    match = _LINE.fullmatch(line)
    if match is None or int(match[2]) >= num_classes:
        raise ValueError(f"{path}: line {number}: expected 'path label' with a label below {num_classes}, got '{line}'")
    with_frames = None if is_video(match[1]) else _LINE.fullmatch(match[1])
    return _Row(Path(os.path.normpath(root / (with_frames or match)[1])), int(match[2]))


def _base(root: Path, places: list[Path]) -> Path:
    """The folder that ids start at: it does not depend on where a copy of the data lies."""
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
