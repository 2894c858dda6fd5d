"""The mini world on disk: datasets in their official layouts, at miniature size.

The same seed writes the same bytes.  A marker file beside each dataset says that it is the mini world, which
seed drew it and how many samples it has, so that nothing here can pass for the real dataset.
"""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from sigma_bench.data.manifest import MINIWORLD_MARKER
from sigma_bench.miniworld import datasets
from sigma_bench.miniworld.generator import Counts, FileTask, WorldSize
from sigma_bench.records.lock import exclusive
from sigma_bench.records.store import write_atomically

GENERATOR_VERSION = 5
UNFINISHED_MARKER = ".miniworld-unfinished"
DATASETS = tuple(name for _, name, _ in iter_modules(datasets.__path__))
"""Folders below the root; each is drawn by the module of that name in ``datasets/``."""


def write_miniworld(
    root: Path,
    seed: int,
    *,
    folders: Sequence[str] = DATASETS,
    size: WorldSize | None = None,
    num_workers: int | None = None,
) -> Iterator[float]:
    """Write datasets below ``root``, yielding the share done; those already complete are left alone.

    Args:
        num_workers: processes; None for one per processor.

    Raises:
        ValueError: a folder of that name holds something else than this mini world or cannot be written, or another
            process is writing below ``root``.
    """
    size = size or WorldSize()
    if not all(_is_complete(root / name, seed, size) for name in folders):
        with exclusive(root):
            yield from _write_missing(root, seed, folders, size, num_workers)


def _write_missing(
    root: Path, seed: int, folders: Sequence[str], size: WorldSize, num_workers: int | None
) -> Iterator[float]:
    """Write the folders that are not complete, yielding the share done."""
    pending = [name for name in folders if not _is_complete(root / name, seed, size)]
    for name in pending:
        write_atomically(root / name / UNFINISHED_MARKER, b"")
    jobs: list[FileTask] = []
    markers: list[tuple[Path, Counts]] = []
    for name in pending:
        draw = import_module(f"sigma_bench.miniworld.datasets.{name}")
        counts, dataset_jobs = draw.build(root / name, seed, size)
        jobs += dataset_jobs
        markers.append((root / name / MINIWORLD_MARKER, counts))
    done = 0
    with ProcessPoolExecutor(num_workers) as pool:
        for _ in pool.map(_run, jobs, chunksize=16):
            done += 1
            yield done / len(jobs)
    for path, counts in markers:
        marker = {**_identity(seed, size), "samples": counts}
        write_atomically(path, json.dumps(marker).encode())
        (path.parent / UNFINISHED_MARKER).unlink()


def _identity(seed: int, size: WorldSize) -> dict[str, Any]:
    return {"generator": GENERATOR_VERSION, "seed": seed, "size": json.loads(json.dumps(asdict(size)))}


def _is_complete(folder: Path, seed: int, size: WorldSize) -> bool:
    marker = folder / MINIWORLD_MARKER
    if not marker.is_file():
        if folder.is_dir() and any(folder.iterdir()) and not (folder / UNFINISHED_MARKER).exists():
            raise ValueError(f"{folder}: holds a dataset that is not the mini world; choose another folder")
        return False
    if difference := _difference(json.loads(marker.read_text()), _identity(seed, size)):
        raise ValueError(f"{folder}: holds another mini world ({difference}); choose another folder or remove this one")
    return True


def _difference(found: dict[str, Any], wanted: dict[str, Any]) -> str:
    """In what a mini world is another one, in words; empty if in nothing.

    Sizes that the marker does not have were added with later datasets and say nothing about its own.
    """
    for key in ("generator", "seed"):
        if found.get(key) != wanted[key]:
            return f"{key} {found.get(key)}, wanted {wanted[key]}"
    for key, number in found.get("size", {}).items():
        if number != wanted["size"].get(key):
            return f"{key} has size {number}, wanted {wanted['size'].get(key)}"
    return ""


def _run(job: FileTask) -> None:
    job.write(*job.arguments)
