"""Lists of paths with labels, as VideoMAE, SIGMA, jepa and mmaction2 write them: a line is ``path label``.

Separated by a blank or a comma; mmaction2's form for frame folders has a number of frames in between.  Paths are
absolute or start at the dataset's folder; a video may lie there in another container, or as a folder of frames.
"""

import re
from pathlib import Path

from sigma_bench.data.manifest import Sample
from sigma_bench.data.readers.media import VIDEO_SUFFIXES, find_video
from sigma_bench.data.readers.text_lists import lines

_LINE = re.compile(r"(.+?)[\s,]+(\d+)")
"""A file or folder, which may itself hold blanks and commas, and a number."""


def read_labelled_paths(root: Path, path: Path, num_classes: int) -> list[Sample]:
    """The samples of one list; ValueError names the line that is no path with a label below ``num_classes``."""
    return [_sample(root, path, number, line, num_classes) for number, line in lines(path)]


def _sample(root: Path, path: Path, number: int, line: str, num_classes: int) -> Sample:
    match = _LINE.fullmatch(line)
    if match is None or int(match[2]) >= num_classes:
        raise ValueError(f"{path}: line {number}: expected 'path label' with a label below {num_classes}, got '{line}'")
    with_frames = None if Path(match[1]).suffix in VIDEO_SUFFIXES else _LINE.fullmatch(match[1])
    place = root / (with_frames or match)[1]
    name, suffix = (place.stem, place.suffix) if place.suffix in VIDEO_SUFFIXES else (place.name, ".mp4")
    video, media = find_video((place.parent,), name, suffix)
    return Sample(name, video, media, int(match[2]), group=name)
