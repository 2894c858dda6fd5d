"""Finding the file of a listed video in any container, or the folder of its frames."""

import os
from functools import cache
from pathlib import Path
from typing import NamedTuple

from sigma_bench.data.data_files import VIDEO_SUFFIXES, contents, visible
from sigma_bench.data.manifest import Media


class FoundMedium(NamedTuple):
    """The location and kind of a medium."""

    path: Path
    media: Media


def find_video(folders: tuple[Path, ...], stem: str, suffix: str) -> FoundMedium:
    """The video with the given stem, or the folder of its frames, in the first folder that has one of them.

    Upper and lower case of suffixes are not distinguished.  If nothing is found, the result is the path of the official
    file in the first folder, which then counts as missing.

    Args:
        suffix: suffix of the official files.
    """
    for folder in folders:
        names = _names_in(folder)
        if not names:
            continue
        for candidate in (suffix, suffix.lower(), *VIDEO_SUFFIXES):
            if f"{stem}{candidate}" in names:
                return FoundMedium(folder / names[f"{stem}{candidate}"], "video")
        if stem in names and (folder / stem).is_dir():
            return FoundMedium(folder / stem, "frame_folder")
    return FoundMedium(folders[0] / f"{stem}{suffix}", "video")


def forget_folders() -> None:
    """Clear the cached contents of folders, which speed up the search for the thousands of videos of a list."""
    _names_in.cache_clear()


@cache
def _names_in(folder: Path) -> dict[str, str]:
    """Names in a folder, by the name itself and, for videos, also by the name with its suffix in lower case."""
    names = [path.name for path in visible(folder)]
    split = ((name, os.path.splitext(name)) for name in names)  # noqa: PTH122 (faster than a Path, for long lists)
    lowered = {f"{stem}{suffix.lower()}": name for name, (stem, suffix) in split if suffix.lower() in VIDEO_SUFFIXES}
    return {**lowered, **{name: name for name in names}}


def first_file(folders: tuple[Path, ...], names: tuple[str, ...]) -> Path:
    """The first of these names that is a file in one of the folders.

    Raises:
        ValueError: there is no such file; the message lists the names and the contents of the folders.
    """
    found = next((folder / name for name in names for folder in folders if (folder / name).is_file()), None)
    if found is not None:
        return found
    also = f" (or {', '.join(names[1:])})" if len(names) > 1 else ""
    held = "; ".join(f"in {folder} {contents(folder)}" for folder in folders if folder.is_dir()) or "no such folder"
    raise ValueError(f"{folders[0] / names[0]}: this official file is missing{also}; {held}")


def davis_home(root: Path) -> Path:
    """The folder of DAVIS: ``DAVIS`` inside the dataset's folder, or the dataset's folder itself."""
    return root / "DAVIS" if (root / "DAVIS").is_dir() else root


def davis_size(home: Path, full: str) -> str:
    """Name of the folder of DAVIS for a resolution: ``480p``, or ``full`` if only that exists."""
    has_480p, has_full = ((home / "JPEGImages" / name).is_dir() for name in ("480p", full))
    return full if has_full and not has_480p else "480p"
