"""HMDB51: ``testTrainMulti_7030_splits/<class>_test_split<n>.txt`` and ``hmdb51_org/<class>/<file>.avi``.

The variants ``split2`` and ``split3`` are the other official splits.  A group is the source video, whose name is part
of the names of its clips; no source is in both parts of a split.
"""

import re
from pathlib import Path

from sigma_bench.data.data_files import contents, visible
from sigma_bench.data.manifest import Manifest, Sample, expected_counts, make_split
from sigma_bench.data.media import find_video
from sigma_bench.data.official_lists import lines
from sigma_bench.data.parts import Part
from sigma_bench.specs.dataset import DatasetCard, SplitName

_NUMBER = {None: 1, "split2": 2, "split3": 3}
_USED_AS: dict[SplitName, str] = {"train": "1", "test": "2"}
_SOURCE = re.compile(r"^(?P<source>.+)_[fulh]_[cn]m_np\d+_(?:fr|ba|le|ri)_(?:goo|med|bad)_\d+$")
"""Name of the source, followed by visible body part, camera motion, number of people, viewpoint, quality and number."""
PARTS = (
    Part("testTrainMulti_7030_splits", (r".+_test_split[123]\.txt",)),
    Part("hmdb51_org", (r".+/.+_[fulh]_[cn]m_np\d+_(fr|ba|le|ri)_(goo|med|bad)_\d+(\.\w+)?",), is_media=True),
)


def read(root: Path, card: DatasetCard) -> Manifest:
    """Find HMDB51 below ``root``; classes are numbered in alphabetical order."""
    lists, number = root / "testTrainMulti_7030_splits", _NUMBER[card.variant]
    ending = f"_test_split{number}.txt"
    classes = tuple(sorted(path.name.removesuffix(ending) for path in visible(lists) if path.name.endswith(ending)))
    if not classes:
        raise ValueError(f"{lists}: there is no '<class>{ending}' here; {contents(lists)}")
    rows = [(label, row) for label, name in enumerate(classes) for row in _rows(lists / f"{name}{ending}")]
    data_source, expected = expected_counts(root, card)
    splits = {}
    for split, used in _USED_AS.items():
        samples = [_sample(root, classes[label], label, name) for label, (name, use) in rows if use == used]
        splits[split] = make_split(split, samples, expected[split], lists)
    return Manifest(card.dataset, data_source, classes, splits)


def _rows(path: Path) -> list[tuple[str, str]]:
    """File name and use (0 unused, 1 train, 2 test) of one class."""
    rows = []
    for number, line in lines(path):
        name, _, use = line.rpartition(" ")
        if use not in ("0", "1", "2") or not _SOURCE.match(Path(name).stem):
            raise ValueError(f"{path}: line {number}: expected '<clip>.avi <0, 1 or 2>', got '{line}'")
        rows.append((name, use))
    return rows


def _sample(root: Path, name: str, label: int, file: str) -> Sample:
    stem = Path(file).stem
    match = _SOURCE.match(stem)
    assert match is not None
    video, media = find_video((root / "hmdb51_org" / name,), stem, ".avi")
    return Sample(f"{name}/{stem}", video, media, label, group=match["source"])
