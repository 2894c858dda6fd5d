"""Pictures for the page, as PNG files that carry their own words: heading in ``Title``, caption in ``Description``.

So a picture that is moved, mailed or copied never parts from what it shows.  Files without these words, such as
figures that are made anew with every table, are no part of the page.
"""

import io
from pathlib import Path

from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from sigma_bench.records.store import write_atomically

FOLDER = "figures"
HEADING, CAPTION = "Title", "Description"


def save_picture(path: Path, image: Image.Image, heading: str, caption: str) -> None:
    """Write a picture with its words; whole or not at all."""
    words = PngInfo()
    words.add_itxt(HEADING, heading)
    words.add_itxt(CAPTION, caption)
    stream = io.BytesIO()
    image.save(stream, "PNG", pnginfo=words)
    write_atomically(path, stream.getvalue())


def load_pictures(folder: Path) -> dict[str, list[tuple[str, bytes]]]:
    """Captions and PNG bytes by heading, in order of file names.

    Raises:
        ValueError: a file that is no PNG.
    """
    found: dict[str, list[tuple[str, bytes]]] = {}
    for path in sorted(folder.glob("*.png")):
        content = path.read_bytes()
        words = _words(path, content)
        if HEADING in words and CAPTION in words:
            found.setdefault(words[HEADING], []).append((words[CAPTION], content))
    return found


def _words(path: Path, content: bytes) -> dict[str, str]:
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            return {key: value for key, value in image.info.items() if isinstance(key, str) and isinstance(value, str)}
    except (UnidentifiedImageError, SyntaxError) as error:
        raise ValueError(
            f"{path}: not a PNG picture; delete it, or write it anew with 'sigma-bench gallery'"
        ) from error
