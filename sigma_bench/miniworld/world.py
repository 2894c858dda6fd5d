"""Writing the mini world to disk: all datasets in their official layouts, at miniature size.

The same seed gives the same bytes.  A marker file beside each dataset states that it belongs to the mini world, with
the seed and the numbers of samples, so that it cannot be taken for the real dataset.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

from sigma_bench.data.manifest import MINIWORLD_MARKER
from sigma_bench.miniworld import datasets
from sigma_bench.miniworld.generator import Counts, FileTask, Size
from sigma_bench.records.lock import exclusive
from sigma_bench.records.store import write_atomically

GENERATOR_VERSION = 8
UNFINISHED_MARKER = ".miniworld-unfinished"
DATASETS = tuple(name for _, name, _ in iter_modules(datasets.__path__))
"""Folders below the root; the module of the same name in ``datasets/`` generates each."""


def write_miniworld(
    root: Path,
    seed: int,
    *,
    folders: Sequence[str] = DATASETS,
    sizes: Mapping[str, Size] | None = None,
    num_workers: int | None = None,
) -> Iterator[float]:
    """Write datasets below ``root`` and yield the fraction done; complete datasets are not written again.

    Args:
        sizes: sizes by folder that replace the defaults of the generators.
        num_workers: number of processes; one per processor if None.

    Raises:
        ValueError: a folder of that name contains something other than this mini world or cannot be written, or another
            process is writing below ``root``.
    """
    wanted = {name: (sizes or {}).get(name, _generator(name).SIZE) for name in folders}
    if not all(_is_complete(root / name, seed, size) for name, size in wanted.items()):
        with exclusive(root):
            yield from _write_missing(root, seed, wanted, num_workers)


def _generator(name: str) -> ModuleType:
    return import_module(f"{datasets.__name__}.{name}")


def _write_missing(root: Path, seed: int, sizes: Mapping[str, Size], num_workers: int | None) -> Iterator[float]:
    """Write the datasets that are not complete and yield the fraction done."""
    pending = [name for name, size in sizes.items() if not _is_complete(root / name, seed, size)]
    for name in pending:
        write_atomically(root / name / UNFINISHED_MARKER, b"")
    tasks: list[FileTask] = []
    counts: dict[str, Counts] = {}
    for name in pending:
        counts[name], tasks_of_dataset = _generator(name).build(root / name, seed, sizes[name])
        tasks += tasks_of_dataset
    with ProcessPoolExecutor(num_workers) as pool:
        for done, _ in enumerate(pool.map(_run, tasks, chunksize=16), start=1):
            yield done / len(tasks)
    for name in pending:
        marker = {**_identity(seed, sizes[name]), "samples": counts[name]}
        write_atomically(root / name / MINIWORLD_MARKER, json.dumps(marker).encode())
        (root / name / UNFINISHED_MARKER).unlink()


def _identity(seed: int, size: Size) -> dict[str, Any]:
    return {"generator": GENERATOR_VERSION, "seed": seed, "size": list(size)}


def _is_complete(folder: Path, seed: int, size: Size) -> bool:
    marker = folder / MINIWORLD_MARKER
    if not marker.is_file():
        if folder.is_dir() and any(folder.iterdir()) and not (folder / UNFINISHED_MARKER).exists():
            raise ValueError(f"{folder}: contains a dataset that is not the mini world; choose another folder")
        return False
    found = json.loads(marker.read_text())
    for key, value in _identity(seed, size).items():
        if found.get(key) != value:
            raise ValueError(
                f"{folder}: contains another mini world ({key} {found.get(key)}, wanted {value}); "
                "choose another folder or remove this one"
            )
    return True


def _run(task: FileTask) -> None:
    task.write(*task.arguments)
