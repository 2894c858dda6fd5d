"""A transcoded copy: the same lists and frame counts, nearly the same pictures, and key frames as requested."""

import json
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from sigma_bench.cli.main import app
from sigma_bench.data.datasets import open_dataset
from sigma_bench.data.manifest import Manifest
from sigma_bench.data.media_opening import open_media
from sigma_bench.specs.catalogue import load_dataset

KEPT = 12


@pytest.fixture
def root(world: Path, tmp_path: Path) -> Path:
    """Twelve of SSv2's videos; the lists name many more."""
    shutil.copytree(world / "ssv2", tmp_path / "data" / "ssv2")
    for path in sorted((tmp_path / "data").rglob("*.webm"))[KEPT:]:
        path.unlink()
    return tmp_path / "data"


def run(root: Path, target: Path, *options: str) -> tuple[int, str]:
    done = CliRunner().invoke(
        app, ["data", "transcode", str(root), "ssv2", str(target), "--num-workers", "2", *options]
    )
    return done.exit_code, str(done.exception) if isinstance(done.exception, ValueError) else done.output


def present(manifest: Manifest) -> list[tuple[str, Path]]:
    return [(s.id, s.path) for split in manifest.splits.values() for s in split.samples if s.path.exists()]


def test_a_copy_has_the_same_frames_and_says_what_it_is(root: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy"
    code, output = run(root, target, "--short-side", "32", "--keyframe-every", "4")
    assert code == 1  # most of the videos are missing here, and named
    assert output.count(": not found, though") == len(
        json.loads((target / "ssv2/transcoded.json").read_text())["failed"]
    )
    before, after = (open_dataset(load_dataset("ssv2"), place) for place in (root, target))
    assert (before.data_source, after.data_source) == ("mini", "transcoded")
    assert [i for i, _ in present(before)] == [i for i, _ in present(after)]
    assert len(present(after)) == KEPT
    samples = {s.id: s for m in (after,) for split in m.splits.values() for s in split.samples}
    for split in before.splits.values():
        for sample in split.samples:
            if not sample.path.exists():
                continue
            old, new = open_media(sample), open_media(samples[sample.id])
            assert len(old) == len(new)
            every = range(len(old))
            shape = new.frames([0]).shape
            assert shape[1:3] == (32, 32)
            coarse = [np.asarray(d.frames(every)).mean((1, 2)) for d in (old, new)]
            assert np.abs(coarse[0] - coarse[1]).max() < 3, "frame by frame the same mean colour"
            assert not np.array_equal(new.frames([0]), new.frames([len(new) - 1]))
    with av.open(str(present(after)[0][1])) as container:
        packets = [packet.is_keyframe for packet in container.demux(video=0) if packet.size]
    keys = [index for index, is_key in enumerate(packets) if is_key]
    assert keys[0] == 0
    assert max(np.diff([*keys, len(packets)])) <= 4  # and fewer where the encoder sees a new scene


def test_a_stopped_run_continues_and_another_way_is_refused(root: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy"
    run(root, target)
    files = sorted((target / "ssv2").rglob("*.mp4"))
    assert len(files) == KEPT
    files[0].unlink()
    times = [path.stat().st_mtime_ns for path in files[1:]]
    run(root, target)
    assert [path.stat().st_mtime_ns for path in files[1:]] == times
    assert files[0].exists()
    assert "contains videos transcoded with other settings" in run(root, target, "--crf", "30")[1]
    assert "choose another folder for the copy" in run(root, root)[1]


def test_only_video_files_are_transcoded(world: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["data", "transcode", str(world), "cifar100", str(tmp_path)])
    assert "cifar100 does not consist of video files" in str(done.exception)
