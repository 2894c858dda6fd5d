"""Cost of evaluating a large bank of features by kNN and by a grid of linear heads, with the code of the protocols.

The features are random: a centre per class plus noise, so that there is something to find.  They lie in files and are
mapped into memory, as the cache's are.  Each protocol runs in a process of its own, so that its peak is its own.

Shapes: S samples, Q queries, D width.
"""

import multiprocessing
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import faiss
import numpy as np
import torch

from sigma_bench.bench.timing import status_bytes
from sigma_bench.metrics.accuracy import top1
from sigma_bench.protocols.classification import TrainFeatures
from sigma_bench.protocols.features import SplitFeatures
from sigma_bench.protocols.head_grid import chosen_scores
from sigma_bench.protocols.linear.run import fit_heads
from sigma_bench.protocols.neighbours import knn_votes
from sigma_bench.records.provenance import capture, now
from sigma_bench.records.record import Provenance
from sigma_bench.specs.catalogue import load_task, resolve
from sigma_bench.specs.strict import Spec

NOISE = 4.0
"""Standard deviation of a feature round its class's centre; centres have 1."""
ROWS = 8192
"""Written at once."""
TASKS = ("kinetics400/knn", "kinetics400/linear")


class BankSize(NamedTuple):
    """How large the problem is."""

    samples: int
    queries: int
    width: int
    classes: int


class Cost(Spec):
    """One protocol on the whole bank."""

    task: str
    work: str
    seconds: float
    """As the clock on the wall says; more than it takes on a machine that others use."""
    cpu_seconds: float
    """Of all threads together."""
    peak_bytes: int
    """Highest resident memory of the process, pages of the mapped bank included."""
    start_bytes: int
    """Of that, what its libraries took before it began."""
    top1: float


class HeadsBenchmark(Spec):
    """Sizes, costs and the machine."""

    samples: int
    queries: int
    width: int
    classes: int
    bank_bytes: int
    num_threads: int
    costs: tuple[Cost, ...]
    provenance: Provenance


def measure_heads(size: BankSize, threads: int, folder: Path, report: Callable[[str], None]) -> HeadsBenchmark:
    """Write a bank below ``folder`` and run both protocols on it; ``report`` hears what begins and what it cost.

    Raises:
        ValueError: this system does not tell a process's peak memory.
    """
    if not sys.platform.startswith("linux"):
        raise ValueError("bench-heads reads peak memory as Linux tells it; run it there")
    started, clock = now(), time.monotonic()
    report("writing features")
    for name, number, seed in (("train", size.samples, 0), ("test", size.queries, 1)):
        write_features(folder / f"{name}.npy", number, size, seed)
    costs = []
    for task in TASKS:
        report(task)
        context = multiprocessing.get_context("spawn")
        with context.Pool(1) as pool:
            costs.append(pool.apply(_cost, (task, size, threads, folder)))
        report(f"{costs[-1].seconds:.0f} s, {costs[-1].peak_bytes / 2**20:.0f} MiB")
    return HeadsBenchmark(
        **size._asdict(),
        bank_bytes=(folder / "train.npy").stat().st_size,
        num_threads=threads,
        costs=tuple(costs),
        provenance=capture(started=started, seconds={"all": time.monotonic() - clock}),
    )


def write_features(path: Path, number: int, size: BankSize, seed: int) -> None:
    """Features whose class is their place modulo the number of classes, (number, D) float32."""
    centre_LD = np.random.default_rng(0).standard_normal((size.classes, size.width), np.float32)
    rng = np.random.default_rng([1, seed])
    rows = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(number, size.width))
    for start in range(0, number, ROWS):
        some = rows[start : start + ROWS]
        some[:] = NOISE * rng.standard_normal(some.shape, np.float32)
        some += centre_LD[np.arange(start, start + len(some)) % size.classes]


def markdown(result: HeadsBenchmark) -> str:
    """A page with the table and the machine."""
    lines = [
        f"# Judging {result.samples:,} features of width {result.width} with {result.queries:,} queries",
        "",
        f"Random features of {result.classes} classes in a mapped file of {result.bank_bytes / 2**20:.0f} MiB, whose "
        "pages count as resident once they are read. Measured once.",
        "",
        "| task | work | seconds | CPU seconds | peak, MiB | of it libraries, MiB | top-1 |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {cost.task} | {cost.work} | {cost.seconds:.0f} | {cost.cpu_seconds:.0f} | {cost.peak_bytes / 2**20:.0f} | "
        f"{cost.start_bytes / 2**20:.0f} | {100 * cost.top1:.1f} |"
        for cost in result.costs
    ]
    machine = result.provenance
    lines += ["", f"{machine.hardware}; {result.num_threads} threads; {machine.started_utc}", ""]
    return "\n".join(lines)


def _cost(task: str, size: BankSize, threads: int, folder: Path) -> Cost:
    torch.set_num_threads(threads)
    faiss.omp_set_num_threads(threads)
    train, test = (SplitFeatures(np.load(folder / f"{name}.npy", mmap_mode="r"), {}) for name in ("train", "test"))
    everything, query_index = np.arange(size.samples), np.arange(size.queries)
    train_features = TrainFeatures(train, everything, everything % size.classes, everything, size.classes)
    before, clock, cpu = status_bytes("VmHWM"), time.monotonic(), time.process_time()
    protocol: Any = resolve(load_task(task)).protocol
    if protocol.kind == "knn":
        score_QL = knn_votes(train.feature_SD, train_features.label_S, test.feature_SD, size.classes, protocol)
        work = f"{protocol.neighbours} neighbours"
    else:

        def fit(places, settings):
            return fit_heads(train_features, places, settings, protocol, 0, torch.device("cpu"))

        score_QL, selection = chosen_scores(fit, train_features, test, query_index, protocol, 0)
        work = f"{len(selection.grid)} heads, {protocol.epochs} epochs, the best once more"
    return Cost(
        task=task,
        work=work,
        seconds=time.monotonic() - clock,
        cpu_seconds=time.process_time() - cpu,
        peak_bytes=status_bytes("VmHWM"),
        start_bytes=before,
        top1=top1(query_index % size.classes, score_QL.argmax(1)),
    )
