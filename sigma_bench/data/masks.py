"""The masks of a sequence as object ids, for PNG files of any mode.

Palette and grey files contain ids.  Files in colour, with transparency, or with 1 or 16 bits are read if their meaning
is unambiguous, and refused otherwise:

- A ``binary`` mask shows one object: every pixel that is not black is part of it, as in DAVIS-2016 (one of its official
  masks has mode LA).
- A mask of 1 bit shows object 1 on background 0.
- A mask in colour takes its ids from the palette of the sequence's other masks, else from that of DAVIS (PASCAL VOC) or
  YouTube-VOS.  Other colours on a black background are one object each, numbered in the order of their values, provided
  that no annotation refers to the ids.

Transparency is unambiguous if every pixel is either opaque, or transparent and black.

Shapes: H W pixels, C colours; uint8.
"""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from sigma_bench.data.decoder import DecodeError
from sigma_bench.data.images import NOT_AN_IMAGE, numbered_files
from sigma_bench.metrics.segmentation import VOID
from sigma_bench.palette import voc_palette

MAX_COLOURS = 32
"""Largest number of colours of a sequence; more colours come from smoothed edges or a lossy format, not from
objects."""
_Colour = tuple[int, int, int]
_VOC: Mapping[_Colour, int] = {(r, g, b): number for number, (r, g, b) in enumerate(voc_palette().tolist())}
_YOUTUBE_VOS: Mapping[_Colour, int] = {
    (0, 0, 0): 0, (236, 95, 103): 1, (249, 145, 87): 2, (250, 200, 99): 3, (153, 199, 148): 4, (98, 179, 178): 5,
    (102, 153, 204): 6, (197, 148, 197): 7, (171, 121, 103): 8,
}  # fmt: skip
"""Ids by colour, for the first entries of the palette of YouTube-VOS."""


class MaskFolder:
    """The masks of one sequence, by the stem of their file, in the order of their numbers.

    Args:
        kind: ``binary`` masks show one object; ``ids`` are 0 for background, 255 for void, and otherwise an object.
        names_matter: whether an annotation refers to the ids, so that objects must not be renumbered.

    Raises:
        DecodeError: the folder does not exist, or it contains no masks.
    """

    def __init__(self, folder: Path, kind: Literal["ids", "binary"], *, names_matter: bool = False) -> None:
        self.paths = {path.stem: path for path in numbered_files(folder, (".png",))}
        self._folder, self._kind, self._names_matter = folder, kind, names_matter

    def read(self, path: Path) -> np.ndarray:
        """Object ids of a mask, (H, W).

        Raises:
            DecodeError: the file does not decode, or its values have no clear meaning.
        """
        pixels, mode = _pixels(path)
        if self._kind == "binary":
            return (pixels != 0 if pixels.ndim == 2 else (pixels != 0).any(axis=2)).astype(np.uint8)
        if pixels.ndim == 3 and not self._is_grey:
            code_HW = _codes(pixels)
            colours, inverse = np.unique(code_HW, return_inverse=True)
            ids = np.array([self._id_of_code[int(code)] for code in colours], np.uint8)
            return ids[inverse].reshape(code_HW.shape)
        id_HW = pixels if pixels.ndim == 2 else pixels[..., 0]
        if id_HW.max() > VOID:
            raise DecodeError(f"{path}: a mask in mode {mode} holds {id_HW.max()}; ids are 0 to {VOID}")
        if mode not in ("P", "L") and set(np.unique(id_HW).tolist()) == {0, VOID}:
            raise DecodeError(
                f"{path}: a black and white mask in mode {mode}: white may be an object or void; store ids"
            )
        return id_HW.astype(np.uint8)

    def is_black_and_white(self) -> bool | None:
        """Whether the first mask that is not black holds black and white (255) only; None if all are black."""
        for path in self.paths.values():
            values = set(np.unique(_pixels(path)[0]).tolist()) - {0}
            if values:
                return values == {VOID}
        return None

    @cached_property
    def _in_colour(self) -> dict[Path, np.ndarray]:
        """The distinct colour codes of each file that is stored in colour."""
        found = {path: _pixels(path)[0] for path in self.paths.values() if _mode(path) in ("RGB", "RGBA")}
        return {path: np.unique(_codes(pixels)) for path, pixels in found.items()}

    @cached_property
    def _is_grey(self) -> bool:
        """Whether the files in colour contain only grey values; the grey values are then the ids."""
        return all(code % 0x10101 == 0 for codes in self._in_colour.values() for code in codes.tolist())

    @cached_property
    def _id_of_code(self) -> dict[int, int]:
        """Id by colour code, the same for all files of the sequence."""
        codes = sorted({code for found in self._in_colour.values() for code in found.tolist()})
        if len(codes) > MAX_COLOURS:
            raise DecodeError(
                f"{self._folder}: its masks have {len(codes)} colours; store object ids, or one colour each"
            )
        colours = [(code >> 16, code >> 8 & 255, code & 255) for code in codes]
        with_palette = next((path for path in self.paths.values() if _mode(path) == "P"), None)
        palettes = [_VOC, _YOUTUBE_VOS] if with_palette is None else [_palette_of(with_palette)]
        meaning = next((ids for ids in palettes if all(colour in ids for colour in colours)), None)
        meaning = self._numbered(colours, with_palette is not None) if meaning is None else meaning
        return {code: meaning[colour] for code, colour in zip(codes, colours, strict=True)}

    def _numbered(self, colours: list[_Colour], has_palette: bool) -> dict[_Colour, int]:
        blend = next((colour for colour in colours if _is_blend(colour, colours)), None)
        reason = (
            f"the colour {blend} lies between two others, as on smoothed edges" if blend is not None
            else "there is no black background" if (0, 0, 0) not in colours
            else "they are not those of the palette of the other masks" if has_palette
            else "the annotation names ids and the colours are not those of a known palette" if self._names_matter
            else None
        )  # fmt: skip
        if reason is not None:
            raise DecodeError(f"{self._folder}: the colours of its masks have no clear meaning ({reason}); store ids")
        return {colour: number for number, colour in enumerate(colours)}  # black comes first


