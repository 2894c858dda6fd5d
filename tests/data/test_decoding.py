"""Decoding: exact frames, and one clear sentence for everything that is not a video."""

import pickle
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from sigma_bench.data.decoding import (
    DecodeError,
    DecordDecoder,
    FrameFolderDecoder,
    numbered_files,
    read_cifar,
    read_palette_mask,
)
from sigma_bench.data.miniworld.files import write_video


def numbered_clip(num_frames: int) -> np.ndarray:
    """Frames whose grey level is 10 times their number."""
    return np.broadcast_to((np.arange(num_frames, dtype=np.uint8) * 10)[:, None, None, None], (num_frames, 64, 64, 3))


@pytest.mark.parametrize("suffix", [".avi", ".webm", ".mp4"])
def test_random_access_gives_the_frames_asked_for(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"clip{suffix}"
    write_video(path, numbered_clip(20))
    decoder = DecordDecoder(path)
    assert len(decoder) == 20
    wanted = [0, 3, 3, 11, 19]
    assert np.abs(decoder.frames(wanted).mean(axis=(1, 2, 3)) - 10 * np.array(wanted)).max() < 4


def test_a_truncated_video_is_an_error_and_never_shorter_or_filled(tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    rng = np.random.default_rng(0)
    write_video(path, rng.integers(0, 255, (40, 64, 64, 3), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DecodeError, match=r"clip\.avi"):
        decoder = DecordDecoder(path)
        decoder.frames(range(40))


@pytest.mark.parametrize("content", [b"", b"this is text", b"\x00" * 4096])
def test_what_is_not_a_video_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(DecodeError, match=r"clip\.mp4"):
        DecordDecoder(path)


def test_frame_folders_follow_the_numbers_not_the_alphabet(tmp_path: Path) -> None:
    for number in (0, 5, 10, 100):
        Image.fromarray(np.full((8, 8, 3), number, np.uint8)).save(tmp_path / f"{number}.png")
    assert [path.stem for path in numbered_files(tmp_path, (".png",))] == ["0", "5", "10", "100"]
    assert FrameFolderDecoder(tmp_path).frames([3])[0, 0, 0, 0] == 100


def test_masks_keep_their_indices_and_colour_images_are_refused(tmp_path: Path) -> None:
    mask = Image.fromarray(np.array([[0, 1], [2, 255]], np.uint8), mode="P")
    mask.putpalette([0, 0, 0, 9, 9, 9] * 128)
    mask.save(tmp_path / "mask.png")
    assert read_palette_mask(tmp_path / "mask.png").tolist() == [[0, 1], [2, 255]]
    Image.new("RGB", (2, 2)).save(tmp_path / "colour.png")
    with pytest.raises(DecodeError, match="palette"):
        read_palette_mask(tmp_path / "colour.png")


class _Attack:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("attacked"),)


def test_a_pickle_that_wants_to_run_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "train"
    path.write_bytes(pickle.dumps({"data": _Attack()}))
    with pytest.raises(DecodeError, match="not one of CIFAR's files"):
        read_cifar(path)


def test_real_weizmann_clips_are_exact_against_a_second_decoder(shared_data: Path) -> None:
    for path in sorted((shared_data / "weizmann").glob("*/daria_*.avi")):
        with av.open(str(path)) as container:
            truth = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        decoder = DecordDecoder(path)
        assert len(decoder) == len(truth), path
        wanted = [0, len(truth) // 3, len(truth) - 1]
        assert np.array_equal(decoder.frames(wanted), np.stack([truth[i] for i in wanted])), path


def test_videos_can_be_written_after_the_decoder_was_loaded(tmp_path: Path) -> None:
    """decord's own FFmpeg must not get under PyAV's calls, whichever module a process happens to import first."""
    code = (
        "import sys; from pathlib import Path; import numpy as np; import sigma_bench.data.decoding\n"
        "from sigma_bench.data.miniworld.files import write_video\n"
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
