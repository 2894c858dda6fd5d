"""Arrays that take long to compute, kept on disk and filled block by block.

The name of a folder is a digest of everything that can change a byte of its arrays.  Two processes that fill the same
block at the same moment therefore write the same bytes, and no lock is needed.  A marker with the digests of its rows
is written after each block.  A block is computed again if it has no marker, if its rows differ from the marker, or if
the marker is damaged or belongs to another block.

Shapes: I items, the first axis of every array.
"""

import contextlib
import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from sigma_bench.records.store import UNREADABLE_ARRAY, write_atomically
from sigma_bench.specs.fingerprint import digest

DESCRIPTION_NAME = "description.json"

logger = logging.getLogger(__name__)


class ArrayLayout(NamedTuple):
    """Shape (without the item axis) and type of one array."""

    shape: tuple[int, ...]
    dtype: str


class BlockStore:
    """Arrays of ``num_items`` rows below one folder.

    Args:
        layout: the arrays by name.
        description: the content of the folder, as ``sigma-bench cache ls`` shows it.
    """

    def __init__(
        self,
        folder: Path,
        num_items: int,
        block_items: int,
        layout: Mapping[str, ArrayLayout],
        description: Mapping[str, Any],
    ) -> None:
        self.folder, self.num_items, self.block_items = folder, num_items, block_items
        self.layout, self._description = layout, description

    @property
    def num_bytes(self) -> int:
        """Size of the complete arrays."""
        return sum(
            self.num_items * int(np.prod(array.shape)) * np.dtype(array.dtype).itemsize
            for array in self.layout.values()
        )

    def unwritten(self) -> list[range]:
        """Items of the blocks that lack some of the arrays according to their markers; no array is read."""
        return [block for block in self._blocks() if not self.layout.keys() <= self._marker(block).digests.keys()]

    def missing(self, mended: Iterable[int] = ()) -> list[range]:
        """Items of the blocks to compute: not written, damaged, or with an item that failed before and no longer fails.

        Every array is read and compared with its digests; damage is reported in a warning.
        """
        again = {item // self.block_items for item in mended}
        arrays = {name: self._opened(name) for name in self.layout}
        found, num_damaged = [], 0
        for number, block in enumerate(self._blocks()):
            digests = self._marker(block).digests
            is_written = self.layout.keys() <= digests.keys()
            is_sound = is_written and all(_is_sound(arrays[name], block, digests[name]) for name in self.layout)
            num_damaged += is_written and not is_sound
            if number in again or not is_sound:
                found.append(block)
        if num_damaged:
            logger.warning("%s: %d cached blocks are damaged and are computed again", self.folder, num_damaged)
        return found

    def _blocks(self) -> list[range]:
        starts = range(0, self.num_items, self.block_items)
        return [range(start, min(start + self.block_items, self.num_items)) for start in starts]

    def _opened(self, name: str) -> np.ndarray | None:
        """An array mapped into memory; None if its file is missing or has another layout, in which case it is
        removed."""
        path, layout = self._path(name), self.layout[name]
        if not path.exists():
            return None
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
            if (array.shape, array.dtype) == ((self.num_items, *layout.shape), np.dtype(layout.dtype)):
                return array
        except UNREADABLE_ARRAY:
            pass
        logger.warning("%s: damaged; it is computed again", path)
        path.unlink(missing_ok=True)
        return None

    def write(self, items: range, arrays: Mapping[str, np.ndarray], failures: Mapping[int, str]) -> None:
        """Fill one block.

        Args:
            failures: item -> why it could not be computed; its rows are zero.

        Raises:
            ValueError: the disk is full or the folder cannot be written.
        """
        for name, rows in arrays.items():
            assert rows.shape == (len(items), *self.layout[name].shape), f"{name}: rows of shape {rows.shape}"
            try:
                self._put(name, items, rows)
            except OSError as error:
                raise ValueError(
                    f"{self.folder}: cannot be written ({error.strerror}); free some space, see 'sigma-bench cache "
                    "ls', or choose another folder"
                ) from error
        digests = {name: _digest(np.asarray(rows, self.layout[name].dtype)) for name, rows in arrays.items()}
        marker = _Marker(digests, dict(failures))
        write_atomically(self._marker_path(items), marker.packed(self._place(items)))

    def read(self, name: str) -> np.ndarray:
        """A whole array, mapped into memory read-only."""
        return np.load(self._path(name), mmap_mode="r", allow_pickle=False)

    def failures(self) -> dict[int, str]:
        """Reason, by item, for each item that could not be computed."""
        return {item: reason for block in self._blocks() for item, reason in self._marker(block).failures.items()}

    def _put(self, name: str, items: range, rows: np.ndarray) -> None:
        """Write rows to their place in the file, which is not memory-mapped: a full disk would kill the process."""
        path, layout = self._path(name), self.layout[name]
        if not path.exists():
            self._create(path, (self.num_items, *layout.shape), layout.dtype)
        content = np.ascontiguousarray(rows, layout.dtype)
        with path.open("r+b") as file:
            np.lib.format.read_magic(file)
            np.lib.format.read_array_header_1_0(file)
            file.seek(items.start * (content.nbytes // len(items)), os.SEEK_CUR)
            file.write(content.data)
            file.flush()
            os.fsync(file.fileno())

    def _create(self, path: Path, shape: tuple[int, ...], dtype: str) -> None:
        """Create a file of zeros in one step; if another process has created it before, that file is kept."""
        write_atomically(self.folder / DESCRIPTION_NAME, json.dumps(self._description, indent=1).encode())
        handle, temporary = tempfile.mkstemp(dir=self.folder, prefix=".writing-")
        os.close(handle)
        try:
            np.lib.format.open_memmap(temporary, mode="w+", dtype=np.dtype(dtype), shape=shape).flush()
            os.link(temporary, path)
        except FileExistsError:
            pass
        finally:
            Path(temporary).unlink()

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.npy"

    def _marker(self, items: range) -> "_Marker":
        """The marker of a block; an empty marker if it is missing or damaged."""
        path = self._marker_path(items)
        try:
            return _Marker.unpacked(path.read_bytes(), self._place(items))
        except FileNotFoundError:
            return _Marker({}, {})
        except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
            logger.warning("%s: damaged; its block is computed again", path)
            return _Marker({}, {})

    def _place(self, items: range) -> str:
        """A name of the block that no other block has; it does not depend on the path of the cache."""
        return f"{self.folder.name}/{items.start}-{items.stop}"

    def _marker_path(self, items: range) -> Path:
        return self.folder / f"block-{items.start // self.block_items:06d}.json"


class _Marker(NamedTuple):
    """The marker of a written block."""

    digests: dict[str, str]
    """SHA-256 of its rows, by array."""
    failures: dict[int, str]
    """Reason, by item, for each item that could not be computed."""

    def packed(self, place: str) -> bytes:
        """The content of its file, with a digest of itself and of the block's place."""
        return json.dumps({**self._asdict(), "sha256": digest([place, self._asdict()])}).encode()

    @classmethod
    def unpacked(cls, content: bytes, place: str) -> Self:
        """The marker in a file.

        Raises:
            ValueError: ``packed`` did not write this content for this place; parsing it may raise other exceptions.
        """
        stored = json.loads(content)
        marker = cls(stored["digests"], {int(item): reason for item, reason in stored["failures"].items()})
        if content != marker.packed(place):
            raise ValueError("the marker is damaged or belongs to another block")
        return marker


def _digest(rows: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(rows).data).hexdigest()


def _is_sound(array: np.ndarray | None, block: range, sha256: str) -> bool:
    return array is not None and _digest(array[block.start : block.stop]) == sha256


class CacheEntry(NamedTuple):
    """One folder of the cache."""

    folder: Path
    description: dict[str, str]
    """``model``, ``split``, ``samples`` (their number) and ``from`` (the folder of the first sample)."""
    num_bytes: int
    written: float
    """Time of the last write, seconds since the epoch."""


def cache_entries(root: Path) -> list[CacheEntry]:
    """All entries of a cache, in the order of their last write."""
    entries = []
    for path in root.glob(f"*/{DESCRIPTION_NAME}"):
        stats = []
        for file in path.parent.iterdir():
            with contextlib.suppress(FileNotFoundError):  # another run has renamed its temporary file
                stats.append(file.stat())
        written = max(stat.st_mtime for stat in stats)
        occupied = sum(stat.st_blocks * 512 for stat in stats)
        entries.append(CacheEntry(path.parent, _description(path), occupied, written))
    return sorted(entries, key=lambda entry: entry.written)


def _description(path: Path) -> dict[str, str]:
    """Model, split, number of samples and their folder from a description; "damaged" for each that is missing."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        content = {}
    known = content if isinstance(content, dict) else {}
    return {name: str(known.get(name, "damaged")) for name in ("model", "split", "samples", "from")}
