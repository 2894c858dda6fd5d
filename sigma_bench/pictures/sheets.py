"""Sheets: rows of small pictures with labels, captions, and marks that do not depend on colour.

The same input gives the same bytes.

Shapes: H W pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sigma_bench.leaderboard.model_styles import OKABE_ITO
from sigma_bench.specs.untrusted import one_line

Box = tuple[float, float, float, float]
"""Left, top, right and bottom of a box, in pixels of the picture."""
SAME, OTHER = OKABE_ITO[2], OKABE_ITO[1]
"""Colours of equal classes (bluish green with a tick) and different ones (vermillion with a cross)."""
FONT = ImageFont.load_default(13)
LINE = 17
GAP = 6
GROUP_GAP = 20
MARK = 20
"""Side of the square of a tick or cross, pixels."""
LABEL = 150
"""Largest width of labels, pixels."""


@dataclass(frozen=True)
class Picture:
    """One picture, uint8 (H, W, 3)."""

    picture_HW3: np.ndarray
    words: tuple[str, ...] = ()
    """Captions, each on up to two lines; longer text is cut."""
    boxes: tuple[Box, ...] = ()
    """Boxes of outlined parts."""
    is_same: bool | None = None
    """Whether the picture gets a frame with a tick or with a cross; None for no frame."""


@dataclass(frozen=True)
class PictureRow:
    """Pictures side by side."""

    label: tuple[str, ...]
    cells: tuple[Picture, ...]
    is_smooth: bool = True
    """Whether pictures are interpolated smoothly; False shows each value as a square."""


def sheet(
    rows: Sequence[PictureRow], *, height: int, heads: Sequence[str] = (), gaps: Sequence[int] = ()
) -> Image.Image:
    """Draw a sheet; all rows have the same number of pictures, and the pictures of a row have one shape.

    Args:
        height: of every picture, pixels.
        heads: words above the columns; the space of an empty one is used by the preceding one.
        gaps: columns that a wider gap follows.

    Raises:
        ValueError: no picture, or rows of different lengths.
    """
    if not rows or not rows[0].cells or len({len(row.cells) for row in rows}) > 1:
        raise ValueError(f"a sheet needs rows of equally many pictures, got {[len(row.cells) for row in rows]}")
    shape = rows[0].cells[0].picture_HW3.shape
    width = round(height * shape[1] / shape[0])
    labels = [[line for words in row.label for line in _wrapped(words, LABEL)] for row in rows]
    label = 3 * GAP + max((int(FONT.getlength(line)) for lines in labels for line in lines), default=0)
    steps = [width + (GROUP_GAP if column in gaps else GAP) for column in range(len(rows[0].cells))]
    lefts = [label + offset for offset in accumulate(steps, initial=0)]
    head = LINE + GAP if any(heads) else GAP
    tall = [height + GAP + LINE * max(len(_lines(cell, width)) for cell in row.cells) for row in rows]
    tops = [head + offset for offset in accumulate(tall, initial=0)]
    image = Image.new("RGB", (lefts[-1], tops[-1]), "white")
    pen = ImageDraw.Draw(image)
    for left, words in zip(lefts, heads, strict=False):
        pen.text((left, GAP // 2), one_line(words), "black", FONT)
    for row, lines, top in zip(rows, labels, tops, strict=False):
        for number, line in enumerate(lines):
            pen.text((GAP, top + (height - LINE * len(lines)) / 2 + number * LINE), line, "black", FONT)
        for cell, left in zip(row.cells, lefts, strict=False):
            _draw(pen, image, cell, (left, top, width, height), is_smooth=row.is_smooth)
    return image


def _draw(
    pen: ImageDraw.ImageDraw, image: Image.Image, cell: Picture, place: tuple[int, int, int, int], *, is_smooth: bool
) -> None:
    left, top, width, height = place
    how = Image.Resampling.BICUBIC if is_smooth else Image.Resampling.NEAREST
    image.paste(Image.fromarray(cell.picture_HW3).resize((width, height), how), (left, top))
    scale = height / cell.picture_HW3.shape[0]
    for box in cell.boxes:
        x0, y0, x1, y1 = (scale * side for side in box)
        pen.rectangle((left + x0 - 2, top + y0 - 2, left + x1 + 1, top + y1 + 1), outline="black")
        pen.rectangle((left + x0 - 1, top + y0 - 1, left + x1, top + y1), outline="white")
    if cell.is_same is not None:
        pen.rectangle((left, top, left + width - 1, top + height - 1), outline=SAME if cell.is_same else OTHER, width=4)
        _mark(pen, left, top, is_same=cell.is_same)
    for number, line in enumerate(_lines(cell, width)):
        pen.text((left, top + height + 1 + number * LINE), line, "black", FONT)


def _mark(pen: ImageDraw.ImageDraw, left: int, top: int, *, is_same: bool) -> None:
    """Draw a white tick or cross in the corner, which repeats the meaning of the frame's colour."""
    pen.rectangle((left, top, left + MARK, top + MARK), fill=SAME if is_same else OTHER)
    lines = [((4, 10), (8, 15), (16, 5))] if is_same else [((5, 5), (15, 15)), ((5, 15), (15, 5))]
    for line in lines:
        pen.line([(left + x, top + y) for x, y in line], fill="white", width=3, joint="curve")


def _lines(cell: Picture, width: int) -> list[str]:
    return [line for words in cell.words for line in _wrapped(words, width)]


def _wrapped(text: str, width: int) -> list[str]:
    """One line, or two lines with as many words as fit in the first."""
    words = one_line(text).split(" ")
    fitting = [end for end in range(1, len(words) + 1) if FONT.getlength(" ".join(words[:end])) <= width]
    end = max(fitting, default=1)
    return [_cut(" ".join(part), width) for part in (words[:end], words[end:]) if part]


def _cut(line: str, width: int) -> str:
    if FONT.getlength(line) <= width:
        return line
    while line and FONT.getlength(line + "..") > width:
        line = line[:-1]
    return line + ".."
