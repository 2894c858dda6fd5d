"""``data verify``: exactly the broken files are named, an interrupted run continues, and a crash affects one file."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from sigma_bench.cli.main import app
from sigma_bench.data import data_verification
from sigma_bench.data.datasets import open_dataset
from sigma_bench.data.identity import identified
from sigma_bench.data.ledger import Ledger, LedgerEntry
from sigma_bench.data.manifest import Sample
from sigma_bench.data.media_inspection import Medium, inspect
from sigma_bench.data.media_opening import open_media
from sigma_bench.data.video import PyAvDecoder
from sigma_bench.miniworld.writers import write_video
from sigma_bench.specs.catalogue import load_dataset


def samples_of(root: Path, name: str) -> list[Sample]:
    return [s for split in open_dataset(load_dataset(name), root).splits.values() for s in split.samples]


def identified_samples(root: Path, name: str) -> list[Sample]:
    """Samples as an evaluation uses them, with the entries of the ledger."""
    manifest = open_dataset(load_dataset(name), root)
    return [s for split in identified(manifest, manifest.splits.values()).splits.values() for s in split.samples]


def verify(root: Path, *options: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["data", "verify", str(root), *options, "--num-workers", "2"])
    assert not isinstance(done.exception, Exception) or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def entries(root: Path, name: str) -> dict[str, dict[str, object]]:
    lines = [json.loads(line) for line in (root / f"{name}.ledger.jsonl").read_text().splitlines()]
    assert len({line["path"] for line in lines}) == len(lines), "nothing is read twice"
    return {line["path"]: line for line in lines}


@pytest.fixture(scope="module")
def verified(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with mini SSv2 and the ledger of its first verification."""
    root = tmp_path_factory.mktemp("verified")
    shutil.copytree(world / "ssv2", root / "ssv2")
    assert verify(root, "ssv2")[0] == 0
    return root


@pytest.fixture
def verified_copy(verified: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(verified, tmp_path / "copy"))  # times of change as well


def truncate(path: Path, share: float) -> None:
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


@pytest.mark.slow
def test_a_clean_world_is_clean(world: Path, tmp_path: Path) -> None:
    code, output = verify(world, "--ledger", str(tmp_path))
    assert code == 0, output
    assert {path.name.split(".")[0] for path in tmp_path.iterdir()} >= {"ssv2", "ucf101", "cifar100", "davis2017"}
    videos = entries(tmp_path, "ssv2")
    assert {entry.get("problem") for entry in videos.values()} == {None}
    assert {(e["frames"], e["height"], e["width"], e["decoder"]) for e in videos.values()} == {(16, 64, 64, "decord")}


def test_few_broken_are_named_and_none_else(world: Path, tmp_path: Path) -> None:
    for name in ("ssv2", "hmdb51"):
        shutil.copytree(world / name, tmp_path / name)
    clips, videos = samples_of(tmp_path, "ssv2"), samples_of(tmp_path, "hmdb51")
    rng = np.random.default_rng(0)
    chosen = [clips[i] for i in rng.choice(len(clips), 8, replace=False)]
    others = [videos[i] for i in rng.choice(len(videos), 8, replace=False)]
    reasons = {}
    for number, sample in enumerate(chosen + others):
        kind = ("truncated", "empty", "text", "missing")[number % 4]
        reasons[sample.id] = kind
        if kind == "truncated":
            truncate(sample.path, 0.6)
        elif kind == "missing":
            sample.path.unlink()
        else:
            sample.path.write_text("" if kind == "empty" else "this is text\n" * 50)
    code, output = verify(tmp_path)
    assert code == 1
    assert "more, all in the ledgers" in output or len(reasons) <= 20
    for name, samples in (("ssv2", clips), ("hmdb51", videos)):
        known = entries(tmp_path, name)
        for sample in samples:
            entry = known.get(sample.path.relative_to(tmp_path / name).as_posix())
            kind = reasons.get(sample.id)
            if kind == "missing":
                assert entry is None
                continue
            assert entry is not None
            assert ("problem" in entry) == (kind is not None), (sample.id, entry)
            if kind == "empty":
                assert entry["problem"] == "empty"
            if kind == "text":
                assert entry["problem"] == "not a video that can be decoded"


