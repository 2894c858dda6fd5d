"""Decoding: exact frames, and one clear sentence for everything that is not a video."""

import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from sigma_bench.data.decoder import DecodeError
from sigma_bench.data.video import DecordDecoder, PyAvDecoder, open_video
from sigma_bench.data.video_facts import video_facts
from sigma_bench.miniworld.writers import write_video


def numbered_clip(num_frames: int) -> np.ndarray:
    """Frames whose grey level is 10 times their number."""
    return np.broadcast_to((np.arange(num_frames, dtype=np.uint8) * 10)[:, None, None, None], (num_frames, 64, 64, 3))


@pytest.mark.parametrize("suffix", [".avi", ".webm", ".mp4"])
def test_random_access_gives_the_frames_asked_for(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"clip{suffix}"
    write_video(path, numbered_clip(20))
    decoder = open_video(path)
    assert len(decoder) == 20
    wanted = [0, 3, 3, 11, 19]
    assert np.abs(decoder.frames(wanted).mean(axis=(1, 2, 3)) - 10 * np.array(wanted)).max() < 4


def test_a_truncated_video_is_an_error_and_never_shorter_or_filled(tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    rng = np.random.default_rng(0)
    write_video(path, rng.integers(0, 255, (40, 64, 64, 3), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DecodeError, match=r"clip\.avi"):
        decoder = open_video(path)
        decoder.frames(range(40))


@pytest.mark.parametrize("content", [b"", b"this is text", b"\x00" * 4096])
def test_what_is_not_a_video_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(DecodeError, match=r"clip\.mp4"):
        open_video(path)


def sequential(path: Path) -> np.ndarray:
    """The reference: every frame that decoding from the start yields, rotated as the file says."""
    with av.open(str(path), metadata_errors="replace") as container:
        frames = list(container.decode(video=0))
    return np.stack([np.rot90(f.to_ndarray(format="rgb24"), f.rotation % 360 // 90) for f in frames])


def written(path: Path, codec: str, frame_THWC: np.ndarray, *, pixels: str = "yuv420p", **options: str) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=12, options=options)
        stream.height, stream.width = frame_THWC.shape[1:3]
        stream.pix_fmt = pixels
        for image in frame_THWC:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


def moving_square(num_frames: int, height: int = 64, width: int = 96) -> np.ndarray:
    frame_THWC = np.full((num_frames, height, width, 3), 60, np.uint8)
    for index, frame in enumerate(frame_THWC):
        frame[10 : 10 + height // 4, index : index + width // 4] = 220
    return frame_THWC


@pytest.mark.parametrize(
    ("name", "codec", "options", "decoder"),
    [
        ("bframes.mp4", "libx264", {"bf": "3", "g": "10"}, "decord"),
        ("simple.avi", "mpeg4", {"bf": "0"}, "pyav"),
        ("bframes.avi", "mpeg4", {"bf": "2", "g": "12"}, "pyav_sequential"),
        ("hevc.mp4", "libx265", {"x265-params": "log-level=none"}, "pyav"),
        ("av1.mkv", "libsvtav1", {}, "pyav"),
    ],
)
def test_any_frame_in_any_order_is_the_one_that_decoding_from_the_start_yields(
    tmp_path: Path, name: str, codec: str, options: dict[str, str], decoder: str
) -> None:
    path = written(tmp_path / name, codec, moving_square(40), **options)
    truth = sequential(path)
    assert len(truth) == 40
    assert video_facts(path).decoder == decoder
    wanted = np.random.default_rng(0).permutation(40)[:20].tolist()
    for reader in (open_video(path), PyAvDecoder(path)):
        assert len(reader) == 40
        assert np.array_equal(reader.frames(wanted), truth[wanted])
        assert np.array_equal(reader.frames([39, 0, 0]), truth[[39, 0, 0]])


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("pyramid.mp4", "libx264", {"bf": "5", "g": "25", "x264-params": "b-pyramid=normal"}),
        ("open.mkv", "libx264", {"bf": "3", "g": "12", "x264-params": "open-gop=1"}),
        ("hevc.mp4", "libx265", {"x265-params": "log-level=none:bframes=4"}),
    ],
)
def test_skipping_frames_that_are_not_needed_changes_no_other(
    tmp_path: Path, name: str, codec: str, options: dict[str, str]
) -> None:
    path = written(tmp_path / name, codec, moving_square(60), **options)
    truth, reader = sequential(path), open_video(path, is_sparse=True)
    assert isinstance(reader, PyAvDecoder)
    for stride in (1, 3, 4, 7, 13):
        for first in range(stride):
            wanted = range(first, 60, stride)
            assert np.array_equal(reader.frames(wanted), truth[wanted]), (first, stride)


@pytest.mark.parametrize(
    ("height", "width", "num_frames", "pixels"),
    [(50, 50, 5, "yuv420p"), (72, 48, 1, "yuv420p"), (64, 96, 8, "yuv420p10le")],
)
def test_odd_sizes_single_frames_and_ten_bits(
    tmp_path: Path, height: int, width: int, num_frames: int, pixels: str
) -> None:
    path = written(tmp_path / "odd.mp4", "libx264", moving_square(num_frames, height, width), pixels=pixels)
    assert np.array_equal(open_video(path).frames(range(num_frames)), sequential(path))
    assert np.abs(sequential(path).astype(int) - moving_square(num_frames, height, width)).mean() < 6


def test_a_missing_frame_is_refused_by_both(tmp_path: Path) -> None:
    path = written(tmp_path / "clip.mp4", "libx264", moving_square(12))
    for reader in (DecordDecoder(path), PyAvDecoder(path)):
        with pytest.raises(DecodeError, match=r"clip\.mp4: (there is no frame 12|decoding stops before frame 12)"):
            reader.frames([3, 12])


def test_a_file_with_sound_only_is_no_video(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 16000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    with pytest.raises(DecodeError, match=r"sound\.mp4: there is no video in this file"):
        open_video(tmp_path / "sound.mp4")


REAL = ("clips", "hmdb51_clips", "ucf101_clips")
BY_PYAV = {
    *("unordered.mov", "video_180.mov", "video_270.mov", "video_90.mov", "baseball.mp4", "basketball.mp4"),
    *("bitmap.mp4", "no_duration.webm", "av1_video.mkv", "h264_10bits.mp4", "h265_10bits.mp4"),
    *("h265_video.mp4", "nasa_13013.mp4", "id_166766.mp4"),
}
"""Real files, besides MPEG-4 in AVI, in which decord gets number, order, rotation or colours of frames wrong, or which
it does not open."""


@pytest.mark.parametrize("folder", REAL)
def test_real_files_are_exact_at_twenty_places_and_doubtful_ones_go_to_pyav(shared_data: Path, folder: str) -> None:
    suffixes = (".mp4", ".avi", ".webm", ".mkv", ".mov")
    paths = sorted(path for path in (shared_data / folder).rglob("*") if path.suffix in suffixes)
    assert paths
    for path in paths:
        if path.name == "corrupted.mp4" or path.stat().st_size > 550_000:
            continue  # the one has a test of its own, the others only take long
        truth = sequential(path)
        reader = open_video(path)
        assert len(reader) == len(truth), path
        assert isinstance(reader, PyAvDecoder) == (path.name in BY_PYAV or path.suffix == ".avi"), path
        wanted = np.random.default_rng(0).integers(0, len(truth), 20).tolist()
        assert np.array_equal(reader.frames(wanted), truth[wanted]), path


def test_a_real_broken_file_is_refused_with_the_place(shared_data: Path) -> None:
    path = shared_data / "clips/decord/corrupted.mp4"
    with pytest.raises(DecodeError, match=r"corrupted\.mp4: decoding stops after 28 frames; the file is broken"):
        open_video(path)


def test_real_weizmann_clips_are_exact(shared_data: Path) -> None:
    for path in sorted((shared_data / "weizmann").glob("*/daria_*.avi")):
        truth = sequential(path)
        wanted = [0, len(truth) // 3, len(truth) - 1]
        assert len(open_video(path)) == len(truth), path
        assert np.array_equal(DecordDecoder(path).frames(wanted), truth[wanted]), path


def test_videos_can_be_written_after_the_decoder_was_loaded(tmp_path: Path) -> None:
    """PyAV must not call the FFmpeg of decord, whichever module a process imports first."""
    code = (
        "import sys; from pathlib import Path; import numpy as np; import sigma_bench.data.media_opening\n"
        "from sigma_bench.miniworld.writers import write_video\n"
        "write_video(Path(sys.argv[1]), np.zeros((4, 64, 80, 3), np.uint8))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "clip.webm")],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "clip.webm").stat().st_size > 0
