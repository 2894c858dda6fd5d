"""CIFAR-100 with fine labels, in the layout that torchvision downloads: ``cifar-100-python/{train,test,meta}``.

The pickles are read as plain data (``data/cifar.py``).  The reader of torchvision executes the code that a pickle
contains, and it drops the file names, which are part of the sample ids here.
"""

from pathlib import Path
from typing import Any

from sigma_bench.data.cifar import read_cifar
from sigma_bench.data.manifest import Manifest, Sample, Split, expected_counts, make_split
from sigma_bench.data.parts import Part, first_bytes
from sigma_bench.specs.dataset import DatasetCard, SplitName


def _are_fine_labels(folder: Path) -> bool:
    return b"fine_label_names" in first_bytes(folder / "meta")


PARTS = (
    Part("cifar-100-python", ("train", "test", "meta"), is_media=True, accepts=_are_fine_labels),
    Part(
        "cifar-100-python",
        (r"train\.bin", r"test\.bin", r"fine_label_names\.txt"),
        unusable="this is the binary version; the python version, cifar-100-python.tar.gz, is needed",
    ),
)


def read(root: Path, card: DatasetCard) -> Manifest:
    """Find CIFAR-100 below ``root``; every image is a group of its own.

    File names do not identify images, because two of the official names occur in both splits.
    """
    folder = root / "cifar-100-python"
    for name in ("train", "test", "meta"):
        if not (folder / name).is_file():
            raise ValueError(f"{folder / name}: this official file is missing")
    classes = tuple(_content(folder / "meta", "fine_label_names")["fine_label_names"])
    data_source, expected = expected_counts(root, card)
    splits: dict[SplitName, Split] = {}
    names: tuple[SplitName, ...] = ("train", "test")
    for split in names:
        content = _content(folder / split, "filenames", "fine_labels", "data")
        if max(content["fine_labels"], default=0) >= len(classes):
            raise ValueError(
                f"{folder / split}: a label is too large for the {len(classes)} classes in 'meta'; "
                "download CIFAR-100 again"
            )
        samples = [
            Sample(
                f"{split}/{position}/{name}",
                folder / split,
                "pickled_image",
                label,
                group=f"{split}/{name}/{position}",
                position=position,
            )
            for position, (name, label) in enumerate(zip(content["filenames"], content["fine_labels"], strict=True))
        ]
        splits[split] = make_split(split, samples, expected[split], folder / split)
    return Manifest(card.dataset, data_source, classes, splits)


def _content(path: Path, *keys: str) -> dict[str, Any]:
    content = read_cifar(path)
    absent = [key for key in keys if key not in content]
    if absent:
        raise ValueError(f"{path}: not one of CIFAR-100's files: it has no '{absent[0]}'")
    return content
