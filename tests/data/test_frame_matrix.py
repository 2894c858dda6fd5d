"""For every kind of video and access pattern, frame i equals the i-th frame that decoding from the start yields."""

import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from sigma_bench.data.decoder import DecodeError, Decoder
from sigma_bench.data.examples import StreamedVideos
from sigma_bench.data.manifest import Sample
from sigma_bench.data.media_inspection import Medium, inspect, is_exact
from sigma_bench.data.media_opening import open_media
from sigma_bench.data.video import DecordDecoder, PyAvDecoder, open_video
from sigma_bench.data.video_facts import video_facts
from tests.data.video_kinds import KINDS, NUM_FRAMES, cropped, size_changes, write

BY_DECORD = {"h264_closed_b0", "h264_closed_b3", "h264_one_key", "h264_slices", "h264_offset", "h264_fragmented"}
BY_DECORD |= {"h264_variable", "vp8", "vp9", "vp9_offset"}
NUM_SHOWN = {"h264_edit_list": NUM_FRAMES - 17, "vp8_hidden": NUM_FRAMES - 4}


def digest(picture: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(picture))


def sequential(path: Path) -> tuple[list[int], list[int]]:
    """Digests of all frames that decoding from the start yields, and which of them are key frames."""
    digests, keys = [], []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            if frame.key_frame:
                keys.append(len(digests))
            digests.append(digest(frame.to_ndarray(format="rgb24")))
    return digests, keys


def patterns(count: int, keys: list[int]) -> Iterator[list[int]]:
    for index in range(count):
        yield [index]
    for stride in range(1, 9):
        yield list(range(0, count, stride))
    for number in (8, 16, 32):
        yield np.linspace(0, count - 1, number).round().astype(int).tolist()
    yield np.random.default_rng(0).permutation(count).tolist()
    for key in keys:
        yield [index for index in range(key - 3, key + 4) if 0 <= index < count]


def wrong_frames(sample: Sample, digests: list[int], keys: list[int]) -> list[tuple[str, list[int], list[int]]]:
    """Access pattern, indices, and the indices that gave a wrong picture."""

    def evaluation() -> Decoder:
        return open_media(sample)

    def pretraining() -> Decoder:
        return StreamedVideos([sample])[0]

    wrong = []
    for opener in (evaluation, pretraining):
        for indices in patterns(len(digests), keys):
            given = [digest(picture) for picture in opener().frames(indices)]
            bad = [i for i, found in zip(indices, given, strict=True) if found != digests[i]]
            wrong += [(opener.__name__, indices, bad)] if bad else []
    return wrong


@pytest.mark.parametrize(
    ("name", "suffix"), [(name, suffix) for name, kind in KINDS.items() for suffix in kind.suffixes]
)
def test_every_frame_in_every_pattern_before_and_after_verification(tmp_path: Path, name: str, suffix: str) -> None:
    path = write(KINDS[name], tmp_path / f"{name}.{suffix}")
    digests, keys = sequential(path)
    assert len(set(digests)) == len(digests) == NUM_SHOWN.get(name, NUM_FRAMES)
    sample = Sample("x", path, "video", 0, group="x")
    assert len(open_video(path)) == len(digests)
    assert wrong_frames(sample, digests, keys) == []
    entry = inspect(Medium(path, "video", None), tmp_path)
    assert entry.problem is None
    assert entry.frames == len(digests)
    assert entry.decoder == video_facts(path).decoder, "then it is read in the same way after verification"
    assert (entry.decoder == "decord") == (name in BY_DECORD and (suffix != "avi" or name == "vp8"))


@pytest.mark.parametrize("name", ["h264_open_b3.mp4", "h264_open_b3.mkv", "h264_refresh.mp4", "h264_closed_b3.avi"])
def test_verification_sees_that_decord_trusts_the_container(tmp_path: Path, name: str) -> None:
    path = write(KINDS[name.split(".")[0]], tmp_path / name)
    digests = sequential(path)[0]
    assert not is_exact(DecordDecoder, path, video_facts(path), digests)
    assert is_exact(PyAvDecoder, path, video_facts(path), digests)
    assert isinstance(open_video(path, "decord"), PyAvDecoder), "whatever a ledger names"


def test_verification_sees_two_frames_exchanged(tmp_path: Path) -> None:
    path = write(KINDS["h264_closed_b3"], tmp_path / "clip.mp4")
    digests, facts = sequential(path)[0], video_facts(path)
    assert facts.pts is not None
    times = list(facts.pts)
    times[6], times[7] = times[7], times[6]
    wrong = replace(facts, pts=times)
    assert is_exact(lambda path: PyAvDecoder(path, facts), path, facts, digests)
    assert not is_exact(lambda path: PyAvDecoder(path, wrong), path, facts, digests)


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "webm"])
def test_a_video_that_starts_late_is_whole_and_its_truncation_is_seen(tmp_path: Path, suffix: str) -> None:
    kind = KINDS["vp9_offset"]
    path = write(kind, tmp_path / f"late.{suffix}")
    assert inspect(Medium(path, "video", None), tmp_path).problem is None
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert inspect(Medium(path, "video", None), tmp_path).problem is not None


@pytest.mark.parametrize("codec", ["libvpx", "libvpx-vp9"])
def test_a_video_whose_size_changes_is_refused_and_its_first_frames_are_exact(tmp_path: Path, codec: str) -> None:
    path = write(size_changes(codec), tmp_path / "clip.mkv")
    with av.open(str(path)) as container:
        shapes = [(frame.height, frame.width) for frame in container.decode(video=0)]
    assert shapes == [(80, 96)] * (NUM_FRAMES // 2) + [(160, 192)] * (NUM_FRAMES // 2)
    assert video_facts(path).decoder != "decord", "which scales later frames to the size of the first"
    with pytest.raises(DecodeError, match="the size of its frames changes"):
        open_video(path).frames([3, NUM_FRAMES // 2 + 3])


@pytest.mark.parametrize(
    ("crop", "decoder"),
    [
        ("crop_left=8", "pyav"),
        ("crop_left=4:crop_top=2", "pyav"),
        ("crop_top=6", "decord"),
        ("crop_right=4:crop_bottom=6", "decord"),
    ],
)
def test_cropped_pictures_are_the_same_for_all_and_decord_gets_none_cropped_on_the_left(
    tmp_path: Path, crop: str, decoder: str
) -> None:
    path = cropped(write(KINDS["h264_closed_b0"], tmp_path / "whole.mp4"), tmp_path / "cropped.mp4", crop)
    digests, keys = sequential(path)
    assert wrong_frames(Sample("x", path, "video", 0, group="x"), digests, keys) == []
    assert video_facts(path).decoder == decoder


def test_an_avi_file_with_ticks_that_hold_no_frame_is_whole_and_its_truncation_is_seen(tmp_path: Path) -> None:
    path = write(replace(KINDS["mpeg4_b0"], times=lambda index: 2 * index), tmp_path / "clip.avi")
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames > NUM_FRAMES, "the header counts ticks"
        borders = [packet.pos for packet in container.demux(video=0) if packet.size]
    entry = inspect(Medium(path, "video", None), tmp_path)
    assert (entry.problem, entry.frames) == (None, NUM_FRAMES)
    path.write_bytes(path.read_bytes()[: borders[NUM_FRAMES // 2]])
    assert "truncated" in (inspect(Medium(path, "video", None), tmp_path).problem or "")
