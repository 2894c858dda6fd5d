"""Links that give a dataset its official layout, without copying or moving anything.

Where several folders resemble a part, those that hold files of the official lists are kept; if several are left, no
link is made.  Links are tried in a temporary data root first, so that nothing is written before a choice is made.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

from sigma_bench.data.inventory import Inventory, take_inventory
from sigma_bench.data.layout_search import FoundParts, Layout, Search
from sigma_bench.data.manifest import DECLARATION, MINIWORLD_MARKER, TRANSCODED_MARKER
from sigma_bench.data.parts import Part, targets

_MARKERS = (MINIWORLD_MARKER, TRANSCODED_MARKER, DECLARATION)
"""Files beside the parts of a dataset that state what its files are."""


@dataclass(frozen=True)
class Proposal:
    """How the parts that were found would become the official layout."""

    layout: Layout
    placed: Mapping[str, Path]
    """Target -> where it is already."""
    links: Mapping[Path, Path]
    """Link in the dataset's folder -> file or folder that it would lead to."""
    ambiguous: Mapping[str, tuple[Path, ...]]
    """Target -> several files or folders that could be it."""
    blocked: Mapping[Path, Path]
    """Path that exists and has other contents -> file or folder that belongs there."""
    found: FoundParts

    @property
    def is_here(self) -> bool:
        """Whether the dataset's folder contains anything."""
        return self.layout.home.is_dir() and any(self.layout.home.iterdir())

    @property
    def has_found(self) -> bool:
        """Whether anything that resembles the dataset is in another place."""
        found = (self.links, self.ambiguous, self.blocked, self.found.unusable, self.found.archives)
        return any(map(bool, found))

    @property
    def lacking(self) -> list[str]:
        """Targets that are neither in place nor found."""
        known = {*self.placed, *self.ambiguous, *self._linked}
        parts = targets(self.layout.parts)
        return [name for name, (part, *_) in parts.items() if name not in known and not part.is_optional]

    @property
    def _linked(self) -> set[str]:
        names = {path.name for path in (*self.links, *self.blocked)}
        return {name for name, parts in targets(self.layout.parts).items() if names & {name, *parts[0].also}}

    @cached_property
    def inventories(self) -> list[Inventory]:
        """Inventories of the datasets as they would be with the links."""
        return inventories_with(self.layout, self.links)


def propose(layout: Layout, result: Search) -> Proposal:
    """Choose the links that give the official layout of one dataset's folder, from what a search found."""
    home, found, folders = layout.home, result.found[layout.home], result.folders
    places = {
        name: next(filter(None, (folders.place(part, home) for part in parts)), None)
        for name, parts in targets(layout.parts).items()
    }
    placed = {name: path for name, path in places.items() if path is not None}
    taken = {path.resolve() for path in placed.values()}
    options = {
        name: [path for path in paths if path.resolve() not in taken]
        for name, paths in found.options.items()
        if name not in placed
    }
    options = _with_listed_files(layout, {name: paths for name, paths in options.items() if paths}, result)
    links: dict[Path, Path] = {}
    blocked: dict[Path, Path] = {}
    for name, paths in options.items():
        if len(paths) == 1:
            free = _free_name(home, targets(layout.parts)[name][0], paths[0])
            (blocked if free is None else links)[home / (free or name)] = paths[0]
    ambiguous = {name: tuple(paths) for name, paths in options.items() if len(paths) > 1}
    links |= _markers(layout, links, ambiguous, result.start)
    return Proposal(layout, placed, links, ambiguous, blocked, found)


def _with_listed_files(layout: Layout, options: Mapping[str, list[Path]], result: Search) -> dict[str, list[Path]]:
    """The options without folders of media that hold none of the files that the lists name under their target."""
    parts = targets(layout.parts)
    lists = {layout.home / n: paths[0] for n, paths in options.items() if len(paths) == 1 and not parts[n][0].is_media}
    lists |= _markers(layout, lists, {}, result.start)
    media = {name: paths for name, paths in options.items() if parts[name][0].is_media}
    listed = _listed_names(layout, lists) if media else {}
    kept = {
        name: [path for path in paths if result.folders.holds(path, listed[name])] if name in listed else paths
        for name, paths in media.items()
    }
    return {name: paths for name, paths in (dict(options) | kept).items() if paths}


