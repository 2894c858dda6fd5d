"""ImageNet-1K as folders of classes: ``train/<wnid>/<image>.JPEG`` and ``val/<wnid>/<image>.JPEG``.

Other layouts are read as well: both folders inside ``ILSVRC/Data/CLS-LOC/`` as on Kaggle, ``validation/`` instead of
``val/``, and a ``val/`` without folders of classes.  The labels of the last come from Kaggle's ``LOC_val_solution.csv``
or from the official development kit (``ILSVRC2012_validation_ground_truth.txt`` and ``meta.mat`` in
``ILSVRC2012_devkit_t12/data``).
"""

from pathlib import Path
from typing import Any

from scipy.io import loadmat

from sigma_bench.data.data_files import contents, is_image, subfolders, visible, walk
from sigma_bench.data.manifest import Manifest, Sample, expected_counts, make_split
from sigma_bench.data.official_lists import lines, table
from sigma_bench.data.parts import Part
from sigma_bench.specs.dataset import DatasetCard, SplitName

_NAMES: dict[SplitName, tuple[str, ...]] = {"train": ("train",), "test": ("val", "validation")}
_KAGGLE = ("ILSVRC/Data/CLS-LOC", "Data/CLS-LOC")
_SOLUTION = "LOC_val_solution.csv"
_KIT = ("ILSVRC2012_devkit_t12/data", "ILSVRC2012_devkit_t12", "data", "")
_TRUTH, _META = "ILSVRC2012_validation_ground_truth.txt", "meta.mat"
_IMAGE = "ILSVRC2012_val_{:08d}"
_OF_TRAIN, _OF_VAL = r"n\d{8}_(train)?\d+\.\w+", r"(ILSVRC2012_val_\d{8}|n\d{8}_test\d+)\.\w+"
"""Names of images; those of the mini world name the split."""
PARTS = (
    Part("train", (rf"n\d{{8}}/{_OF_TRAIN}",), also=tuple(f"{place}/train" for place in _KAGGLE), is_media=True),
    *(
        Part("val", (pattern,), also=("validation", *(f"{place}/val" for place in _KAGGLE)), is_media=True)
        for pattern in (_OF_VAL, rf"n\d{{8}}/{_OF_VAL}")
    ),
    Part(_SOLUTION, file=r"LOC_val_solution\.csv", is_optional=True),
    Part("ILSVRC2012_devkit_t12", (f"data/{_TRUTH}", f"data/{_META}"), is_optional=True),
)


def read(root: Path, card: DatasetCard) -> Manifest:
    """Find ImageNet-1K below ``root``; classes are WordNet ids in alphabetical order, and ``val`` is the test split."""
    data_source, expected = expected_counts(root, card)
    home = next((root / place for place in _KAGGLE if (root / place).is_dir()), root)
    folders = {split: _folder(home, names) for split, names in _NAMES.items()}
    classes = [path.name for path in subfolders(folders["train"])]
    if not classes:
        raise ValueError(f"{folders['train']}: expected a folder per class; {_found(folders['train'])}")
    samples = {"train": _of_class_folders(folders["train"], "train", classes)}
    if subfolders(folders["test"]):
        _require_same(folders, classes)
        samples["test"] = _of_class_folders(folders["test"], "val", classes)
    else:
        samples["test"] = _of_labels(root, folders["test"], classes)
    splits = {split: make_split(split, samples[split], expected[split], path) for split, path in folders.items()}
    return Manifest(card.dataset, data_source, tuple(classes), splits)


def _folder(home: Path, names: tuple[str, ...]) -> Path:
    """The folder of a split.

    Raises:
        ValueError: the folder does not exist; the message lists what was found and how to unpack archives.
    """
    found = [home / name for name in names if (home / name).is_dir()]
    if len(found) > 1:
        raise ValueError(f"{home}: both {found[0].name}/ and {found[1].name}/ are here; keep the one that is right")
    if not found:
        raise ValueError(f"{home / names[0]}: there is no such folder; in {home} {_found(home)}")
    return found[0]


def _found(folder: Path) -> str:
    """The contents of a folder in words; if it holds archives, also how to unpack them."""
    archives = [path.name for path in visible(folder) if path.name.endswith((".tar", ".tar.gz", ".tgz", ".zip"))]
    words = contents(folder)
    if not archives:
        return words
    return (
        f"{words}: unpack the archives first: the validation images into val/, the training images into train/, and "
        "then the archive of each class into a folder with the name of the class (mkdir -p train/<wnid> && "
        "tar -xf <wnid>.tar -C train/<wnid>)"
    )


