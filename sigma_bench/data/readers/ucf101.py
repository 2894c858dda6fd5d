"""UCF101 in its official layout: ``ucfTrainTestlist/`` and ``UCF-101/<Class>/v_<Class>_gNN_cNN.avi``.

The variants ``split2`` and ``split3`` are the other official splits; ``1k`` is split 1 with SEVERE's subset as training
split.
"""

import re
from pathlib import Path

from sigma_bench.data.manifest import Manifest, Sample, Split, expected_counts, make_split
from sigma_bench.data.media import find_video
from sigma_bench.data.official_lists import draw_subset, lines
from sigma_bench.data.parts import Part
from sigma_bench.specs.dataset import DatasetCard, SplitName

_GROUP = re.compile(r"^v_(?P<class>.+)_(?P<group>g\d+)_c\d+$")
_NUMBER = {None: "01", "1k": "01", "split2": "02", "split3": "03"}
VIDEOS = Part("UCF-101", (r".+/v_.+_g\d\d_c\d\d(\.\w+)?",), is_media=True)
PARTS = (Part("ucfTrainTestlist", ("classInd.txt", r"(train|test)list0[123]\.txt")), VIDEOS)


def read(root: Path, card: DatasetCard) -> Manifest:
    """Find UCF101 below ``root``.

    Raises:
        ValueError: an official file is missing or invalid; the message names it.
    """
    lists = root / "ucfTrainTestlist"
    index = {}
    for number, line in lines(lists / "classInd.txt"):
        position, _, name = line.partition(" ")
        if not position.isdecimal() or not name:
            raise ValueError(f"{lists / 'classInd.txt'}: line {number}: expected '<number> <Class>', got '{line}'")
        index[name] = int(position) - 1
    data_source, expected = expected_counts(root, card)
    splits: dict[SplitName, Split] = {}
    names: tuple[SplitName, ...] = ("train", "test")
    for split in names:
        path = lists / f"{split}list{_NUMBER[card.variant]}.txt"
        samples = [_sample(root, path, number, line, index) for number, line in lines(path)]
        if card.variant == "1k" and split == "train":
            samples = draw_subset(samples)
        splits[split] = make_split(split, samples, expected[split], path)
    return Manifest(card.dataset, data_source, tuple(index), splits)


def _sample(root: Path, path: Path, number: int, line: str, index: dict[str, int]) -> Sample:
    relative = line.split(" ")[0]
    class_name, _, file_name = relative.partition("/")
    stem = Path(file_name).stem
    match = _GROUP.match(stem)
    if class_name not in index or match is None:
        raise ValueError(
            f"{path}: line {number}: '{relative}' is not '<Class>/v_<Class>_gNN_cNN.avi' of a listed class"
        )
    video, media = find_video((root / "UCF-101" / class_name,), stem, ".avi")
    return Sample(stem, video, media, index[class_name], group=f"{match['class']}_{match['group']}")
