"""Damaged bytes of a video, an image or a list give one clear sentence.

A few mutations by default; ``SIGMA_BENCH_FUZZ=2000 pytest tests/data/test_fuzz.py`` makes that many.
"""

import multiprocessing
import os
import resource
import shutil
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import numpy as np
from pebble import ProcessExpired, ProcessPool

from sigma_bench.data.datasets import open_dataset
from sigma_bench.data.decoder import DecodeError
from sigma_bench.data.manifest import Sample
from sigma_bench.data.media_inspection import Medium, inspect
from sigma_bench.data.media_opening import open_media
from sigma_bench.specs.catalogue import dataset_names, load_dataset
from tests.conftest import SHARED_DATA

NUM_MUTATIONS = int(os.environ.get("SIGMA_BENCH_FUZZ", "60"))
SECONDS = 10
GROWTH_MIB = 200
MEDIA = {".mp4": "video", ".avi": "video", ".webm": "video", ".mkv": "video", ".mov": "video"}
MEDIA |= {".jpg": "image", ".png": "image"}
LISTS = (".txt", ".csv", ".json")
MAX_BYTES = 300_000


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """Bytes changed, removed, repeated, inserted, or cut off, more often near the beginning, where headers are."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 8))):
        if not data:
            break
        reach = len(data) if rng.random() < 0.5 else min(len(data), 600)
        place, length = int(rng.integers(reach)), int(rng.integers(1, 64))
        kind = int(rng.integers(5))
        if kind == 0:
            data[place] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            data[place : place + length] = rng.bytes(min(length, len(data) - place))
        elif kind == 2:
            del data[place : place + length]
        elif kind == 3:
            data[place:place] = data[place : place + length]
        elif rng.random() < 0.3:
            del data[place:]
    return bytes(data)


@lru_cache
def read_whole(source: Path) -> None:
    """The memory that an intact file of this size takes, measured once per process."""
    medium = Medium(source, MEDIA[source.suffix], None)
    inspect(medium, source.parent)
    with suppress(DecodeError):
        reader = open_media(Sample("x", source, medium.media, 0, group="x"))
        reader.frames([len(reader) - 1, 0])


def read_everything(source: Path, copy: Path, seed: int) -> tuple[str, float]:
    """The result of reading a mutated medium, and the memory it took beyond the intact one, in MiB."""
    read_whole(source)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    copy.write_bytes(mutated(source.read_bytes(), np.random.default_rng(seed)))
    media = MEDIA[source.suffix]
    problem = inspect(Medium(copy, media, None), copy.parent).problem
    outcomes = set()
    for is_sparse in (False, True):
        try:
            reader = open_media(Sample("x", copy, media, 0, group="x"), is_sparse=is_sparse)
            reader.frames([len(reader) - 1, 0])
            outcomes.add("read")
        except DecodeError as error:
            assert str(copy) in str(error)
            outcomes.add("refused")
    copy.unlink()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return f"{' or '.join(sorted(outcomes))}, {'broken' if problem else 'sound'}", grown


def open_mutated(root: Path, name: str, path: Path, seed: int) -> tuple[str, float]:
    """The same for an official list, which is read as part of a dataset."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    original = path.read_bytes()
    path.write_bytes(mutated(original, np.random.default_rng(seed)))
    try:
        open_dataset(load_dataset(name), root)
        outcome = "read"
    except ValueError as error:
        assert str(root) in str(error), error
        assert "\n" not in str(error)
        outcome = "refused"
    finally:
        path.write_bytes(original)
    return f"list {outcome}", (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def media_files(root: Path) -> list[Path]:
    found = [path for path in sorted(root.rglob("*")) if path.suffix in MEDIA]
    return [path for path in found if path.stat().st_size < MAX_BYTES]


def test_no_mutation_crashes_hangs_or_eats_memory(world: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(int(os.environ.get("SIGMA_BENCH_FUZZ_SEED", "0")))
    files = media_files(world) + 3 * media_files(SHARED_DATA / "clips")
    lists = []
    for name in dataset_names():
        home = load_dataset(name).home
        if (world / home).is_dir():
            names = [p for p in sorted((world / home).rglob("*")) if p.suffix in LISTS and p.name != "miniworld.json"]
            lists += [(name, home, path.relative_to(world / home)) for path in names]
    context = multiprocessing.get_context("forkserver")
    outcomes: dict[str, int] = {}
    with ProcessPool(max_workers=2, context=context) as pool:
        jobs = []
        for number in range(NUM_MUTATIONS):
            if number % 4 == 3:
                name, home, relative = lists[int(rng.integers(len(lists)))]
                root = tmp_path / f"{number}"
                _copy_lists(world / home, root / home)
                job = pool.schedule(open_mutated, args=(root, name, root / home / relative, number), timeout=SECONDS)
                what = f"{home}/{relative}"
            else:
                source = files[int(rng.integers(len(files)))]
                copy = tmp_path / f"{number}{source.suffix}"
                job = pool.schedule(read_everything, args=(source, copy, number), timeout=SECONDS)
                what = str(source)
            jobs.append((f"mutation {number} of {what}", job))
        for what, job in jobs:
            try:
                outcome, grown = job.result()
            except (ProcessExpired, TimeoutError) as error:
                raise AssertionError(f"{what}: {error!r}") from error
            assert grown < GROWTH_MIB, what
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
    assert sum(outcomes.values()) == NUM_MUTATIONS
    assert outcomes.get("refused, broken", 0) > 0


def _copy_lists(source: Path, target: Path) -> None:
    """The lists of a dataset; its media are links."""
    for path in source.rglob("*"):
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in LISTS:
            shutil.copyfile(path, copy)
