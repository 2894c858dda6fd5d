"""Common layouts: folders of frames instead of videos, other containers, and other lists of the same samples."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sigma_bench.data.annotations import ActionIntervals
from sigma_bench.data.datasets import open_dataset
from sigma_bench.data.manifest import Sample, medium_of
from sigma_bench.data.media_inspection import inspect
from sigma_bench.data.media_opening import open_media
from sigma_bench.specs.catalogue import load_dataset

VIDEO_DATASETS = ("ucf101", "ucfrep", "hmdb51", "ssv2", "kinetics400", "finegym_gym99", "charades")


def first_of(root: Path, name: str) -> Sample:
    return open_dataset(load_dataset(name), root).splits["train"].samples[0]


@pytest.fixture
def copy_of(world: Path, tmp_path: Path):
    def copied(name: str) -> Sample:
        home = load_dataset(name).home
        shutil.copytree(world / home, tmp_path / home)
        return first_of(tmp_path, name)

    return copied


@pytest.mark.parametrize("name", VIDEO_DATASETS)
@pytest.mark.parametrize("pattern", ["{:05d}.jpg", "img_{:05d}.jpg", "{folder}-{:06d}.jpg"])
def test_a_folder_of_frames_stands_for_the_video(copy_of, tmp_path: Path, name: str, pattern: str) -> None:
    video = copy_of(name)
    frame_THWC = open_media(video).frames(range(8))
    folder = video.path.with_suffix("")
    folder.mkdir()
    for number, frame in enumerate(frame_THWC, start=1):
        Image.fromarray(frame).save(folder / pattern.format(number, folder=folder.name), quality=100, subsampling=0)
    video.path.unlink()
    sample = first_of(tmp_path, name)
    assert sample == replace(video, path=folder, media="frame_folder", decoder=None)
    assert np.abs(open_media(sample).frames([7, 0]).astype(int) - frame_THWC[[7, 0]]).mean() < 2
    entry = inspect(medium_of(sample), tmp_path)
    assert (entry.problem, entry.frames) == (None, 8)


@pytest.mark.parametrize("suffix", [".webm", ".mp4", ".avi", ".mkv"])
@pytest.mark.parametrize("name", VIDEO_DATASETS)
def test_any_container_is_found(copy_of, tmp_path: Path, name: str, suffix: str) -> None:
    video = copy_of(name)
    other = video.path.with_suffix(suffix)
    video.path.rename(other)
    assert first_of(tmp_path, name) == replace(video, path=other)


def test_kinetics_lists_of_paths_say_the_same_in_every_form(tmp_path: Path) -> None:
    root = tmp_path / "kinetics400"
    (root / "train" / "high jump").mkdir(parents=True)
    for name in ("a, b", "c d"):
        (root / "train" / "high jump" / f"{name}.mp4").write_bytes(b"x")
    (root / "frames" / "e f").mkdir(parents=True)
    rows = [("train/high jump/a, b.mp4", 7), ("train/high jump/c d.mp4", 399), ("frames/e f", 0)]
    (root / "val.csv").write_text("train/high jump/c d.mp4 1\n")
    found = []
    for form in ("{} {}", "{},{}", "{}  {}", "{} 120 {}"):
        (root / "train.csv").write_text(
            "".join(form.format(*row) + "\n" for row in (rows[2:] if "120" in form else rows))
        )
        found.append(open_dataset(load_dataset("kinetics400"), tmp_path).splits["train"].samples)
    assert [(s.path, s.label, s.media) for s in found[0]] == [
        (root / rows[0][0], 7, "video"),
        (root / rows[1][0], 399, "video"),
        (root / rows[2][0], 0, "frame_folder"),
    ]
    assert found[0] == found[1] == found[2]
    assert found[3] == found[0][2:]


@pytest.mark.parametrize("form", ["train/{}.webm 7", "train/{}.mp4 120 7"])
def test_a_list_of_paths_finds_other_containers_too(tmp_path: Path, form: str) -> None:
    """As ``data transcode`` leaves them: the list says .webm, the folder has .mp4."""
    root = tmp_path / "kinetics400"
    (root / "train").mkdir(parents=True)
    for name in "ab":
        (root / "train" / f"{name}.mp4").write_bytes(b"x")
        (root / f"{'train' if name == 'a' else 'val'}.csv").write_text(form.format(name) + "\n")
    sample = first_of(tmp_path, "kinetics400")
    assert (sample.id, sample.label, sample.path) == ("train/a", 7, root / "train" / "a.mp4")


def test_what_comes_into_a_folder_is_found_the_next_time(copy_of, tmp_path: Path) -> None:
    video = copy_of("ssv2")
    content = video.path.read_bytes()
    video.path.unlink()
    assert first_of(tmp_path, "ssv2").path == video.path
    video.path.with_suffix(".mkv").write_bytes(content)
    assert first_of(tmp_path, "ssv2").path == video.path.with_suffix(".mkv")


def test_a_label_that_finegym_does_not_have_is_an_error_and_not_left_out(copy_of, tmp_path: Path) -> None:
    copy_of("finegym_gym99")
    path = tmp_path / "finegym/annotations/gym99_train.txt"
    path.write_text(path.read_text() + f"\n{'x' * 11}_E_000001_000002_A_0001_0002 99\n")
    with pytest.raises(ValueError, match=r"gym99_train.txt: line 49: expected '<sub-action id> <label>' with a label"):
        first_of(tmp_path, "finegym_gym99")


def test_a_wrong_row_is_named_by_its_line_in_the_file(copy_of, tmp_path: Path) -> None:
    copy_of("charades")
    path = tmp_path / "charades/Charades/Charades_v1_train.csv"
    header, *rows = path.read_text().splitlines()
    path.write_text("\n".join([header, "", rows[0], "", "ZZZZZ,,,,,,,,,c999 0 1,3.0"]) + "\n")
    with pytest.raises(ValueError, match=r"Charades_v1_train.csv: line 5: 'c999 0 1' is not"):
        first_of(tmp_path, "charades")


def test_charades_frame_lists_tell_the_same_actions_as_the_official_csv(tmp_path: Path) -> None:
    """Frame f, from 0, is f / 24 seconds; an action is on in the frames between its ends."""
    root = tmp_path / "charades"
    (root / "frame_lists").mkdir(parents=True)
    header = "original_vido_id video_id frame_id path labels"
    rows = [
        f'{name} {number} {frame} {name}/{name}-{frame + 1:06d}.jpg "{labels}"'
        for number, (name, spans) in enumerate({"AAAAA": ((3, 24, 48), (9, 36, 72)), "BBBBB": ()}.items())
        for frame in range(72)
        for labels in [",".join(str(label) for label, first, end in spans if first <= frame < end)]
    ]
    for name in ("train", "val"):
        (root / "frame_lists" / f"{name}.csv").write_text("\n".join([header, *rows]) + "\n")
    samples = open_dataset(load_dataset("charades"), tmp_path).splits["train"].samples
    assert [sample.id for sample in samples] == ["AAAAA", "BBBBB"]
    assert samples[0].annotation == ActionIntervals(((3, 1.0, 2.0), (9, 1.5, 3.0)))
    assert samples[1].annotation == ActionIntervals(())
    (root / "Charades").mkdir()
    for name in ("train", "test"):
        content = "id,actions,length\nAAAAA,c003 1.00 2.00;c009 1.50 3.00,3.0\nBBBBB,,3.0\n"
        (root / "Charades" / f"Charades_v1_{name}.csv").write_text(content)
    official = open_dataset(load_dataset("charades"), tmp_path).splits["train"].samples
    assert [sample.annotation for sample in official] == [sample.annotation for sample in samples]


@pytest.mark.parametrize(("name", "full"), [("davis2016", "1080p"), ("davis2017", "Full-Resolution")])
def test_davis_at_full_resolution_only(copy_of, tmp_path: Path, name: str, full: str) -> None:
    before = copy_of(name)
    for path in sorted((tmp_path / name / "DAVIS").glob("*/480p")):
        if path.parent.name != "ImageSets":
            path.rename(path.with_name(full))
    sample = first_of(tmp_path, name)
    assert (sample.path.parent.name, sample.id) == (full, before.id)
    assert sample.mask_folder is not None and sample.mask_folder.is_dir()
