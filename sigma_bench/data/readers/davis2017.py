"""DAVIS-2017 in its official layout: frames, palette masks of the unsupervised track, and lists in ``ImageSets/2017``.

Frames are read at 480p, or at full resolution (``Full-Resolution``) if only that exists.  Everything is in ``DAVIS/``
or in the dataset's folder itself.
"""

from pathlib import Path

from sigma_bench.data.data_files import contents
from sigma_bench.data.manifest import Manifest, Sample, expected_counts, make_split
from sigma_bench.data.media import davis_home, davis_size
from sigma_bench.data.official_lists import lines
from sigma_bench.specs.dataset import DatasetCard, SplitName

_LIST: dict[SplitName, str] = {"train": "train", "test": "val"}


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
    masks = home / "Annotations_unsupervised" / size / name
    if not masks.is_dir():
        raise ValueError(f"{masks}: the masks of sequence '{name}' are missing; in {home} {contents(home)}")
    return Sample(name, home / "JPEGImages" / size / name, "frame_folder", None, group=name, mask_folder=masks)