def _require_same(folders: dict[SplitName, Path], classes: list[str]) -> None:
    train, test = (folders[split] for split in _NAMES)
    of_test = {path.name for path in subfolders(test)}
    if only := sorted(set(classes) ^ of_test):
        has, lacks = (train, test) if only[0] in classes else (test, train)
        raise ValueError(
            f"{test}: its folders of classes are not those of {train}: '{only[0]}' is in {has.name} and not in "
            f"{lacks.name} ({len(only)} such folders); make them the same"
        )


def _of_class_folders(folder: Path, name: str, classes: list[str]) -> list[Sample]:
    """All images of a split; ids are ``<split>/<wnid>/<image>``, because some copies number images per class."""
    samples: list[Sample] = []
    for label, wnid in enumerate(classes):
        images = [path for path in walk(folder / wnid) if is_image(path)]
        if not images:
            raise ValueError(f"{folder / wnid}: no images of this class; {_found(folder / wnid)}")
        for path in images:
            inside = path.relative_to(folder / wnid).with_suffix("").as_posix()
            samples.append(_sample(f"{name}/{wnid}/{inside}", path, label))
    return samples


def _of_labels(root: Path, folder: Path, classes: list[str]) -> list[Sample]:
    """The images of a validation folder without folders of classes, in the order of the file with their labels."""
    wnids = _labels(root, folder)
    index = {wnid: label for label, wnid in enumerate(classes)}
    present = {path.stem: path for path in visible(folder) if is_image(path)}
    if unlabelled := sorted(set(present) - set(wnids)):
        raise ValueError(
            f"{present[unlabelled[0]]}: this image has no label ({len(unlabelled)} such images in {folder}); "
            "remove it or add its label"
        )
    samples = []
    for image, wnid in wnids.items():
        if wnid not in index:
            raise ValueError(f"{folder}: '{image}' is of the class '{wnid}', which train does not have")
        path = present.get(image, folder / f"{image}.JPEG")
        samples.append(_sample(f"val/{wnid}/{image}", path, index[wnid]))
    return samples


def _labels(root: Path, folder: Path) -> dict[str, str]:
    """WordNet id by name of the image, without suffix."""
    solution = next((place / _SOLUTION for place in (root, folder) if (place / _SOLUTION).is_file()), None)
    if solution is not None:
        rows = table(solution, ("ImageId", "PredictionString"))
        return {row["ImageId"]: (row["PredictionString"].split() or [""])[0] for _, row in rows}
    kit = next((root / place for place in _KIT if (root / place / _TRUTH).is_file()), None)
    if kit is None:
        raise ValueError(
            f"{folder}: there are no folders of classes here and no labels in {root} (neither {_SOLUTION} nor "
            f"{_KIT[0]}/{_TRUTH} with {_META}); add one of them or sort the images into folders of classes; in "
            f"{folder} "
            f"{_found(folder)}"
        )
    wnid_of = _wnid_by_number(kit / _META)
    wnids = {}
    for position, (number, line) in enumerate(lines(kit / _TRUTH), start=1):
        if not line.isdecimal() or int(line) not in wnid_of:
            raise ValueError(f"{kit / _TRUTH}: line {number}: expected the number of a class in {_META}, got '{line}'")
        wnids[_IMAGE.format(position)] = wnid_of[int(line)]
    return wnids


def _wnid_by_number(path: Path) -> dict[int, str]:
    """WordNet id by ILSVRC2012_ID (not in alphabetical order), for the classes without children."""
    try:
        synsets: Any = loadmat(path, squeeze_me=True, struct_as_record=False)["synsets"]
        return {int(one.ILSVRC2012_ID): str(one.WNID) for one in synsets if int(one.num_children) == 0}
    except FileNotFoundError as error:
        raise ValueError(f"{path}: this file is missing; copy it from the development kit, beside {_TRUTH}") from error
    except Exception as error:  # the parser raises many kinds on damaged bytes
        raise ValueError(f"{path}: not the meta.mat of the development kit ({error})") from error


def _sample(name: str, path: Path, label: int) -> Sample:
    return Sample(name, path, "image", label, group=name)
