"""Arrays that take long to compute, kept on disk and filled block by block.

One folder is one content: its name is a digest of everything that can change a byte, so two processes that fill the
same block at the same moment write the same bytes, and no lock is needed.  A block counts when its marker is there,
which is written after the block; what was killed in between is computed again.

Shapes: I items, the first axis of every array.
"""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sigma_bench.records.store import write_atomically

DESCRIPTION_NAME = "description.json"


class ArrayLayout(NamedTuple):
    """Shape behind the item axis, and type, of one array."""

    shape: tuple[int, ...]
    dtype: str


class BlockStore:
    """Arrays of ``num_items`` rows below one folder.

    Args:
        layout: the arrays by name.
        description: what lies here, in words, for people who list the cache.
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
        self._layout, self._description = layout, description

    @property
    def num_bytes(self) -> int:
        """Size of the arrays when they are whole."""
        return sum(
            self.num_items * int(np.prod(array.shape)) * np.dtype(array.dtype).itemsize
            for array in self._layout.values()
        )

    def missing(self, mended: Iterable[int] = ()) -> list[range]:
        """Items of the blocks that do not hold all of the arrays yet, or hold one that failed and would not now."""
        starts, again = range(0, self.num_items, self.block_items), {item // self.block_items for item in mended}
        blocks = [range(start, min(start + self.block_items, self.num_items)) for start in starts]
        return [
            block
            for number, block in enumerate(blocks)
            if number in again or not self._layout.keys() <= self._marker(block).get("arrays", set())
        ]

    def write(self, items: range, arrays: Mapping[str, np.ndarray], failures: Mapping[int, str]) -> None:
        """Fill one block; ``failures`` says why by item, whose rows are zero.

        Raises:
            ValueError: the disk is full or the folder cannot be written.
        """
        for name, rows in arrays.items():
            assert rows.shape == (len(items), *self._layout[name].shape), f"{name}: rows of shape {rows.shape}"
            try:
                self._put(name, items, rows)
            except OSError as error:
                raise ValueError(
                    f"{self.folder}: cannot be written ({error.strerror}); free some space, see 'sigma-bench cache "
                    "ls', or choose another folder"
                ) from error
        marker = {"arrays": sorted(arrays), "failures": {str(item): reason for item, reason in failures.items()}}
        write_atomically(self._marker_path(items), json.dumps(marker).encode())

    def read(self, name: str) -> np.ndarray:
        """A whole array, mapped into memory read-only."""
        return np.load(self.folder / f"{name}.npy", mmap_mode="r")

    def failures(self) -> dict[int, str]:
        """Why, by item, for those that could not be computed."""
        markers = [json.loads(path.read_bytes()) for path in sorted(self.folder.glob("block-*.json"))]
        return {int(item): reason for marker in markers for item, reason in marker["failures"].items()}

    def _put(self, name: str, items: range, rows: np.ndarray) -> None:
        """Rows into their place in the file; through mapped memory, a full disk would kill the process."""
        path, layout = self.folder / f"{name}.npy", self._layout[name]
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
        """A file of zeros that appears whole; whoever comes second keeps the first one's."""
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

    def _marker(self, items: range) -> dict[str, Any]:
        path = self._marker_path(items)
        if not path.exists():
            return {}
        content = json.loads(path.read_bytes())
        return {**content, "arrays": set(content["arrays"])}

    def _marker_path(self, items: range) -> Path:
        return self.folder / f"block-{items.start // self.block_items:06d}.json"


class CacheEntry(NamedTuple):
    """One folder of the cache, as listed."""

    folder: Path
    description: dict[str, Any]
    num_bytes: int
    written: float
    """When it was last written to, seconds since the epoch; reading leaves no trace."""


def cache_entries(root: Path) -> list[CacheEntry]:
    """Everything below a cache's root, what was written longest ago first."""
    entries = []
    for path in root.glob(f"*/{DESCRIPTION_NAME}"):
        stats = []
        for file in path.parent.iterdir():
            with contextlib.suppress(FileNotFoundError):  # another run has just renamed what it was writing
                stats.append(file.stat())
        written = max(stat.st_mtime for stat in stats)
        occupied = sum(stat.st_blocks * 512 for stat in stats)
        entries.append(CacheEntry(path.parent, json.loads(path.read_bytes()), occupied, written))
    return sorted(entries, key=lambda entry: entry.written)
