"""The mini world is sound: same seed same bytes, official layouts, and labels that one frame does not tell."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from sigma_bench.data.catalogue import open_dataset
from sigma_bench.data.decoding import open_media
from sigma_bench.data.images import read_palette_mask
from sigma_bench.data.miniworld.clips import flock_clip, occluding_shapes, stream
from sigma_bench.data.miniworld.size import WorldSize
from sigma_bench.data.miniworld.world import write_miniworld
from sigma_bench.specs.catalogue import load_dataset
from tests.conftest import SMALL

TINY = WorldSize(ucf_clips_per_group=1, ssv2=(8, 8), cifar100=(10, 10), davis2017=(1, 1))


def tree_digest(root: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        digest.update(str(path.relative_to(root)).encode() + path.read_bytes())
    return digest.hexdigest()


def test_the_same_seed_writes_the_same_bytes_and_another_does_not(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        list(write_miniworld(tmp_path / name, seed, size=TINY))
    assert tree_digest(tmp_path / "a") == tree_digest(tmp_path / "b") != tree_digest(tmp_path / "c")


def test_an_interrupted_world_is_completed_and_a_finished_one_left_alone(tmp_path: Path) -> None:
    list(write_miniworld(tmp_path / "whole", 0, size=TINY))
    for _ in write_miniworld(tmp_path / "cut", 0, size=TINY):
        break
    list(write_miniworld(tmp_path / "cut", 0, size=TINY))
    assert tree_digest(tmp_path / "whole") == tree_digest(tmp_path / "cut")
    assert list(write_miniworld(tmp_path / "whole", 0, size=TINY)) == []


def test_another_seed_or_a_real_dataset_in_the_folder_is_refused(tmp_path: Path) -> None:
    list(write_miniworld(tmp_path, 0, size=TINY))
    with pytest.raises(ValueError, match="holds another mini world"):
        list(write_miniworld(tmp_path, 1, size=TINY))
    (tmp_path / "ucf101" / "miniworld.json").unlink()
    with pytest.raises(ValueError, match="not the mini world"):
        list(write_miniworld(tmp_path, 0, size=TINY))


@pytest.mark.parametrize("name", ["ucf101", "ssv2", "cifar100", "davis2017"])
def test_every_dataset_reads_back_through_its_official_reader(world: Path, name: str) -> None:
    manifest = open_dataset(load_dataset(name), world)
    expected = {"ucf101": (180, 70), "ssv2": SMALL.ssv2, "cifar100": SMALL.cifar100, "davis2017": SMALL.davis2017}
    assert manifest.world == "mini"
    assert tuple(len(manifest.splits[split].samples) for split in ("train", "test")) == expected[name]
    groups = [{sample.group for sample in manifest.splits[split].samples} for split in ("train", "test")]
    assert not groups[0] & groups[1]


def test_stored_frames_are_the_drawn_ones_up_to_the_codec(world: Path) -> None:
    sample = open_dataset(load_dataset("ssv2"), world).splits["train"].samples[3]
    entry = json.loads((world / "ssv2" / "labels" / "something-something-v2-train.json").read_text())[3]
    digits = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    digit = digits.index(entry["placeholders"][0])
    drawn = flock_clip(stream(0, "ssv2", "train", 3), digit=digit, part="train", num_frames=16, direction=3)
    stored = open_media(sample).frames(range(16))
    assert np.abs(stored.astype(int) - drawn).mean() < 4


def test_masks_tell_which_object_is_in_front(world: Path) -> None:
    sample = open_dataset(load_dataset("davis2017"), world).splits["test"].samples[0]
    _, owner = occluding_shapes(stream(0, "davis2017", sample.id), num_frames=20)
    assert sample.mask_folder is not None
    assert np.array_equal(read_palette_mask(sample.mask_folder / "00007.png"), owner[7])
    assert len(np.unique(owner)) >= 3


def test_direction_cannot_be_read_from_one_frame() -> None:
    def frames(part: str, count: int) -> tuple[np.ndarray, np.ndarray]:
        clips = [
            flock_clip(stream(5, part, i), digit=i % 10, part=part, num_frames=8, side=32, direction=i % 8)[4]
            for i in range(count)
        ]
        return np.stack(clips).reshape(count, -1) / 255, np.arange(count) % 8

    (train, label), (test, truth) = frames("train", 800), frames("test", 400)
    accuracy = LogisticRegression(C=1e-3, max_iter=200).fit(train, label).score(test, truth)
    # Chance is 1/8 and the standard error over 400 frames is 0.0165: four of them either way.
    assert abs(accuracy - 0.125) < 0.066


def test_a_passing_flock_leaves_mean_colours_alone() -> None:
    """Mean colour of a third of the frame varies by motion less than two hundredths of the range."""
    clip = flock_clip(stream(0, "still-camera"), digit=3, part="train", num_frames=16, direction=0)
    cell = clip.reshape(16, 64, 64, 3)[:, :63, :63].reshape(16, 3, 21, 3, 21, 3).mean(axis=(2, 4))
    assert cell.std(axis=0).max() < 0.02 * 255
