"""Lists of paths with labels, as VideoMAE, SIGMA, jepa and mmaction2 write them: a line is ``path label``.

Separated by a blank or a comma; mmaction2's form for frame folders has a number of frames in between.  Paths are
absolute or start at the dataset's folder.
"""

from pathlib import Path

from sigma_bench.data.manifest import Sample
from sigma_bench.data.readers.media import find_video
from sigma_bench.data.readers.text_lists import lines


def read_labelled_paths(root: Path, path: Path, num_classes: int) -> list[Sample]:
    """The samples of one list; ValueError names the line that is no path with a label below ``num_classes``."""
    return [_sample(root, path, number, line, num_classes) for number, line in lines(path)]


def _sample(root: Path, path: Path, number: int, line: str, num_classes: int) -> Sample:
    file, _, label = line.replace(",", " ").rpartition(" ")
    if not file or not label.isdecimal() or int(label) >= num_classes:
        raise ValueError(f"{path}: line {number}: expected 'path label' with a label below {num_classes}, got '{line}'")
    place = root / file.strip()
    if place.suffix:
        return Sample(place.stem, place, "video", int(label), group=place.stem)
    stem, _, num_frames = file.strip().rpartition(" ")
    listed = root / (stem if num_frames.isdecimal() and stem else file.strip())
    video, media = find_video((listed.parent,), listed.name, ".mp4")
    return Sample(listed.name, video, media, int(label), group=listed.name)
