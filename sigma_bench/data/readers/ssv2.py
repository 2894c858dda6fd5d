"""Something-Something v2: the four official JSON files, or lists ``<path> <label>`` as VideoMAE and SIGMA write them.

Videos are ``20bn-something-something-v2/<id>.webm`` (or .mp4, .avi, or a folder of frames); ``videos/`` is looked
into as well.
"""

from pathlib import Path

from sigma_bench.data.manifest import Manifest, Sample, expected_counts, make_split
from sigma_bench.data.readers.labelled_paths import read_labelled_paths
from sigma_bench.data.readers.media import find_video
from sigma_bench.data.readers.text_lists import read_object, read_objects
from sigma_bench.specs.dataset import DatasetCard, SplitName

_FILE = "something-something-v2-{}.json"
_OFFICIAL_NAME: dict[SplitName, str] = {"train": "train", "test": "validation"}
_CSV: dict[SplitName, str] = {"train": "train.csv", "test": "val.csv"}
_FOLDERS = ("20bn-something-something-v2", "videos")


def read(root: Path, card: DatasetCard) -> Manifest:
    """Find SSv2 below ``root``; the labelled validation split plays the test, as in every paper.

    Class names come from the official labels; lists of paths have numbers, which are the official ones.
    """
    labels_path = root / "labels" / _FILE.format("labels")
    world, expected = expected_counts(root, card)
    from_lists = not labels_path.exists() and (root / _CSV["train"]).exists()
    index = {} if from_lists else _label_index(labels_path)
    splits = {}
    for split, official in _OFFICIAL_NAME.items():
        path = root / (_CSV[split] if from_lists else f"labels/{_FILE.format(official)}")
        if from_lists:
            samples = read_labelled_paths(root, path, card.classes or 0)
        else:
            samples = [_sample(root, path, entry, index) for entry in read_objects(path)]
        splits[split] = make_split(split, samples, expected[split], path)
    classes = tuple(sorted(index, key=index.__getitem__)) or tuple(map(str, range(card.classes or 0)))
    return Manifest(card.dataset, world, classes, splits)


def _label_index(path: Path) -> dict[str, int]:
    content = read_object(path)
    wrong = next((template for template, number in content.items() if not str(number).isdecimal()), None)
    if wrong is not None:
        raise ValueError(f"{path}: the label of '{wrong}' is no number: {content[wrong]}")
    return {template: int(number) for template, number in content.items()}


def _sample(root: Path, path: Path, entry: dict[str, str], index: dict[str, int]) -> Sample:
    template = str(entry.get("template", "")).replace("[", "").replace("]", "")
    if "id" not in entry or template not in index:
        raise ValueError(f"{path}: an entry has no id or a template that is not among the labels: {entry}")
    video_id = str(entry["id"])
    video, media = find_video(tuple(root / name for name in _FOLDERS), video_id, ".webm")
    return Sample(video_id, video, media, index[template], group=video_id)
