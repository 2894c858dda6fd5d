"""Something-Something v2 in its official layout: four JSON files and ``20bn-something-something-v2/<id>.webm``."""

from pathlib import Path

from sigma_bench.data.manifest import Manifest, Sample, expected_counts, make_split
from sigma_bench.data.readers.text_lists import read_json
from sigma_bench.specs.dataset import DatasetCard, SplitName

_FILE = "something-something-v2-{}.json"
_OFFICIAL_NAME: dict[SplitName, str] = {"train": "train", "test": "validation"}
_SUFFIXES = (".webm", ".mp4", ".avi")


def read(root: Path, card: DatasetCard) -> Manifest:
    """Find SSv2 below ``root``; the labelled validation split plays the test, as in every paper."""
    labels_path = root / "labels" / _FILE.format("labels")
    index = {str(template): int(position) for template, position in read_json(labels_path).items()}
    world, expected = expected_counts(root, card)
    splits = {}
    for split, official in _OFFICIAL_NAME.items():
        path = root / "labels" / _FILE.format(official)
        samples = [_sample(root, path, entry, index) for entry in read_json(path)]
        splits[split] = make_split(split, samples, expected[split], path)
    classes = tuple(sorted(index, key=index.__getitem__))
    return Manifest(card.dataset, world, classes, splits)


def _sample(root: Path, path: Path, entry: dict[str, str], index: dict[str, int]) -> Sample:
    template = str(entry.get("template", "")).replace("[", "").replace("]", "")
    if "id" not in entry or template not in index:
        raise ValueError(f"{path}: an entry has no id or a template that is not among the labels: {entry}")
    video_id = str(entry["id"])
    folder = root / "20bn-something-something-v2"
    found = [folder / f"{video_id}{suffix}" for suffix in _SUFFIXES if (folder / f"{video_id}{suffix}").exists()]
    video = found[0] if found else folder / f"{video_id}{_SUFFIXES[0]}"
    return Sample(video_id, video, "video", index[template], group=video_id)
