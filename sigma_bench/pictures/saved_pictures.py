"""Pictures for the page: PNG files with their heading in ``Title`` and their caption in ``Description``.

Captions are stored in the files so that they are kept when files are copied.  Files without these entries, such as
figures that are drawn again with every table, are not shown on the page.
"""

import io
from pathlib import Path

from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from sigma_bench.records.store import write_atomically

FOLDER = "figures"
HEADING, CAPTION = "Title", "Description"


def save_picture(path: Path, image: Image.Image, heading: str, caption: str) -> None:
    """Write a picture with its heading and caption; the file is complete or absent."""
    words = PngInfo()
    words.add_itxt(HEADING, heading)
    words.add_itxt(CAPTION, caption)
    stream = io.BytesIO()
    image.save(stream, "PNG", pnginfo=words)
    write_atomically(path, stream.getvalue())


def load_pictures(folder: Path) -> dict[str, list[tuple[str, bytes]]]:
    """Captions and PNG bytes by heading, in order of file names.

    Raises:
        ValueError: a file is not a PNG picture.
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
