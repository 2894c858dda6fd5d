"""The identity of data depends on the content alone; a file is read once, and again after it has changed."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sigma_bench.data.custom_folders import read_class_folders
from sigma_bench.data.datasets import open_dataset
from sigma_bench.data.identity import identified
from sigma_bench.data.manifest import LedgerPlace, Manifest, Sample, Split
from sigma_bench.specs.catalogue import load_dataset
from sigma_bench.specs.fingerprint import digest, digest_of_rows

LONG_AGO = 10**18
"""A modification time in the past, in ns since the epoch."""


def settle(folder: Path) -> None:
    """Give every file a modification time in the past, so that the ledger keeps its entry."""
    for path in folder.rglob("*"):
        os.utime(path, ns=(LONG_AGO, LONG_AGO))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes of two images of noise, all of one size."""
    rng = np.random.default_rng(0)
    for number in range(4):
        path = tmp_path / "photos" / f"class{number % 2}" / f"{number}.bmp"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8)).save(path)
    settle(tmp_path / "photos")
    return tmp_path / "photos"


def identify(manifest: Manifest) -> tuple[Manifest, int]:
    """The identified manifest, and how many files had to be read for it."""
    read: list[int] = []
    found = identified(manifest, manifest.splits.values(), lambda done, total: read.append(done))
    return found, len(read)


def digest_of(photos: Path) -> str:
    return identify(read_class_folders(photos))[0].splits["all"].sha256


def test_files_are_read_once_and_again_after_they_changed(photos: Path) -> None:
    first, num_read = identify(read_class_folders(photos))
    assert num_read == 4 and identify(read_class_folders(photos))[1] == 0
    changed = photos / "class0" / "0.bmp"
    changed.write_bytes(changed.read_bytes()[:-1] + b"\0")  # of equal size
    again, num_read = identify(read_class_folders(photos))
    assert num_read == 1 and again.splits["all"].sha256 != first.splits["all"].sha256


def test_an_identified_manifest_is_not_looked_at_again(photos: Path) -> None:
    once, _ = identify(read_class_folders(photos))
    assert identified(once, once.splits.values()) is once


def test_a_copy_has_the_same_identity_with_and_without_its_ledger(photos: Path, tmp_path: Path) -> None:
    before = digest_of(photos)
    for name, copy, num_expected in (("same_times", shutil.copy2, 0), ("other_times", shutil.copy, 4)):
        other = Path(shutil.copytree(photos, tmp_path / name / "photos", copy_function=copy))
        shutil.copy(tmp_path / "photos.ledger.jsonl", other.parent)
        manifest, num_read = identify(read_class_folders(other))
        assert (manifest.splits["all"].sha256, num_read) == (before, num_expected)


def test_a_file_that_has_just_been_written_is_not_remembered(photos: Path) -> None:
    """The file could change again within the resolution of its modification time."""
    (photos / "class0" / "0.bmp").touch()
    assert identify(read_class_folders(photos))[1] == 4
    assert identify(read_class_folders(photos))[1] == 1


def test_where_the_ledger_cannot_be_written_the_cache_folder_remembers(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    read_only = LedgerPlace(tmp_path / "no folder" / "photos.ledger.jsonl", photos)
    manifest = replace(read_class_folders(photos), ledger=read_only)
    assert [identify(manifest)[1] for _ in range(2)] == [4, 0]
    assert len(list((tmp_path / "cache" / "sigma-bench" / "ledgers").iterdir())) == 1


@pytest.mark.parametrize("change", ["swap two frames", "change a mask", "add a frame"])
def test_a_folder_of_frames_changes_with_its_frames_and_masks(tmp_path: Path, change: str) -> None:
    rng = np.random.default_rng(0)
    for name in ("frames", "masks"):
        (tmp_path / name).mkdir()
        for number in range(2):
            picture = Image.fromarray(rng.integers(0, 2, (4, 4), np.uint8) * 255)
            picture.save(tmp_path / name / f"0000{number}.bmp")
    settle(tmp_path)
    sample = Sample("dog", tmp_path / "frames", "frame_folder", None, "dog", mask_folder=tmp_path / "masks")
    place = LedgerPlace(tmp_path / "ledger.jsonl", tmp_path)
    manifest = Manifest("davis2017", "official", None, {"test": Split("test", (sample,), 1)}, place)
    before = identify(manifest)[0].splits["test"].sha256
    assert identify(manifest)[1] == 0
    first, second = (tmp_path / "frames" / f"0000{number}.bmp" for number in range(2))
    if change == "swap two frames":  # of equal sizes and times
        first.rename(tmp_path / "aside")
        second.rename(first)
        (tmp_path / "aside").rename(second)
    elif change == "change a mask":
        mask = tmp_path / "masks" / "00001.bmp"
        mask.write_bytes(mask.read_bytes()[:-1] + b"\x01")
    else:
        shutil.copy2(first, first.with_name("00002.bmp"))
    if change == "swap two frames":  # the times of the swapped files are equal, so only their contents tell
        os.utime(first, ns=(LONG_AGO + 1, LONG_AGO + 1))
    assert identify(manifest)[0].splits["test"].sha256 != before


def test_the_decoder_of_a_video_is_part_of_the_identity(world: Path) -> None:
    manifest = open_dataset(load_dataset("ssv2"), world)
    split = identify(manifest)[0].splits["test"]
    assert {sample.decoder for sample in split.samples} <= {"decord", "pyav"}
    other = {"decord": "pyav", "pyav": "decord"}
    first = replace(split.samples[0], decoder=other[split.samples[0].decoder])
    assert replace(split, samples=(first, *split.samples[1:])).sha256 != split.sha256


def test_a_missing_file_has_no_content(photos: Path) -> None:
    manifest = read_class_folders(photos)
    (photos / "class1" / "3.bmp").unlink()
    contents = [sample.content is None for sample in identify(manifest)[0].splits["all"].samples]
    assert sorted(contents) == [False, False, False, True]


def test_a_pipe_or_device_in_place_of_a_file_is_named_and_never_read(photos: Path) -> None:
    os.mkfifo(photos / "class0" / "pipe.bmp")
    with pytest.raises(ValueError, match=r"pipe\.bmp: neither a file nor a folder"):
        identify(read_class_folders(photos))


def test_the_digest_of_rows_is_that_of_their_list() -> None:
    for rows in ([], [["a", None, 3]], [["ä", 1.5], {"b": 1, "a": [2]}, "\udc80"]):
        assert digest_of_rows("train", iter(rows)) == digest(["train", rows])
