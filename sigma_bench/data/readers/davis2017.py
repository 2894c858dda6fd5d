"""DAVIS-2017 in its official layout: frames, palette masks of the unsupervised track, and lists in ``ImageSets/2017``.

Frames are read at 480p, or at full resolution (``Full-Resolution``) if only that exists.  Everything is in ``DAVIS/``
or in the dataset's folder itself.
"""

from pathlib import Path

from sigma_bench.data.manifest import Manifest, Sample, expected_counts, make_split
from sigma_bench.data.media import davis_home, davis_size
from sigma_bench.data.official_lists import lines
from sigma_bench.data.parts import Part
from sigma_bench.specs.dataset import DatasetCard, SplitName

_LIST: dict[SplitName, str] = {"train": "train", "test": "val"}
_FRAMES = r"JPEGImages/(480p|Full-Resolution)/.+/\d+\.jpg"
_MASKS = r"Annotations_unsupervised/(480p|Full-Resolution)/.+/\d+\.png"
PARTS = (
    Part("DAVIS", (r"ImageSets/2017/val\.txt", _FRAMES, _MASKS), also=("",), is_media=True),
    Part(
        "DAVIS",
        (r"ImageSets/2017/val\.txt", _FRAMES, r"(?!Annotations_unsupervised)Annotations\w*"),
        unusable="this is the semi-supervised version; its masks, Annotations, are not those of the unsupervised "
        "track, Annotations_unsupervised, which are needed",
    ),
)


def read(root: Path, card: DatasetCard) -> Manifest:
    """Find DAVIS-2017 below ``root``; ``val`` is the test split; masks are those of ``Annotations_unsupervised``."""
    home = davis_home(root)
    data_source, expected = expected_counts(root, card)
    splits = {}
    for split, official in _LIST.items():
        path = home / "ImageSets" / "2017" / f"{official}.txt"
        samples = [_sample(home, name) for _, name in lines(path)]
        splits[split] = make_split(split, samples, expected[split], path)
    return Manifest(card.dataset, data_source, None, splits)


def _sample(home: Path, name: str) -> Sample:
    size = davis_size(home, "Full-Resolution")
    frames, masks = (home / kind / size / name for kind in ("JPEGImages", "Annotations_unsupervised"))
    return Sample(name, frames, "frame_folder", None, group=name, mask_folder=masks)
