"""Folder names of UCFRep: files named HandStandPushups may be in a folder named HandstandPushups."""

from pathlib import Path

import pytest

from sigma_bench.data.datasets import open_dataset
from sigma_bench.specs.catalogue import load_dataset

NAMES = ("v_HandStandPushups_g01_c01", "v_HandStandPushups_g21_c01")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    labels = tmp_path / "ucf101/UCFRep/annotations/repetition_label"
    labels.mkdir(parents=True)
    (labels / "HandStandPushups.txt").write_text("".join(f"{name}\n1 20 40 61\n\n\n" for name in NAMES))
    return tmp_path


@pytest.mark.parametrize("folder", ["HandstandPushups", "HandStandPushups"])
def test_both_spellings_of_the_folder_are_read(root: Path, folder: str) -> None:
    for name in NAMES:
        path = root / "ucf101/UCF-101" / folder / f"{name}.avi"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    splits = open_dataset(load_dataset("ucfrep"), root).splits
    assert [sample.path.parent.name for split in splits.values() for sample in split.samples] == [folder] * 2
    assert not any(split.missing for split in splits.values())


def test_where_neither_is_there_the_videos_are_missing_not_dropped(root: Path) -> None:
    splits = open_dataset(load_dataset("ucfrep"), root).splits
    assert [len(split.missing) for split in splits.values()] == [1, 1]
    with pytest.raises(ValueError, match=r"HandstandPushups/v_HandStandPushups_g01_c01.avi: not found; 1 of the 1"):
        splits["train"].require_present()
