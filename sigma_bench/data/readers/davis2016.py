"""DAVIS-2016 in its official layout: sequences with one object, whose masks have the values 0 and 255.

Frames are read at 480p, or at 1080p if only that exists.  Sequences are listed in ``ImageSets/480p/{train,val}.txt`` as
pairs of frame and mask, or in ``ImageSets/2016/{train,val}.txt`` by name.  Everything is in ``DAVIS/`` or in the
dataset's folder itself.
"""

from pathlib import Path

from PIL import Image

from sigma_bench.data.manifest import Manifest, Sample, expected_counts, make_split
from sigma_bench.data.media import davis_home, davis_size
from sigma_bench.data.official_lists import lines
from sigma_bench.data.parts import Part
from sigma_bench.specs.dataset import DatasetCard, SplitName

_LIST: dict[SplitName, str] = {"train": "train", "test": "val"}
_FILES = (
    *(r"ImageSets/(480p|2016)/val\.txt", r"JPEGImages/(480p|1080p)/.+/\d+\.jpg"),
    r"Annotations/(480p|1080p)/.+/\d+\.png",
)


def _has_one_object(home: Path) -> bool:
    """Whether the values of a mask are 0 and 255; the masks of DAVIS-2017 number the objects from 1."""
    path = next(home.glob("Annotations/*/*/*.png"))
    with Image.open(path) as mask:
        return {value for _, value in mask.convert("P" if mask.mode == "P" else "L").getcolors() or ()} <= {0, 255}


PARTS = (
    Part("DAVIS", _FILES, also=("",), is_media=True, accepts=_has_one_object),
    Part(
        "DAVIS",
        _FILES,
        unusable="its masks number several objects, so they are those of DAVIS-2017; DAVIS-2016 has one object",
    ),
)


def read(root: Path, card: DatasetCard) -> Manifest:
    """Find DAVIS-2016 below ``root``; ``val`` is the test split."""
    home = davis_home(root)
    data_source, expected = expected_counts(root, card)
    splits = {}
    for split, official in _LIST.items():
        pairs, names = (home / "ImageSets" / kind / f"{official}.txt" for kind in ("480p", "2016"))
        path = names if names.exists() and not pairs.exists() else pairs
        sequences = dict.fromkeys(_sequence(path, number, line) for number, line in lines(path))
        samples = [_sample(home, name) for name in sequences]
        splits[split] = make_split(split, samples, expected[split], path)
    return Manifest(card.dataset, data_source, None, splits)


def _sequence(path: Path, number: int, line: str) -> str:
    parts = line.split()[0].strip("/").split("/")
    if len(parts) not in (1, 4):
        raise ValueError(f"{path}: line {number}: expected '/JPEGImages/480p/<sequence>/<frame>.jpg ...', got '{line}'")
    return parts[-2] if len(parts) == 4 else parts[0]


def _sample(home: Path, name: str) -> Sample:
    size = davis_size(home, "1080p")
    frames, masks = (home / kind / size / name for kind in ("JPEGImages", "Annotations"))
    return Sample(name, frames, "frame_folder", None, group=name, mask_folder=masks, mask_kind="binary")
