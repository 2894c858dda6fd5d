"""Decoding: the frames at given indices of a video, an image, or a folder of frames, exactly.

decord opens videos with one thread (with more, VP9 files fail in the middle) and is never asked for
timestamps.  Nothing is ever substituted: a file that does not give the frames asked for raises
``DecodeError`` with its path.

Shapes: T frames, H W pixels, C colours; uint8 RGB.
"""

import pickle
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import av  # noqa: F401 (first: decord exports the symbols of its own FFmpeg, and PyAV loaded later would get those)
import decord
import numpy as np
from PIL import Image, UnidentifiedImageError

from sigma_bench.data.manifest import Sample


class DecodeError(ValueError):
    """A file that cannot be decoded; the sentence names it."""


class Decoder(Protocol):
    """An open video: how many frames it has and the pixels of any of them."""

    def __len__(self) -> int: ...

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        """Frames (T, H, W, C) at the indices, which may repeat but do not decrease."""
        ...


class DecordDecoder:
    """decord, the default video decoder."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._reader = decord.VideoReader(str(path), num_threads=1)
        except (decord.DECORDError, RuntimeError) as error:
            raise DecodeError(f"{path}: not a video that can be decoded") from error
        if len(self._reader) == 0:
            raise DecodeError(f"{path}: the video holds no frames")

    def __len__(self) -> int:
        return len(self._reader)

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        try:
            return self._reader.get_batch(list(indices)).asnumpy()
        except (decord.DECORDError, RuntimeError, IndexError) as error:
            raise DecodeError(
                f"{self._path}: decoding stops before frame {max(indices)}; the file is broken"
            ) from error


class StillDecoder:
    """An image as a video of one frame."""

    def __init__(self, image_HWC: np.ndarray) -> None:
        self._image = image_HWC

    def __len__(self) -> int:
        return 1

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        return np.repeat(self._image[None], len(indices), axis=0)


class FrameFolderDecoder:
    """A folder of images, one per frame, in the order of their numbers."""

    def __init__(self, folder: Path) -> None:
        self.paths = numbered_files(folder, (".jpg", ".png"))

    def __len__(self) -> int:
        return len(self.paths)

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        return np.stack([read_image(self.paths[index]) for index in indices])


def open_media(sample: Sample) -> Decoder:
    """The decoder that belongs to a sample; DecodeError when its file cannot be read."""
    if not sample.path.exists():
        raise DecodeError(f"{sample.path}: not found, though the official list names it")
    if sample.media == "video":
        return DecordDecoder(sample.path)
    if sample.media == "frame_folder":
        return FrameFolderDecoder(sample.path)
    if sample.media == "pickled_image":
        return StillDecoder(read_cifar(sample.path)["data"][sample.position].reshape(3, 32, 32).transpose(1, 2, 0))
    return StillDecoder(read_image(sample.path))


def read_image(path: Path) -> np.ndarray:
    """An image as (H, W, 3) uint8 RGB."""
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, UnidentifiedImageError) as error:
        raise DecodeError(f"{path}: not an image that can be decoded") from error


def read_palette_mask(path: Path) -> np.ndarray:
    """Object ids of a palette PNG, (H, W) uint8; the palette's colours are never looked at."""
    try:
        with Image.open(path) as image:
            if image.mode not in ("P", "L"):
                raise DecodeError(f"{path}: a mask must be a palette image, this one is {image.mode}")
            return np.asarray(image)
    except (OSError, UnidentifiedImageError) as error:
        raise DecodeError(f"{path}: not a mask that can be decoded") from error


def numbered_files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Files named by frame number, in numeric order (names need not be zero-padded)."""
    found = [path for path in folder.iterdir() if path.suffix in suffixes and path.stem.isdigit()]
    if not found:
        raise DecodeError(f"{folder}: no numbered frames ({', '.join(suffixes)}) in this folder")
    return sorted(found, key=lambda path: int(path.stem))


class _DataUnpickler(pickle.Unpickler):
    """CIFAR's official files are pickles; only arrays may come out of them, never code."""

    _ALLOWED = frozenset(
        {
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy._core.numeric", "_frombuffer"),
            ("numpy.core.numeric", "_frombuffer"),
            ("_codecs", "encode"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return super().find_class(module, name)


@lru_cache(maxsize=4)
def read_cifar(path: Path) -> dict[str, Any]:
    """One of CIFAR's official pickles as a dictionary with text keys; DecodeError when it is anything else."""
    try:
        with path.open("rb") as stream:
            content = _DataUnpickler(stream, encoding="latin1").load()
    except (OSError, EOFError, pickle.UnpicklingError, ValueError, IndexError, KeyError) as error:
        raise DecodeError(f"{path}: not one of CIFAR's files ({error})") from error
    if not isinstance(content, dict):
        raise DecodeError(f"{path}: not one of CIFAR's files (no dictionary inside)")
    return {str(key): value for key, value in content.items()}
