"""YouTube-VOS, the official train archive: ``train/{JPEGImages,Annotations}/<video>/`` and ``train/meta.json``.

Only every fifth frame has a mask.  The official validation masks show only the first appearance of each object, so a
fifth of the train videos is held out as test split, by the list of ids that TimeTuning (arXiv 2308.11796) published.
The labels are categories of objects: two people in a video have the same label.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sigma_bench.data.annotations import ObjectCategories
from sigma_bench.data.manifest import Manifest, Sample, expected_counts, make_split
from sigma_bench.data.official_lists import lines, read_object
from sigma_bench.data.parts import Part
from sigma_bench.resources import declarations
from sigma_bench.specs.dataset import DatasetCard, SplitName

HELD_OUT = "youtube_vos_held_out.txt"
_FILES = (r"meta\.json", r"JPEGImages/.+/\d+\.jpg", r"Annotations/.+/\d+\.png")


def _is_train(folder: Path) -> bool:
    """Whether held-out videos are among those of a folder; the official validation archive has others."""
    try:
        videos = read_object(folder / "meta.json").get("videos")
    except ValueError:
        return False
    return isinstance(videos, dict) and not _held_out(folder.parent).isdisjoint(videos)


PARTS = (
    Part("train", _FILES, is_media=True, accepts=_is_train),
    Part("train", _FILES, unusable="its meta.json names no video of the official train archive"),
    Part("held_out.txt", file=r"held_out\.txt", is_optional=True),
)


def read(root: Path, card: DatasetCard) -> Manifest:
    """Find YouTube-VOS below ``root``; the mini world has its own list of test videos, ``held_out.txt``."""
    meta = root / "train" / "meta.json"
    videos = read_object(meta).get("videos")
    if not isinstance(videos, dict) or not all(isinstance(video, dict) for video in videos.values()):
        raise ValueError(f"{meta}: expected {{'videos': {{<video>: {{'objects': ...}}}}}}")
    data_source, expected = expected_counts(root, card)
    held_out = _held_out(root)
    objects = {name: _objects(meta, name, video) for name, video in videos.items()}
    categories = sorted({category for of_video in objects.values() for category in of_video.values()})
    number_of = {category: number for number, category in enumerate(categories, start=1)}
    by_split: dict[SplitName, list[Sample]] = {"train": [], "test": []}
    for name in sorted(objects):
        numbers = tuple((object_id, number_of[category]) for object_id, category in sorted(objects[name].items()))
        by_split["test" if name in held_out else "train"].append(_sample(root, name, numbers))
    splits = {name: make_split(name, samples, expected[name], meta) for name, samples in by_split.items()}
    return Manifest(card.dataset, data_source, tuple(categories), splits)


def _held_out(root: Path) -> set[str]:
    """Names of the test videos, from the list of the mini world if there is one."""
    own = root / "held_out.txt"
    path = own if own.exists() else declarations("tasks") / HELD_OUT
    return {line for _, line in lines(path) if not line.startswith("#")}


def _objects(meta: Path, name: str, video: Mapping[str, Any]) -> dict[int, str]:
    """Category of each object by its id in the masks."""
    objects = video.get("objects")
    if not isinstance(objects, dict) or not all(
        key.isdecimal() and isinstance(value, dict) and "category" in value for key, value in objects.items()
    ):
        raise ValueError(f"{meta}: video '{name}' has an object without a number or a category")
    return {int(key): str(value["category"]) for key, value in objects.items()}


def _sample(root: Path, name: str, numbers: tuple[tuple[int, int], ...]) -> Sample:
    frames, masks = (root / "train" / kind / name for kind in ("JPEGImages", "Annotations"))
    return Sample(name, frames, "frame_folder", None, name, mask_folder=masks, annotation=ObjectCategories(numbers))
