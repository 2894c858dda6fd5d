"""Finding the file of a listed video, whatever container this copy has it in, or a folder of its frames."""

from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from sigma_bench.data.manifest import Media

VIDEO_SUFFIXES = (".mp4", ".avi", ".webm", ".mkv")


class Found(NamedTuple):
    """Where a sample lies and what it is."""

    path: Path
    media: Media


def find_video(folders: tuple[Path, ...], stem: str, suffix: str) -> Found:
    """The video of that name in the first folder that has it, or the folder of its frames.

    Args:
        suffix: of the official files; where nothing is found, the path is that of the official file in the first
            folder, which then counts as missing.
    """
    for folder in folders:
        names = _names_in(folder)
        for candidate in (suffix, *VIDEO_SUFFIXES):
            if f"{stem}{candidate}" in names:
                return Found(folder / f"{stem}{candidate}", "video")
        if stem in names and (folder / stem).is_dir():
            return Found(folder / stem, "frame_folder")
    return Found(folders[0] / f"{stem}{suffix}", "video")


def forget_folders() -> None:
    """Look anew: what lies in a folder is remembered while a list of thousands of videos is read."""
    _names_in.cache_clear()


@cache
def _names_in(folder: Path) -> frozenset[str]:
    with suppress(FileNotFoundError, NotADirectoryError):
        return frozenset(path.name for path in folder.iterdir())
    return frozenset()


def davis_size(home: Path, full: str) -> str:
    """Name of DAVIS's folders of frames: ``480p``, or that of the full resolution where only this is there."""
    has_480p, has_full = ((home / "JPEGImages" / name).is_dir() for name in ("480p", full))
    return full if has_full and not has_480p else "480p"