@pytest.mark.parametrize("suffix", [".avi", ".webm", ".mp4"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_truncated_video_is_found_wherever_it_ends(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"clip{suffix}"
    write_video(path, np.random.default_rng(0).integers(0, 255, (40, 64, 96, 3), dtype=np.uint8))
    assert inspect(Medium(path, "video", None), tmp_path).problem is None
    truncate(path, share)
    assert inspect(Medium(path, "video", None), tmp_path).problem is not None


def test_a_codec_that_is_not_supported_is_named(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_video(path, np.zeros((8, 64, 96, 3), np.uint8))
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzz9"))
    assert inspect(Medium(path, "video", None), tmp_path).problem == "the codec of this video is not supported"


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_without_permission_is_named(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_video(path, np.zeros((8, 64, 96, 3), np.uint8))
    path.chmod(0)
    assert inspect(Medium(path, "video", None), tmp_path).problem == "cannot be read (Permission denied)"


def test_masks_must_have_their_frame_and_its_size(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world / "davis2017", tmp_path / "davis2017")
    first, second, third, *_ = samples_of(tmp_path, "davis2017")
    assert first.mask_folder and second.mask_folder and third.mask_folder
    Image.new("P", (8, 8)).save(first.mask_folder / "00000.png")
    Image.new("P", (64, 64)).save(second.mask_folder / "99999.png")
    Image.new("RGB", (64, 64)).save(third.path / "00001.jpg")
    (third.path / "00001.jpg").write_bytes(b"no picture")
    code, output = verify(tmp_path, "davis2017")
    assert code == 1
    for sample, words in (
        (first, "the mask 00000.png has size (8, 8), but its frame has size ("),
        (second, "the mask 99999.png belongs to no frame"),
        (third, "00001.jpg: not an image that can be decoded"),
    ):
        assert f"{sample.id} is broken: " in output
        assert words in output
    assert output.count("is broken") == 3

    shutil.copyfile(world / first.mask_folder.relative_to(tmp_path) / "00000.png", first.mask_folder / "00000.png")
    output = verify(tmp_path, "davis2017")[1]
    assert f"{first.id} is broken" not in output, "a mended mask is read again"
    assert output.count("is broken") == 2


def test_a_killed_run_continues_and_reads_nothing_twice(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world / "ssv2", tmp_path / "ssv2")
    ledger = tmp_path / "ssv2.ledger.jsonl"
    command = [sys.executable, "-m", "sigma_bench", "data", "verify", str(tmp_path), "ssv2", "--num-workers", "1"]
    with subprocess.Popen(command, cwd=Path(__file__).resolve().parents[2], stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while not (ledger.exists() and ledger.read_bytes().count(b"\n") > 5) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    before = ledger.read_text().splitlines()
    assert 5 < len(before) < len(samples_of(tmp_path, "ssv2")), "killed in the middle"
    with ledger.open("a") as stream:
        stream.write('{"path": "torn')
    assert verify(tmp_path, "ssv2")[0] == 0
    after = ledger.read_text().splitlines()
    assert after[: len(before)] == before
    assert len(entries(tmp_path, "ssv2")) == len(samples_of(tmp_path, "ssv2"))


def test_changed_files_are_read_again_and_others_not(verified_copy: Path) -> None:
    changed = samples_of(verified_copy, "ssv2")[3]
    changed.path.write_bytes(b"something else")
    lines = (verified_copy / "ssv2.ledger.jsonl").read_text().count("\n")
    code, output = verify(verified_copy, "ssv2")
    assert code == 1
    assert f"{changed.id} is broken: not a video that can be decoded" in output
    assert (verified_copy / "ssv2.ledger.jsonl").read_text().count("\n") == lines + 1


def test_copies_under_two_names_are_told(verified_copy: Path) -> None:
    splits = open_dataset(load_dataset("ssv2"), verified_copy).splits
    original, copy = splits["train"].samples[0], splits["test"].samples[0]
    shutil.copyfile(original.path, copy.path)
    code, output = verify(verified_copy, "ssv2")
    assert code == 0, "a list that names a video twice is no fault of the files"
    assert f"ssv2 test: {copy.id} has the content of train/{original.id}" in output


def test_a_crash_and_a_hang_cost_one_file_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_verification, "inspect", _crash_or_hang)
    monkeypatch.setattr(data_verification, "SECONDS_PER_MEDIUM", 3)
    media = []
    for name in ("a", "crash", "b", "hang", "c"):
        (tmp_path / name).write_text(name)
        media.append(Medium(tmp_path / name, "video", None))
    problems = {e.path: e.problem for e in data_verification._inspected(media, tmp_path, 2)}
    assert problems == {
        **dict.fromkeys("abc"),
        "crash": "the decoder crashed (exit code -11)",
        "hang": "reading it took more than 3 seconds",
    }


def _crash_or_hang(medium: Medium, folder: Path) -> LedgerEntry:
    if medium.path.name == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if medium.path.name == "hang":
        time.sleep(60)
    return LedgerEntry(medium.path.name, 1, 1)


def test_what_the_ledger_says_is_how_a_video_is_read(verified_copy: Path) -> None:
    before = identified_samples(verified_copy, "ssv2")
    assert {sample.decoder for sample in before} == {"decord"}
    path = verified_copy / "ssv2.ledger.jsonl"
    path.write_text(path.read_text().replace('"decord"', '"pyav"'))
    again = identified_samples(verified_copy, "ssv2")
    assert isinstance(open_media(again[0]), PyAvDecoder)
    assert [replace(sample, decoder="decord") for sample in again] == before


def test_verification_that_finds_nothing_wrong_leaves_the_identity_as_it_was(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world / "hmdb51", tmp_path / "hmdb51", copy_function=shutil.copy)
    before = identified_samples(tmp_path, "hmdb51")
    assert verify(tmp_path, "hmdb51")[0] == 0
    assert identified_samples(tmp_path, "hmdb51") == before


def test_a_ledger_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.ledger.jsonl"
    path.write_text('{"path": "a", "size": 1, "stamp": 2}\nnonsense\n')
    with pytest.raises(ValueError, match=r"x\.ledger\.jsonl: line 2: not an entry of a ledger"):
        Ledger.read(path)
    path.write_text('{"path": "a", "size": 1, "stamp": 2}\n{"path": "b", "si')
    assert len(Ledger.read(path)) == 1