def _pixels(path: Path) -> tuple[np.ndarray, str]:
    """Stored values, (H, W), or (H, W, 3) for colour, and Pillow's name of the mode."""
    try:
        with Image.open(path) as image:
            mode, kind = image.mode, image.format
            values = np.asarray(image)
    except NOT_AN_IMAGE as error:
        raise DecodeError(f"{path}: not a mask that can be decoded") from error
    if kind == "JPEG" or mode not in ("1", "P", "L", "LA", "RGB", "RGBA", "I", "I;16"):
        raise DecodeError(f"{path}: a mask cannot be a {kind} in mode {mode}; store object ids as PNG")
    if mode in ("LA", "RGBA"):
        values, opacity_HW = values[..., :-1], values[..., -1]
        if not ((opacity_HW == 255) | ((opacity_HW == 0) & (values == 0).all(axis=2))).all():
            raise DecodeError(f"{path}: transparent pixels that are not black have no clear meaning; store object ids")
    return (values[..., 0] if mode == "LA" else values), mode


def _mode(path: Path) -> str:
    try:
        with Image.open(path) as image:
            return image.mode
    except NOT_AN_IMAGE as error:
        raise DecodeError(f"{path}: not a mask that can be decoded") from error


def _codes(pixels: np.ndarray) -> np.ndarray:
    """One number for every colour, (H, W)."""
    code_HW: np.ndarray = pixels.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1])
    return code_HW


def _palette_of(path: Path) -> dict[_Colour, int]:
    """Id by colour of a palette file; the lowest id if a colour occurs more than once."""
    with Image.open(path) as image:
        flat = image.getpalette("RGB") or []
    colours = [(flat[at], flat[at + 1], flat[at + 2]) for at in range(0, len(flat) - 2, 3)]
    return {colour: number for number, colour in reversed(list(enumerate(colours)))}


def _is_blend(colour: _Colour, colours: list[_Colour]) -> bool:
    """Whether a colour is on the line between two others of the sequence, up to rounding."""
    others = np.array([other for other in colours if other != colour], float).reshape(-1, 3)
    here = np.array(colour, float)
    for number, start in enumerate(others):
        for end in others[number + 1 :]:
            along = end - start
            fraction = float(np.dot(here - start, along) / np.dot(along, along))
            if 0 < fraction < 1 and np.abs(start + fraction * along - here).max() <= 1:
                return True
    return False