def _listed_names(layout: Layout, links: Mapping[Path, Path]) -> dict[str, set[str]]:
    """Target -> names without suffix of the files that the lists, some of which are links, place there."""
    listed: dict[str, set[str]] = {}
    with _linked(layout, links) as root:
        prefix = f"{root / layout.home.name}{os.sep}"
        for inventory in (take_inventory(card, root) for card in layout.cards):
            for split in inventory.manifest.splits.values() if inventory.manifest else ():
                for path in map(str, (sample.path for sample in split.samples)):
                    target, _, name = path.removeprefix(prefix).partition(os.sep)
                    listed.setdefault(target, set()).add(os.path.splitext(name.rpartition(os.sep)[2])[0])  # noqa: PTH122
    return listed


def inventories_with(layout: Layout, links: Mapping[Path, Path]) -> list[Inventory]:
    """Inventories of a dataset's folder as it would be with some links; nothing is written to the data root."""
    with _linked(layout, links) as root:
        inventories = [take_inventory(card, root) for card in layout.cards]
        for inventory in inventories:
            for split in inventory.manifest.splits.values() if inventory.manifest else ():
                _ = split.missing  # looked for while the links exist
        return inventories


@contextmanager
def _linked(layout: Layout, links: Mapping[Path, Path]) -> Iterator[Path]:
    """A temporary data root with the entries of the dataset's folder and some links."""
    with TemporaryDirectory(prefix="sigma-bench-") as scratch:
        home = Path(scratch) / layout.home.name
        home.mkdir()
        inside = {path: path for path in layout.home.iterdir()} if layout.home.is_dir() else {}
        for link, source in ({**inside, **links}).items():
            (home / link.name).symlink_to(source.resolve())
        yield Path(scratch)


def _free_name(home: Path, part: Part, source: Path) -> str | None:
    """The name of the link to a part: its own if the reader accepts that, or else the first that does not exist."""
    names = [part.target, *(name for name in part.also if name and "/" not in name)]
    wanted = [source.name] if source.name in names else []
    return next((name for name in [*wanted, *names] if not os.path.lexists(home / name)), None)


def _markers(
    layout: Layout, links: Mapping[Path, Path], ambiguous: dict[str, tuple[Path, ...]], start: Path
) -> dict[Path, Path]:
    """Links to the markers beside the parts; a marker with two contents is added to ``ambiguous``."""
    found = {}
    for name in _MARKERS:
        places = dict.fromkeys(
            place for source in links.values() for place in _above(source, start, layout.home.parent)
        )
        by_content: dict[bytes, Path] = {}
        for path in (place / name for place in places):
            if path.is_file():
                by_content.setdefault(path.read_bytes(), path)
        if len(by_content) > 1:
            ambiguous[name] = tuple(by_content.values())
        elif by_content and not os.path.lexists(layout.home / name):
            found[layout.home / name] = next(iter(by_content.values()))
    return found


def _above(source: Path, start: Path, root: Path) -> list[Path]:
    """The folders above a part in which its markers can be: the next one, and all others of the search."""
    above = [folder for folder in source.parents if folder == source.parent or folder.is_relative_to(start)]
    return [folder for folder in above if folder != root]


def make_links(proposal: Proposal) -> Iterator[tuple[Path, str]]:
    """Make the links of a proposal and yield each with its text; nothing is overwritten.

    A link is relative if it stays in the data root, so that the root can be moved.

    Raises:
        ValueError: parts are ambiguous, or a link cannot be made.
    """
    home = proposal.layout.home
    root = home.parent.resolve()
    if proposal.ambiguous:
        target, paths = next(iter(proposal.ambiguous.items()))
        raise ValueError(
            f"{home / target}: {' and '.join(map(str, paths))} both look like it; name the folder to search with --from"
        )
    for link, source in proposal.links.items():
        try:
            home.mkdir(exist_ok=True)
            stays = source.resolve().is_relative_to(root) and home.resolve().is_relative_to(root)
            text = os.path.relpath(source.resolve(), home.resolve()) if stays else str(source.resolve())
            link.symlink_to(text, target_is_directory=source.is_dir())
        except OSError as error:
            raise ValueError(f"{link}: this link to {source} cannot be made ({error.strerror})") from error
        yield link, text
