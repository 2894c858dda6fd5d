"""Kinetics-400 as VideoMAE, SIGMA and mmaction2 list it: ``train.csv`` and ``val.csv``, a line is ``path label``.

Paths are absolute or start at the dataset's folder; the label is the number of the class.  Copies of Kinetics differ
(videos disappear from their source), so the lists say what this copy holds, and the card what the original held.
"""

from pathlib import Path

from sigma_bench.data.manifest import Manifest, Sample, expected_counts, make_split
from sigma_bench.data.readers.text_lists import lines
from sigma_bench.specs.dataset import DatasetCard, SplitName

_LIST: dict[SplitName, str] = {"train": "train.csv", "test": "val.csv"}


def read(root: Path, card: DatasetCard) -> Manifest:
    """Find Kinetics-400 below ``root``; the validation split plays the test, as in every paper."""
    world, expected = expected_counts(root, card)
    splits = {}
    for split, name in _LIST.items():
        path = root / name
        samples = [_sample(root, path, number, line, card) for number, line in lines(path)]
        splits[split] = make_split(split, samples, expected[split], path)
    classes = tuple(str(number) for number in range(card.classes or 0))
    return Manifest(card.dataset, world, classes, splits)


def _sample(root: Path, path: Path, number: int, line: str, card: DatasetCard) -> Sample:
    file, _, label = line.replace(",", " ").rpartition(" ")
    if not file or not label.isdecimal() or int(label) >= (card.classes or 0):
        raise ValueError(
            f"{path}: line {number}: expected 'path label' with a label below {card.classes}, got '{line}'"
        )
    video = root / file.strip()
    return Sample(video.stem, video, "video", int(label), group=video.stem)
