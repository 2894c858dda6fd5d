"""The mini world: the same seed gives the same bytes, layouts are official, and one frame does not show the label."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from sigma_bench.data.annotations import CycleBounds, ObjectCategories
from sigma_bench.data.datasets import open_dataset
from sigma_bench.data.manifest import Sample
from sigma_bench.data.masks import MaskFolder
from sigma_bench.data.media_opening import open_media
from sigma_bench.data.sequences import MaskedSequence
from sigma_bench.miniworld.clips import (
    GLIDE_COPIES,
    WAYS,
    glide_path,
    gliding_flock,
    moving_flock,
    occluding_shapes,
    scene_clip,
    separately_moving_shapes,
    stream,
)
from sigma_bench.miniworld.patterns import PATTERNS, SCENES, wave
from sigma_bench.miniworld.scene import CANVAS
from sigma_bench.miniworld.world import DATASETS, write_miniworld
from sigma_bench.miniworld.writers import write_video
from sigma_bench.specs.catalogue import load_dataset
from tests.conftest import SMALL

TINY = {
    "ucf101": (1, 1, 1),
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


def test_the_same_seed_writes_the_same_bytes_though_interrupted_and_another_does_not(tmp_path: Path) -> None:
    for _ in write_miniworld(tmp_path / "cut", 0, sizes=TINY):
        break
    begun = files_below(tmp_path / "cut")
    for name in ("whole", "cut"):
        list(write_miniworld(tmp_path / name, 0, sizes=TINY))
    whole, cut = (files_below(tmp_path / name) for name in ("whole", "cut"))
    assert cut == whole
    assert len(begun) < len(whole)
    assert list(write_miniworld(tmp_path / "whole", 0, sizes=TINY)) == []
    folders = [name for name in DATASETS if name != "ucf101"]  # half of all files
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


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("way", WAYS.values(), ids=str)
def test_a_gliding_flock_stands_everywhere_alike_in_both_axes(way: tuple[int, int], first: int) -> None:
    """Of a flock of period 16 px, seen every second frame: every 2nd pixel in one axis, every 4th in the other."""
    period = CANVAS // GLIDE_COPIES
    down, right = (sorted(place) for place in (glide_path(way)[first::2] % period).T)
    slow, fast = (down, right) if abs(way[0]) == 1 else (right, down)
    assert {place % 2 for place in slow} == {slow[0] % 2} and len(set(slow)) == 8
    assert {place % 4 for place in fast} == {fast[0] % 4} and len(set(fast)) == 4


def test_neither_direction_nor_axis_can_be_read_from_the_mean_over_frames() -> None:
    def means(part: str, count: int) -> tuple[np.ndarray, np.ndarray]:
        ways = list(WAYS.values())
        clips = [gliding_flock(stream(5, part, i), ways[i % 8], digit=i % 10, part=part) for i in range(count)]
        mean = np.stack([clip[::2, ::2, ::2].mean(0) for clip in clips])
        return mean.reshape(count, -1) / 255, np.arange(count) % 8

    (train, label), (test, truth) = means("train", 400), means("test", 300)
    accuracy = LogisticRegression(C=1e-3, max_iter=200).fit(train, label).score(test, truth)
    assert abs(accuracy - 0.125) < 4 * 0.0191  # four standard errors over 300 clips


def test_neither_number_nor_order_of_movements_can_be_read_from_one_frame() -> None:
    words = (((0, 1),), ((0, 1), (0, -1)), ((0, -1), (0, 1)), ((0, 1), (0, 1)))

    def frames(part: str, count: int) -> tuple[np.ndarray, np.ndarray]:
        clips = [moving_flock(stream(6, part, i), words[i % 4], part=part, num_frames=20)[10] for i in range(count)]
        return np.stack(clips)[:, ::2, ::2].reshape(count, -1) / 255, np.arange(count) % 4

    (train, label), (test, truth) = frames("train", 400), frames("test", 300)
    accuracy = LogisticRegression(C=1e-3, max_iter=200).fit(train, label).score(test, truth)
    assert abs(accuracy - 0.25) < 4 * 0.025  # four standard errors over 300 frames


def test_a_swing_repeats_as_often_as_its_label_says(world: Path) -> None:
    """The shape is at its start at every bound, and farthest from it once between two bounds."""
    sample = open_dataset(load_dataset("ucfrep"), world).splits["train"].samples[1]
    assert isinstance(sample.annotation, CycleBounds)
    bounds = np.array(sample.annotation.bounds)
    frame_THWC = open_media(sample).frames(range(int(bounds[-1]) + 1)).astype(int)
    away = np.abs(frame_THWC - frame_THWC[bounds[0]]).mean((1, 2, 3))
    middles = (bounds[:-1] + bounds[1:]) // 2
    assert away[bounds].max() < 0.6 * away[middles].min()
    assert 2 <= sample.annotation.count <= 7


def test_an_action_is_where_its_shape_moves() -> None:
    frames, turns = separately_moving_shapes(stream(0, "charades", "any"), num_frames=36)
    change = np.abs(np.diff(frames.astype(int), axis=0)).mean((1, 2, 3))
    active = [any(turn.first <= t + 1 < turn.end for turn in turns) for t in range(35)]
    if not all(active):
        assert change[np.array(active)].mean() > 2 * change[~np.array(active)].mean()
    assert len({turn.shape for turn in turns}) == len(turns) >= 2


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


def test_a_passing_flock_leaves_mean_colours_alone() -> None:
    """Motion changes the mean colour of a ninth of the frame by less than two hundredths of the range."""
    clip = moving_flock(stream(0, "still-camera"), ((0, 1), (0, 1)), part="train", num_frames=20)
    cell = clip.reshape(20, 64, 64, 3)[:, :63, :63].reshape(20, 3, 21, 3, 21, 3).mean(axis=(2, 4))
    assert cell.std(axis=0).max() < 0.02 * 255


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_repeats_after_its_wavelength_along_its_gradient(pattern: str) -> None:
    """The mean square of a wave is 1/2 of stripes and 1/4 of two crossed ones, and its mean is close to zero."""
    shown = wave(pattern, 8.0, stream(1, pattern), num_frames=3, side=256, drift_px=0.5)
    assert shown.shape == (3, 256, 256)
    assert abs(shown.mean()) < 0.01
    assert np.square(shown).mean() == pytest.approx(0.25 if pattern in ("checks", "plaid") else 0.5, rel=0.02)
    power = np.abs(np.fft.fft2(shown[0])) ** 2
    rows, columns = np.unravel_index(power.argmax(), power.shape)
    cycles = np.hypot(min(rows, 256 - rows), min(columns, 256 - columns))
    expected = 32 * np.sqrt(2) if pattern in ("checks", "plaid") else 32
    assert cycles == pytest.approx(expected, abs=1.0)


def test_neither_mean_colours_nor_their_places_show_the_class_of_a_scene() -> None:
    """Mean colours of a ninth of the frame each; a scene is known by its pattern alone."""

    def means(part: str, count: int) -> tuple[np.ndarray, np.ndarray]:
        scenes = [SCENES[i % 10] for i in range(count)]
        clips = [scene_clip(stream(8, part, i), s.pattern, s.width, num_frames=1) for i, s in enumerate(scenes)]
        return np.stack(clips)[:, 0, :63, :63].reshape(count, 3, 21, 3, 21, 3).mean((2, 4)).reshape(count, -1), (
            np.arange(count) % 10
        )

    (train, label), (test, truth) = means("train", 400), means("test", 300)
    accuracy = LogisticRegression(C=1e-3, max_iter=200).fit(train, label).score(test, truth)
    assert abs(accuracy - 0.1) < 4 * 0.0173  # four standard errors over 300 frames
