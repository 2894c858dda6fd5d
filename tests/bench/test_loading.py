"""The loading benchmark compares like with like; how fast anything is, is not tested."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from sigma_bench.bench.loading import PLAIN, Clips, DecodeOnly, Pattern, PlainDecord, measure_loading, sides
from sigma_bench.bench.loading_result import LoadingBenchmark, markdown, rows
from sigma_bench.cli.main import app
from sigma_bench.data.catalogue import open_dataset
from sigma_bench.data.manifest import Manifest
from sigma_bench.specs.catalogue import load_dataset

PATTERN = Pattern(num_frames=4, stride_frames=2, image_size=32)


@pytest.fixture
def clips_of(world: Path) -> Manifest:
    return open_dataset(load_dataset("finegym_gym99"), world)


def test_every_side_that_says_so_gives_the_plain_loops_pixels(clips_of: Manifest) -> None:
    samples = clips_of.splits["train"].samples[:3]
    expected = [Clips(PlainDecord, samples, PATTERN)[index].int() for index in range(3)]
    for side in sides([1], PATTERN):
        clips = [Clips(side.open, samples, PATTERN)[index].int() for index in range(3)]
        if side.has_equal_pixels:
            difference = [(ours - plain).abs().float().mean() for ours, plain in zip(clips, expected, strict=True)]
            assert max(difference) < 0.1, side.name
    other = Clips(PlainDecord, samples, PATTERN, first=1)
    assert not torch.equal(other[0].int(), expected[0]), "the number of a clip decides where it lies"


def test_the_floor_decodes_and_makes_no_picture(clips_of: Manifest) -> None:
    reader = DecodeOnly(clips_of.splits["train"].samples[0])
    assert (len(reader), reader.frames([0, 5, 19]).shape) == (20, (3, 1, 1, 3))


def test_videos_that_the_plain_loop_cannot_read_are_left_out_and_counted(clips_of: Manifest, tmp_path: Path) -> None:
    good, other = clips_of.splits["train"].samples[:2]
    (tmp_path / "broken.mp4").write_text("no video")
    broken = replace(other, path=tmp_path / "broken.mp4")
    found = measure_loading(clips_of, [good, broken], workers=[1], clips=2, rounds=2, pattern=PATTERN)
    assert (found.num_videos, found.num_left_out) == (1, 1)
    plain = found.sides[0]
    assert plain.name == PLAIN
    assert (plain.times_plain.low, plain.times_plain.high, plain.cpu_times_plain.median) == (1, 1, 1)
    assert [side.num_workers for side in found.sides if side.name == "ours"] == [0, 1]
    assert LoadingBenchmark.model_validate_json(found.model_dump_json()) == found
    assert all("| " + " | ".join(row) + " |" in markdown(found) for row in rows(found))
    assert "1 videos of which decord gives other frames" in markdown(found)
    with pytest.raises(ValueError, match="of 1 videos there is none that decord and PyAV read alike"):
        measure_loading(clips_of, [broken], workers=[], clips=1, rounds=1, pattern=PATTERN)


def test_the_command_leaves_json_and_markdown_or_says_what_is_missing(world: Path, tmp_path: Path) -> None:
    options = ["--clips", "2", "--rounds", "1", "--num-workers", "1", "--size", "32", "--output", str(tmp_path)]
    done = CliRunner().invoke(app, ["data", "bench", str(world), "finegym_gym99", *options])
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "loading_finegym_gym99_mini.json",
        "loading_finegym_gym99_mini.md",
    ]
    wrong = CliRunner().invoke(app, ["data", "bench", str(world), "cifar100", *options])
    assert "cifar100 has no video files of its train split here" in str(wrong.exception)
