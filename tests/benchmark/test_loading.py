"""The benchmark of loading compares equal clips; how fast anything is, is not tested."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from sigma_bench.benchmark.loading import OPENERS, Clips, ClipShape, measure_loading
from sigma_bench.cli.main import app
from sigma_bench.data.datasets import open_dataset
from sigma_bench.data.manifest import Manifest
from sigma_bench.specs.catalogue import load_dataset

GEOMETRY = ClipShape(num_frames=4, stride_frames=2, image_size=32)


@pytest.fixture
def clips_of(world: Path) -> Manifest:
    return open_dataset(load_dataset("finegym_gym99"), world)


def test_both_loaders_give_the_same_clips(clips_of: Manifest) -> None:
    samples = clips_of.splits["train"].samples[:3]
    plain, ours = ([Clips(name, samples, GEOMETRY)[i].int() for i in range(3)] for name in OPENERS)
    assert max((a - b).abs().float().mean() for a, b in zip(ours, plain, strict=True)) < 0.1
    other = Clips("ours", samples, GEOMETRY, first=1)
    assert not torch.equal(other[0].int(), ours[0]), "the place of a clip depends on its number"


def test_videos_that_the_plain_loop_cannot_read_are_left_out_and_counted(clips_of: Manifest, tmp_path: Path) -> None:
    good, other = clips_of.splits["train"].samples[:2]
    (tmp_path / "broken.mp4").write_text("no video")
    broken = replace(other, path=tmp_path / "broken.mp4")
    found = measure_loading(clips_of, [good, broken], workers=[1], clips=2, rounds=2, geometry=GEOMETRY)
    assert [(row["loader"], row["workers"]) for row in found.rows] == [
        ("plain loop over decord", "0"), ("ours", "0"), ("plain loop over decord", "1"), ("ours", "1"),
    ]  # fmt: skip
    assert (found.rows[0]["x plain"], found.rows[0]["x plain (CPU)"]) == (1, 1)
    assert "1 videos are left out" in found.markdown()
    with pytest.raises(ValueError, match="decord and PyAV read none of 1 videos alike"):
        measure_loading(clips_of, [broken], workers=[], clips=1, rounds=1, geometry=GEOMETRY)


def test_the_command_leaves_json_and_markdown_or_says_what_is_missing(world: Path, tmp_path: Path) -> None:
    options = ["--clips", "2", "--rounds", "1", "--num-workers", "1", "--size", "32", "--output", str(tmp_path)]
    done = CliRunner().invoke(app, ["bench", "loading", str(world), "finegym_gym99", *options])
    assert done.exit_code == 0, done.output
    names = [f"loading_finegym_gym99_mini.{suffix}" for suffix in ("json", "md")]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    wrong = CliRunner().invoke(app, ["bench", "loading", str(world), "cifar100", *options])
    assert "cifar100 has no video files of its train split here" in str(wrong.exception)
