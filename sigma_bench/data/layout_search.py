"""Search for datasets that are on the disk but not in their official layout.

The folders below a start are tested for the parts that readers declare (``data/parts.py``).  The search is bounded in
depth and in number of folders and entries, so that it can start at a home folder.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from sigma_bench.data.datasets import parts_of
from sigma_bench.data.parts import MOST_ENTRIES, Folders, Part
from sigma_bench.specs.dataset import DatasetCard, DatasetFile

MOST_LEVELS, MOST_FOLDERS, MOST_ENTRIES_IN_ALL = 4, 2000, 300_000


@dataclass(frozen=True)
class Layout:
    """A dataset's folder below a data root, the datasets in it, and their parts."""

    home: Path
    cards: tuple[DatasetCard, ...]
    parts: tuple[Part, ...]
    archives: tuple[str, ...] = ()
    """Names of official archives, with wildcards, some with the name of the folder."""


def layouts_of(files: Sequence[DatasetFile], root: Path) -> list[Layout]:
    """The layouts of datasets below a data root, one for each folder."""
    by_home: dict[str, list[DatasetFile]] = {}
    for file in files:
        by_home.setdefault(file.home, []).append(file)
    return [
        Layout(
            root / home,
            tuple(file.card for file in of_home),
            tuple(dict.fromkeys(part for file in of_home for part in parts_of(file.card))),
            tuple({name for file in of_home for name in file.download if not name.endswith((".csv", ".txt"))}),
        )
        for home, of_home in by_home.items()
    ]


@dataclass
class FoundParts:
    """What a search found for one dataset's folder."""

    options: dict[str, list[Path]] = field(default_factory=dict)
    """Target -> files and folders that have its evidence."""
    unusable: dict[Path, str] = field(default_factory=dict)
    archives: list[Path] = field(default_factory=list)


@dataclass(frozen=True)
class Search:
    """The result of a search, by dataset's folder."""

    start: Path
    found: Mapping[Path, FoundParts]
    folders: Folders
    limits: tuple[str, ...]
    """Reasons why the search may have missed something."""


def search(layouts: Sequence[Layout], start: Path) -> Search:
    """Look for the parts of layouts below a folder, breadth first; the data root itself is never a part."""
    folders, found = Folders(), {layout.home: FoundParts() for layout in layouts}
    roots = {layout.home.parent for layout in layouts}
    queue, seen, limits = deque([(start, 0)]), set[Path](), dict[str, list[Path]]()
    num_entries = 0
    while queue:
        folder, level = queue.popleft()
        if (real := folder.resolve()) in seen:
            continue
        seen.add(real)
        if len(seen) > MOST_FOLDERS or num_entries > MOST_ENTRIES_IN_ALL:
            limits.setdefault(f"it stopped after {len(seen) - 1:,} folders, at", []).append(folder)
            break
        entries = folders.entries(folder)
        num_entries += len(entries.folders) + len(entries.files)
        matched = [_record(layout, folder, folders, found, is_root=folder in roots) for layout in layouts]
        if any(matched):
            continue
        if not entries.is_whole:
            limits.setdefault(f"it read only {MOST_ENTRIES:,} entries", []).append(folder)
        if level < MOST_LEVELS:
            queue.extend((folder / name, level + 1) for name in entries.folders)
        elif entries.folders:
            limits.setdefault(f"it went {MOST_LEVELS} levels deep", []).append(folder)
    if folders.unreadable:
        limits["it cannot read"] = folders.unreadable
    return Search(start, found, folders, tuple(f"{what}: {_named(paths)}" for what, paths in limits.items()))


def _named(folders: Sequence[Path]) -> str:
    return f"{folders[0]}{f' and {len(folders) - 1:,} other folders' if len(folders) > 1 else ''}"


def _record(layout: Layout, folder: Path, folders: Folders, found: Mapping[Path, FoundParts], *, is_root: bool) -> bool:
    """Record the parts and archives that a folder is or holds; True if it holds media, so that no part is inside."""
    here, files = found[layout.home], folders.entries(folder).files
    here.archives += [folder / name for name in files if _is_archive(layout, folder, name)]
    for part in layout.parts:
        if part.file is not None:
            _add(here, part.target, (folder / name for name in files if folders.is_part(part, folder / name)))
    of_folder = [part for part in layout.parts if part.file is None and not is_root and folders.is_part(part, folder)]
    usable = [part for part in of_folder if part.unusable is None]
    for part in usable:
        _add(here, part.target, [folder])
    if not usable:
        here.unusable.update((folder, part.unusable) for part in of_folder if part.unusable)
    return any(part.is_media for part in of_folder) or bool(of_folder and not usable)


def _is_archive(layout: Layout, folder: Path, name: str) -> bool:
    """Whether a file is an official archive by its name, or by its folder and name; case is ignored."""
    names = (name.lower(), f"{folder.name}/{name}".lower())
    return any(fnmatch(found, pattern.lower()) for found in names for pattern in layout.archives)


def _add(found: FoundParts, target: str, paths: Iterator[Path] | list[Path]) -> None:
    options = found.options.setdefault(target, [])
    known = {path.resolve() for path in options}
    options += [path for path in paths if path.resolve() not in known]
