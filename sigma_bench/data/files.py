"""Files below a folder: which of them count, what they are by their suffix, and a walk that follows links.

Operating systems, file servers and notebooks leave entries of their own between the data of a dataset.  They are
never a class, an image, a list, a frame or a mask.
"""

import os
from collections.abc import Iterator
from pathlib import Path

VIDEO_SUFFIXES = (
    *(".mp4", ".avi", ".webm", ".mkv", ".mov", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".ts", ".ogv"),
)
"""Lower case, in the order in which they are preferred where one video lies in several containers."""
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
"""Lower case.  GIF is missing because one file may hold many frames."""
_LEFT_BY_SYSTEMS = frozenset(
    {"@eadir", "__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "#recycle", "$recycle.bin", "lost+found"}
)
"""Lower case: Synology, macOS archives, Windows, file systems."""
SHOWN = 5


def is_video(path: Path | str) -> bool:
    """Whether the suffix is that of a video, in any case."""
    return Path(path).suffix.lower() in VIDEO_SUFFIXES


def is_image(path: Path | str) -> bool:
    """Whether the suffix is that of an image, in any case."""
    return Path(path).suffix.lower() in IMAGE_SUFFIXES


def is_hidden(name: str) -> bool:
    """Whether a file or folder is an entry of the system and no data: ``.DS_Store``, ``._a.jpg``, ``@eaDir``."""
    return name.startswith(".") or name.lower() in _LEFT_BY_SYSTEMS


def visible(folder: Path) -> list[Path]:
    """Entries of a folder that are data, sorted by name; none where there is no such folder.

    Raises:
        ValueError: the folder cannot be read.
    """
    return [folder / entry.name for entry in _entries(folder)]


def subfolders(folder: Path) -> list[Path]:
    """Folders of a folder that are data, sorted by name; links to folders are folders.

    Raises:
        ValueError: the folder cannot be read, or holds a link to a place that is not there.
    """
    return [folder / entry.name for entry in _entries(folder) if _is_folder(entry)]


def walk(folder: Path) -> Iterator[Path]:
    """All data files below a folder, sorted by path; links to folders are followed.

    A link to a folder that it lies in itself is left out: everything behind it has been met already.

    Raises:
        ValueError: a folder cannot be read, or a link leads to a folder that is not there.
    """
    yield from _walk(folder, frozenset())


def _walk(folder: Path, above: frozenset[tuple[int, int]]) -> Iterator[Path]:
    entries = _entries(folder)
    if not entries:
        return
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in above:
        return
    for entry in entries:
        if _is_folder(entry):
            yield from _walk(folder / entry.name, above | {here})
        else:
            yield folder / entry.name


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted((entry for entry in entries if not is_hidden(entry.name)), key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise ValueError(f"{folder}: this folder cannot be read ({error.strerror})") from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """ValueError for a link that leads nowhere, unless its name says that it is a video or an image."""
    if not entry.is_symlink():
        return entry.is_dir()
    path = Path(entry.path)
    if path.exists():
        return path.is_dir()
    if not (is_video(path) or is_image(path)):
        raise ValueError(f"{path}: this link leads to {path.readlink()}, which is not there; remove it")
    return False


def contents(folder: Path) -> str:
    """What lies in a folder, in words for an error: ``found a, b, c and 7 more``."""
    names = [path.name for path in visible(folder)]
    if not names:
        return "found nothing" if folder.is_dir() else "there is no such folder"
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return f"found {', '.join(names[:SHOWN])}{more}"
