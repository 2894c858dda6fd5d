"""Parts of official layouts, and how a part is recognised under any name.

A reader declares the parts of its dataset as ``PARTS``.  A part is recognised by names of official lists and by the
file names that the reader accepts, not by the name of the folder that contains them.  Folders are read only in part,
so a home folder or a folder of 240,000 videos takes no longer than a small one.
"""

import os
import re
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sigma_bench.data.data_files import is_hidden

MOST_ENTRIES = 2000
"""Number of entries of a folder that are read."""
SUBFOLDERS_TRIED = 8
"""Number of subfolders in which a pattern of several levels is tried."""


@dataclass(frozen=True)
class Part:
    """A file or folder of an official layout, and what distinguishes it from all others."""

    target: str
    """Name in the dataset's folder.  Parts with the same target are alternatives."""
    contains: tuple[str, ...] = ()
    """Regular expressions of paths in a folder, one per level, separated by slashes; each must have a match."""
    file: str | None = None
    """Regular expression of the name of a file; None if the part is a folder."""
    also: tuple[str, ...] = ()
    """Other paths in the dataset's folder that the reader accepts; an empty one is the folder itself."""
    is_media: bool = False
    """Whether the part holds the videos or images, as opposed to lists and labels."""
    is_optional: bool = False
    """Whether the dataset is complete without the part."""
    accepts: Callable[[Path], bool] | None = None
    """Further evidence, from the contents of a file or folder that matches."""
    unusable: str | None = None
    """Why a folder that matches is not what the dataset needs, although it resembles it."""


class Entries(NamedTuple):
    """Names in a folder, without those of the system."""

    folders: tuple[str, ...]
    files: tuple[str, ...]
    is_whole: bool = True


class Folders:
    """Contents of folders, each of which is read once, up to ``MOST_ENTRIES`` entries."""

    def __init__(self) -> None:
        self._known: dict[Path, Entries] = {}
        self.unreadable: list[Path] = []
        """Folders that cannot be read."""

    def entries(self, folder: Path) -> Entries:
        """Names of the subfolders, including links to folders, and of the files; both empty if it cannot be read."""
        if folder not in self._known:
            self._known[folder] = self._read(folder)
        return self._known[folder]

    def _read(self, folder: Path) -> Entries:
        found: dict[bool, list[str]] = {True: [], False: []}
        number = 0
        try:
            with os.scandir(folder) as entries:
                for number, entry in enumerate(entries, start=1):
                    if number > MOST_ENTRIES:
                        break
                    if not is_hidden(entry.name):
                        found[entry.is_dir()].append(entry.name)
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError:
            self.unreadable.append(folder)
        return Entries(tuple(sorted(found[True])), tuple(sorted(found[False])), number <= MOST_ENTRIES)

    def has(self, folder: Path, pattern: str) -> bool:
        """Whether a path in the folder matches; the last level may be a file or a folder."""
        level, _, rest = pattern.partition("/")
        folders, files, _ = self.entries(folder)
        matching = (name for name in (folders if rest else (*folders, *files)) if re.fullmatch(level, name))
        if not rest:
            return next(matching, None) is not None
        return any(self.has(folder / name, rest) for _, name in zip(range(SUBFOLDERS_TRIED), matching, strict=False))

    def holds(self, folder: Path, stems: Set[str]) -> bool:
        """Whether the folder or one of its subfolders contains a file or folder with one of the names."""
        places = (folder, *(folder / name for name in self.entries(folder).folders))
        return any(
            not stems.isdisjoint(Path(name).stem for name in (*entries.folders, *entries.files))
            for entries in map(self.entries, places)
        )

    def is_part(self, part: Part, path: Path) -> bool:
        """Whether a file or folder has the evidence of a part."""
        if part.file is not None:
            is_match = re.fullmatch(part.file, path.name) is not None and path.is_file()
        else:
            is_match = all(self.has(path, pattern) for pattern in part.contains)
        return is_match and (part.accepts is None or part.accepts(path))

    def place(self, part: Part, home: Path) -> Path | None:
        """Where a part is in the dataset's folder, if it is in a place that the reader accepts."""
        places = (home / name if name else home for name in (part.target, *part.also))
        return next((path for path in places if self.is_part(part, path)), None)


def first_bytes(path: Path, number: int = 1 << 16) -> bytes:
    """The beginning of a file; empty if it cannot be read."""
    try:
        with path.open("rb") as stream:
            return stream.read(number)
    except OSError:
        return b""


def targets(parts: Sequence[Part]) -> dict[str, list[Part]]:
    """The usable parts by target, in order."""
    found: dict[str, list[Part]] = {}
    for part in parts:
        if part.unusable is None:
            found.setdefault(part.target, []).append(part)
    return found
