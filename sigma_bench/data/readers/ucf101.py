"""UCF101 in its official layout: ``ucfTrainTestlist/`` and ``UCF-101/<Class>/v_<Class>_gNN_cNN.avi``; split 1."""

import re
from pathlib import Path

from sigma_bench.data.manifest import Manifest, Sample, Split, expected_counts, make_split
from sigma_bench.data.readers.text_lists import lines
from sigma_bench.specs.dataset import DatasetCard, SplitName

_GROUP = re.compile(r"^v_(?P<class>.+)_(?P<group>g\d+)_c\d+$")


def read(root: Path, card: DatasetCard) -> Manifest:
    """Find UCF101 below ``root``; ValueError names the official file that is missing or wrong."""
    lists = root / "ucfTrainTestlist"
    index = {}
    for number, line in lines(lists / "classInd.txt"):
        position, _, name = line.partition(" ")
        if not position.isdigit() or not name:
            raise ValueError(f"{lists / 'classInd.txt'}: line {number}: expected '<number> <Class>', got '{line}'")
        index[name] = int(position) - 1
    world, expected = expected_counts(root, card)
    splits: dict[SplitName, Split] = {}
    names: tuple[SplitName, ...] = ("train", "test")
    for split in names:
        path = lists / f"{split}list01.txt"
        samples = [_sample(root, path, number, line, index) for number, line in lines(path)]
        splits[split] = make_split(split, samples, expected[split], path)
    return Manifest(card.dataset, world, tuple(index), splits)


def _sample(root: Path, path: Path, number: int, line: str, index: dict[str, int]) -> Sample:
    relative = line.split(" ")[0]
    class_name, _, file_name = relative.partition("/")
    match = _GROUP.match(Path(file_name).stem)
    if class_name not in index or match is None:
        raise ValueError(
            f"{path}: line {number}: '{relative}' is not '<Class>/v_<Class>_gNN_cNN.avi' of a listed class"
        )
    group = f"{match['class']}_{match['group']}"
    video = root / "UCF-101" / relative
    return Sample(Path(file_name).stem, video, "video", index[class_name], group)
