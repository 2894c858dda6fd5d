"""ImageNet-1K as folders of classes: ``train/<wnid>/<image>.JPEG`` and ``val/<wnid>/<image>.JPEG``."""

from pathlib import Path

from torchvision.datasets.folder import find_classes, make_dataset

from sigma_bench.data.manifest import Manifest, Sample, Split, expected_counts, make_split
from sigma_bench.specs.dataset import DatasetCard, SplitName

_FOLDER: dict[SplitName, str] = {"train": "train", "test": "val"}
_SUFFIXES = (".jpeg", ".jpg", ".png")


def read(root: Path, card: DatasetCard) -> Manifest:
    """Find ImageNet-1K below ``root``; classes are WordNet ids in alphabetical order; ``val`` plays the test."""
    world, expected = expected_counts(root, card)
    splits: dict[SplitName, Split] = {}
    classes: list[str] = []
    for split, name in _FOLDER.items():
        folder = root / name
        samples, names = _images(folder)
        if classes and names != classes:
            raise ValueError(f"{folder}: its folders of classes are not those of {root / _FOLDER['train']}")
        classes = names
        splits[split] = make_split(split, samples, expected[split], folder)
    return Manifest(card.dataset, world, tuple(classes), splits)


def _images(folder: Path) -> tuple[list[Sample], list[str]]:
    try:
        classes, index = find_classes(str(folder))
        found = make_dataset(str(folder), index, extensions=_SUFFIXES)
    except FileNotFoundError as error:
        raise ValueError(
            f"{folder}: expected a folder per class with images in it (a flat val/ is to be sorted into them first)"
        ) from error
    samples = []
    for path, label in found:
        place = Path(path)
        samples.append(Sample(f"{place.parent.name}/{place.stem}", place, "image", label, group=place.stem))
    return samples, classes
