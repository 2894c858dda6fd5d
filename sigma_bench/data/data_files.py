"""Listing the data files below a folder, and telling videos and images by their suffix.

Operating systems, file servers and notebooks write entries of their own into the folders of a dataset.  Such an entry
is never taken for a class, an image, a list, a frame or a mask.  Links to folders are followed.
"""

import os
from collections.abc import Iterator
from pathlib import Path

VIDEO_SUFFIXES = (
    *(".mp4", ".avi", ".webm", ".mkv", ".mov", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".ts", ".ogv"),
)
"""Lower case, in order of preference if a folder contains one video in several containers."""
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
"""Lower case.  GIF is left out because one file can contain many frames."""
_LEFT_BY_SYSTEMS = frozenset(
    {"@eadir", "__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "#recycle", "$recycle.bin", "lost+found"}
)
"""Names, in lower case, that Synology, macOS archives, Windows and file systems use for their own entries."""
SHOWN = 5
"""Number of names that an error lists."""


def is_video(path: Path | str) -> bool:
    """Whether the suffix is that of a video, in any case."""
    return _suffix(path) in VIDEO_SUFFIXES


def is_image(path: Path | str) -> bool:
    """Whether the suffix is that of an image, in any case."""
    return _suffix(path) in IMAGE_SUFFIXES


def _suffix(path: Path | str) -> str:
    return os.path.splitext(path)[1].lower()  # noqa: PTH122 (a third of the time of a Path, for long lists)


def is_hidden(name: str) -> bool:
    """Whether a name belongs to the system and not to the data, such as ``.DS_Store``, ``._a.jpg`` or ``@eaDir``."""
    return name.startswith(".") or name.lower() in _LEFT_BY_SYSTEMS


def visible(folder: Path) -> list[Path]:
    """The entries of a folder that are data, sorted by name; an empty list if the folder does not exist.

    Raises:
        ValueError: the folder cannot be read.
    """
    return [folder / entry.name for entry in _entries(folder)]


def subfolders(folder: Path) -> list[Path]:
    """The subfolders that are data, sorted by name, including links to folders.

    Raises:
        ValueError: the folder cannot be read, or it contains a link whose target does not exist.
    """
    return [folder / entry.name for entry in _entries(folder) if _is_folder(entry)]


def walk(folder: Path) -> Iterator[Path]:
    """All data files below a folder, sorted by path; links to folders are followed.

    A link to one of the folders above it is skipped, because the files below it are listed already.

    Raises:
        ValueError: a folder cannot be read, or the target of a link does not exist.
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
    """Whether an entry is a folder.

    Raises:
        ValueError: the target of a link does not exist, and its suffix is not that of a video or an image.
    """
    if not entry.is_symlink():
        return entry.is_dir()
    path = Path(entry.path)
    if path.exists():
        return path.is_dir()
    if not (is_video(path) or is_image(path)):
        raise ValueError(f"{path}: this link leads to {path.readlink()}, which is not there; remove it")
    return False


def contents(folder: Path) -> str:
    """The contents of a folder in words for an error, such as ``found a, b, c and 7 more``."""
    names = [path.name for path in visible(folder)]
    if not names:
        return "found nothing" if folder.is_dir() else "there is no such folder"
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return f"found {', '.join(names[:SHOWN])}{more}"
