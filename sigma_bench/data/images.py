"""Stills, masks and folders of frames.

Shapes: T frames, H W pixels, C colours; uint8 RGB.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from sigma_bench.data.decoder import DecodeError

_NOT_AN_IMAGE = (OSError, UnidentifiedImageError, ValueError, SyntaxError, Image.DecompressionBombError)
"""What Pillow raises on broken files, depending on what is broken."""


class StillDecoder:
    """An image as a video of one frame."""

    def __init__(self, image_HWC: np.ndarray) -> None:
        self._image = image_HWC

    def __len__(self) -> int:
        return 1

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        return np.repeat(self._image[None], len(indices), axis=0)


class FrameFolderDecoder:
    """A folder of images, one per frame, in the order of their numbers; or those of them that are given."""

    def __init__(self, folder: Path, paths: Sequence[Path] | None = None) -> None:
        self.paths = numbered_files(folder, (".jpg", ".png")) if paths is None else list(paths)

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

    Turned as its EXIF orientation says; grey is repeated; 16 bits are scaled to 8; CMYK is converted; transparency is
    dropped, as every loader of image datasets does.
    """
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I"):  # 16-bit grey: Pillow would clip it
                grey_HW = np.asarray(upright).clip(0, 65535) // 257
                return np.repeat(grey_HW.astype(np.uint8)[..., None], 3, axis=2)
            return np.asarray(upright.convert("RGB"))
    except _NOT_AN_IMAGE as error:
        raise DecodeError(f"{path}: not an image that can be decoded") from error


def read_palette_mask(path: Path) -> np.ndarray:
    """Object ids of a palette PNG, (H, W) uint8; the palette's colours are never looked at."""
    try:
        with Image.open(path) as image:
            if image.mode in ("P", "L"):
                return np.asarray(image)
            mode = image.mode
    except _NOT_AN_IMAGE as error:
        raise DecodeError(f"{path}: not a mask that can be decoded") from error
    raise DecodeError(f"{path}: a mask must be a palette image, this one is {mode}")


def numbered_files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Files named by frame number, in numeric order (names need not be zero-padded).

    The number may follow ``img_``, ``image_``, ``frame_`` or the folder's name and a hyphen; nothing else is a frame.
    """
    if not folder.is_dir():
        raise DecodeError(f"{folder}: this folder of frames is missing")
    pattern = re.compile(rf"(?:img_|image_|frame_|{re.escape(folder.name)}-)?(\d+)")
    found = {}
    for path in folder.iterdir():
        match = pattern.fullmatch(path.stem)
        if path.suffix in suffixes and match:
            found[path] = int(match[1])
    if not found:
        raise DecodeError(f"{folder}: no numbered frames ({', '.join(suffixes)}) in this folder")
    if len(set(found.values())) < len(found):
        raise DecodeError(f"{folder}: two files have the same frame number")
    return sorted(found, key=found.__getitem__)
