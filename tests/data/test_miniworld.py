"""The mini world: the same seed gives the same bytes, readers find every dataset, and codecs keep the drawn frames."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from sigma_bench.data.annotations import ObjectCategories
from sigma_bench.data.datasets import open_dataset
from sigma_bench.data.manifest import Sample
from sigma_bench.data.masks import MaskFolder
from sigma_bench.data.media_opening import open_media
from sigma_bench.data.sequences import MaskedSequence
from sigma_bench.miniworld.clips import (
    WAYS,
    gliding_flock,
    occluding_shapes,
    stream,
)
from sigma_bench.miniworld.world import DATASETS, write_miniworld
from sigma_bench.miniworld.writers import write_video
from sigma_bench.specs.catalogue import load_dataset
from tests.conftest import SMALL

TINY = {
    "ucf101": SMALL["ucf101"],
    "ssv2": (8, 8),
    "cifar100": (10, 10),
    "davis2017": (1, 1),
    "hmdb51": (5, 5),
    "kinetics400": (8, 8),
    "imagenet1k": (10, 10),
    "finegym": (12, 12),
    "charades": (2, 1),
    "davis2016": (1, 1),
    "youtube_vos": (1, 1),
}
MEDIA = (".avi", ".webm", ".mp4", ".jpg", ".JPEG")


def files_below(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_the_same_seed_writes_the_same_bytes_though_interrupted_and_another_does_not(
    world: Path, tmp_path: Path
) -> None:
    """UCF101, half of all files, is compared with that of the shared world, which was not interrupted."""
    for _ in write_miniworld(tmp_path / "cut", 0, sizes=TINY):
        break
    begun = files_below(tmp_path / "cut")
    folders = [name for name in DATASETS if name != "ucf101"]
    list(write_miniworld(tmp_path / "cut", 0, sizes=TINY))
    list(write_miniworld(tmp_path / "whole", 0, sizes=TINY, folders=folders))
    shutil.copytree(world / "ucf101", tmp_path / "whole" / "ucf101")
    whole, cut = (files_below(tmp_path / name) for name in ("whole", "cut"))
    assert cut == whole
    assert len(begun) < len(whole)
    assert list(write_miniworld(tmp_path / "cut", 0, sizes=TINY)) == []
    list(write_miniworld(tmp_path / "other", 1, sizes=TINY, folders=folders))
    drawn = {name: content for name, content in files_below(tmp_path / "other").items() if name.endswith(MEDIA)}
    assert {name.partition("/")[0] for name in drawn} == {*folders} - {"cifar100"}
    assert [name for name, content in drawn.items() if whole[name] == content] == []


def test_another_seed_or_a_real_dataset_in_the_folder_is_refused(tmp_path: Path) -> None:
    folders = ("cifar100", "hmdb51")
    list(write_miniworld(tmp_path, 0, sizes=TINY, folders=folders))
    with pytest.raises(ValueError, match=r"contains another mini world \(seed 0, wanted 1\)"):
        list(write_miniworld(tmp_path, 1, sizes=TINY, folders=folders))
    with pytest.raises(ValueError, match=r"hmdb51: .*\(size \[5, 5\], wanted \[10, 5\]\)"):
        list(write_miniworld(tmp_path, 0, sizes=TINY | {"hmdb51": (10, 5)}, folders=folders))
    (tmp_path / "cifar100" / "miniworld.json").unlink()
    shutil.rmtree(tmp_path / "hmdb51")
    with pytest.raises(ValueError, match="not the mini world"):
        list(write_miniworld(tmp_path, 0, sizes=TINY, folders=folders))
    assert not (tmp_path / "hmdb51").exists(), "nothing is begun where something is refused"


def test_the_size_of_one_dataset_leaves_the_others_complete(tmp_path: Path) -> None:
    list(write_miniworld(tmp_path, 0, sizes=TINY, folders=("cifar100",)))
    other = {"cifar100": TINY["cifar100"], "hmdb51": (10, 5)}
    assert list(write_miniworld(tmp_path, 0, sizes=other, folders=("cifar100",))) == []


def test_two_processes_do_not_write_into_one_root(tmp_path: Path) -> None:
    begun = write_miniworld(tmp_path, 0, sizes=TINY, folders=("cifar100",))
    next(begun)
    with pytest.raises(ValueError, match="another process is writing"):
        list(write_miniworld(tmp_path, 0, sizes=TINY, folders=("cifar100",)))
    list(begun)
    assert list(write_miniworld(tmp_path, 0, sizes=TINY, folders=("cifar100",))) == []


FINEGYM = SMALL["finegym"]
EXPECTED = {
    **{name: size for name, size in SMALL.items() if name not in ("ucf101", "finegym")},
    **{"ucf101": (180, 70), "ucf101_1k": (180, 70), "ucfrep": (16, 8)},
    **dict.fromkeys(("finegym_gym99", "finegym_gym288", "finegym_gym99_1k"), FINEGYM),
    **dict.fromkeys(("finegym_fx_s1", "finegym_ub_s1"), (FINEGYM[0] // 2, FINEGYM[1] // 2)),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_every_dataset_reads_back_through_its_official_reader(world: Path, name: str) -> None:
    manifest = open_dataset(load_dataset(name), world)
    assert manifest.data_source == "mini"
    assert tuple(len(manifest.splits[split].samples) for split in ("train", "test")) == EXPECTED[name]
    assert not any(split.missing for split in manifest.splits.values())
    groups = [{sample.group for sample in manifest.splits[split].samples} for split in ("train", "test")]
    assert not groups[0] & groups[1]


def assert_each_is_its_own_drawing(stored_THWC: np.ndarray, drawn_THWC: np.ndarray) -> None:
    """Every frame differs from its drawing by less than half of the difference between that and any other drawing.

    A frame in another's place then fails: the mean absolute difference obeys the triangle inequality, so that it is
    further than half the way from where it stands.
    """
    error_TD, between_TD = (
        np.abs(frame_THWC[:, None].astype(int) - drawn_THWC[None]).mean((2, 3, 4))
        for frame_THWC in (stored_THWC, drawn_THWC)
    )
    np.fill_diagonal(between_TD, np.inf)
    assert (error_TD.diagonal() < between_TD.min(1) / 2).all()


def test_stored_frames_are_the_drawn_ones_up_to_the_codec(world: Path) -> None:
    sample = open_dataset(load_dataset("ssv2"), world).splits["train"].samples[3]
    entry = json.loads((world / "ssv2" / "labels" / "something-something-v2-train.json").read_text())[3]
    digits = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    digit = digits.index(entry["placeholders"][0])
    way = list(WAYS.values())[3]
    drawn = gliding_flock(stream(0, "ssv2", "train", 3), way, digit=digit, part="train")
    stored = open_media(sample).frames(range(16))
    assert_each_is_its_own_drawing(stored, drawn)


@pytest.mark.parametrize("suffix", [".avi", ".webm", ".mp4"])
def test_no_codec_mistakes_a_frame(tmp_path: Path, suffix: str) -> None:
    for number, way in enumerate(WAYS.values()):
        drawn = gliding_flock(stream(7, number), way, digit=number, part="train")
        path = tmp_path / f"{number}{suffix}"
        write_video(path, drawn)
        stored = open_media(Sample("x", path, "video", 0, group="x")).frames(range(len(drawn)))
        assert_each_is_its_own_drawing(stored, drawn)


def test_masks_tell_which_object_is_in_front(world: Path) -> None:
    sample = open_dataset(load_dataset("davis2017"), world).splits["test"].samples[0]
    _, owner = occluding_shapes(stream(0, "davis2017", sample.id), num_frames=20)
    assert sample.mask_folder is not None
    assert np.array_equal(MaskFolder(sample.mask_folder, "ids").read(sample.mask_folder / "00007.png"), owner[7])
    assert len(np.unique(owner)) >= 3


def test_categories_of_masks_are_the_shapes_drawn(world: Path) -> None:
    manifest = open_dataset(load_dataset("youtube_vos"), world)
    twins = [s for split in manifest.splits.values() for s in split.samples if s.id.endswith("0")]
    for sample in twins:
        assert isinstance(sample.annotation, ObjectCategories)
        numbers = [category for _, category in sample.annotation.categories]
        assert len(numbers) == 3 and len(set(numbers)) == 2, "two of three objects are of one category"
        sequence = MaskedSequence(sample)
        assert len(sequence) == 4, "every fifth of twenty frames has a mask"
        assert set(np.unique(sequence.read([0, 3], 64)[1])) <= {0, *numbers}
