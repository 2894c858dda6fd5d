"""Images and folders of frames.

Shapes: T frames, H W pixels, C colours; uint8 RGB.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from sigma_bench.data.data_files import IMAGE_SUFFIXES, contents, visible
from sigma_bench.data.decoder import DecodeError

NOT_AN_IMAGE = (OSError, UnidentifiedImageError, ValueError, SyntaxError, Image.DecompressionBombError)
"""Exceptions that Pillow raises for damaged files."""


class StillDecoder:
    """An image as a video of one frame."""

    def __init__(self, image_HWC: np.ndarray) -> None:
        self._image = image_HWC

    def __len__(self) -> int:
        return 1

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        return np.repeat(self._image[None], len(indices), axis=0)


class FrameFolderDecoder:
    """A folder of images, one per frame, in the order of their numbers.

    Args:
        paths: the images to read, in order; by default all of the folder.
    """

    def __init__(self, folder: Path, paths: Sequence[Path] | None = None) -> None:
        self.paths = numbered_files(folder, IMAGE_SUFFIXES) if paths is None else list(paths)

    def __len__(self) -> int:
        return len(self.paths)

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        images = {index: read_image(self.paths[index]) for index in set(indices)}
        shapes = {image.shape for image in images.values()}
        if len(shapes) > 1:
            raise DecodeError(f"{self.paths[0].parent}: its frames have different sizes")
        return np.stack([images[index] for index in indices])


def read_image(path: Path) -> np.ndarray:
    """An image as (H, W, 3) uint8 RGB.

    The image is rotated as its EXIF orientation specifies.  Grey is repeated over the colours, 16 bits are scaled to 8,
    CMYK is converted, and transparency is dropped as in the usual loaders of image datasets.
    """
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I"):  # 16-bit grey: Pillow would clip it
                grey_HW = np.asarray(upright).clip(0, 65535) // 257
                return np.repeat(grey_HW.astype(np.uint8)[..., None], 3, axis=2)
            return np.asarray(upright.convert("RGB"))
    except NOT_AN_IMAGE as error:
        raise DecodeError(f"{path}: not an image that can be decoded") from error


def numbered_files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Files named by frame number, in numeric order; numbers may have gaps and need not be zero-padded.

    The number may follow ``frame``, ``img``, ``image`` or the name of the folder, in any case, and one of ``_ - .`` may
    stand between them.  Files with other names (optical flow, previews) are not frames.

    Args:
        suffixes: in lower case; the suffixes of the files may be in any case.

    Raises:
        DecodeError: the folder does not exist, it holds no frames, the frames are named in two ways, or two files have
            the same number.
    """
    if not folder.is_dir():
        raise DecodeError(f"{folder}: this folder of frames is missing")
    pattern = re.compile(rf"((?:frame|img|image|{re.escape(folder.name)})[_.-]?)??(\d+)", re.IGNORECASE)
    found: dict[Path, int] = {}
    schemes: dict[str, Path] = {}
    for path in visible(folder):
        match = pattern.fullmatch(path.stem)
        if match and path.suffix.lower() in suffixes:
            found[path] = int(match[2])
            schemes.setdefault(match[1] or "", path)
    if not found:
        raise DecodeError(f"{folder}: no numbered frames ({', '.join(suffixes)}) in this folder; {contents(folder)}")
    if len(schemes) > 1:
        one, other = (path.name for path in list(schemes.values())[:2])
        raise DecodeError(f"{folder}: frames are named in two ways ('{one}', '{other}'); keep one of the two sets")
    _require_numbered_once(folder, found)
    return sorted(found, key=found.__getitem__)


def _require_numbered_once(folder: Path, found: dict[Path, int]) -> None:
    first: dict[int, Path] = {}
    for path, number in found.items():
        if (other := first.setdefault(number, path)) != path:
            raise DecodeError(
                f"{folder}: two files have the same frame number ('{other.name}', '{path.name}'); keep one of them"
            )
