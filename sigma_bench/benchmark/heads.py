"""Time and memory of kNN and of a grid of linear heads on many features, with the code of the protocols.

The features are random: a centre per class plus noise.  They are files that are mapped into memory, as in the cache.
Each protocol runs in a process of its own, so that its peak memory is its own.

Shapes: S samples, Q queries, D width, L classes.
"""

import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import faiss
import numpy as np
import torch

from sigma_bench.benchmark.result_table import BenchmarkResult, circumstances
from sigma_bench.metrics.accuracy import top1
from sigma_bench.protocols.classification import TrainFeatures
from sigma_bench.protocols.features import SplitFeatures
from sigma_bench.protocols.head_grid import chosen_scores
from sigma_bench.protocols.linear.run import fit_heads
from sigma_bench.protocols.neighbours import knn_votes
from sigma_bench.specs.catalogue import load_task, resolve

NOISE = 4.0
"""Standard deviation of a feature around the centre of its class; that of the centres is 1."""
ROWS_AT_ONCE = 8192
TASKS = ("kinetics400/knn", "kinetics400/linear")


class BankSize(NamedTuple):
    """Number and width of the features, and number of classes."""

    samples: int
    queries: int
    width: int
    classes: int


def measure_heads(size: BankSize, threads: int, folder: Path, report: Callable[[str], None]) -> BenchmarkResult:
    """Write features to ``folder`` and run both protocols on them; ``report`` is called with the part that begins."""
    before = circumstances()
    report("writing features")
    for name, number, seed in (("train", size.samples, 0), ("test", size.queries, 1)):
        write_features(folder / f"{name}.npy", number, size, seed)
    rows = []
    for task in TASKS:
        report(task)
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            rows.append(pool.apply(_row, (task, size, threads, folder)))
    bank = (folder / "train.npy").stat().st_size / 2**20
    return BenchmarkResult(
        name="heads",
        title=f"Evaluating {size.samples:,} features of width {size.width} with {size.queries:,} queries",
        method=(
            f"Random features of {size.classes} classes in a mapped file of {bank:,.0f} MiB, whose pages count as "
            "resident memory once they are read. Measured once."
        ),
        rows=tuple(rows),
        num_threads=threads,
        **before,
    )


def write_features(path: Path, number: int, size: BankSize, seed: int) -> None:
    """Write features (number, D) float32, whose class is their index modulo the number of classes."""
    centre_LD = np.random.default_rng(0).standard_normal((size.classes, size.width), np.float32)
    rng = np.random.default_rng([1, seed])
    feature_SD = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(number, size.width))
    for start in range(0, number, ROWS_AT_ONCE):
        some = feature_SD[start : start + ROWS_AT_ONCE]
        some[:] = NOISE * rng.standard_normal(some.shape, np.float32)
        some += centre_LD[np.arange(start, start + len(some)) % size.classes]


def _row(task: str, size: BankSize, threads: int, folder: Path) -> dict[str, str | float | None]:
    torch.set_num_threads(threads)
    faiss.omp_set_num_threads(threads)
    train, test = (SplitFeatures(np.load(folder / f"{name}.npy", mmap_mode="r"), {}) for name in ("train", "test"))
    everything, query_index = np.arange(size.samples), np.arange(size.queries)
    train_features = TrainFeatures(train, everything, everything % size.classes, everything, size.classes)
    before, clock, cpu = _peak_mebibytes(), time.monotonic(), time.process_time()
    protocol: Any = resolve(load_task(task)).protocol
    if protocol.kind == "knn":
        score_QL = knn_votes(train.feature_SD, train_features.label_S, test.feature_SD, size.classes, protocol)
        work = f"{protocol.neighbours} neighbours"
    else:

        def fit(places, settings):
            return fit_heads(train_features, places, settings, protocol, 0, torch.device("cpu"))

        score_QL, selection = chosen_scores(fit, train_features, test, query_index, protocol, 0)
        work = f"{len(selection.grid)} heads, {protocol.epochs} epochs, the best once more"
    return {
        "task": task,
        "work": work,
        "seconds": time.monotonic() - clock,
        "CPU seconds": time.process_time() - cpu,
        "peak, MiB": _peak_mebibytes(),
        "of which libraries, MiB": before,
        "top-1, %": 100 * float(top1(query_index % size.classes, score_QL.argmax(1))),
    }


def _peak_mebibytes() -> float:
    """Highest resident memory of this process so far, on Linux.

    ``getrusage`` would include the memory of the process that started this one.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024
