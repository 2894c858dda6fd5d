"""The rows of a benchmark's tables, for a terminal and for Markdown."""

from collections.abc import Iterator

from sigma_bench.bench.result import Comparison, StepBenchmark

COLUMNS = ("", "sizes", "plain, ms", "ours, ms", "plain / ours", "range")
PAGE = """# One pretraining step: {title}

Ours against a plain formulation of the same mathematics, on one model. Whole steps and their phases alternate in
processes of their own, the parts below them in one. Times are medians of {rounds} rounds after warm-up; ratios are
medians of per-round ratios (range: lowest to highest).

{table}

{facts}
"""


def title(result: StepBenchmark) -> str:
    """What was measured, in a line."""
    return f"{result.recipe}, {result.precision}, batch {result.batch_size}, {result.device}"


def slug(result: StepBenchmark) -> str:
    """Name of the files of a result; they state the hardware inside."""
    return f"step_{result.recipe}_{result.precision}"


def rows(result: StepBenchmark) -> Iterator[tuple[str, ...]]:
    """One row per phase, the whole steps, then one per part."""
    for comparison in (*result.phases, *result.steps, *result.pieces):
        yield _row(comparison)


def facts(result: StepBenchmark) -> Iterator[tuple[str, str]]:
    """Label and sentence of everything that is not a time."""
    plain, ours = result.clips_per_second
    yield "speed", f"{ours:.2f} clips/s, plain {plain:.2f}"
    memory, compute = result.loss_head_memory, result.compute
    if memory is not None:
        yield (
            "loss-head memory",
            f"{memory.ours_units:.2f} matrices of {result.num_masked} x {result.num_prototypes} float32 "
            f"({memory.unit_bytes / 2**20:.1f} MiB each), plain {memory.plain_units:.2f}",
        )
    yield (
        "floor",
        f"{compute.flops / 1e9:.1f} GFLOP of matrix products at the measured peak of "
        f"{compute.peak_flops_per_second / 1e9:.0f} GFLOP/s take {compute.floor_ms:.0f} ms; "
        f"ours reaches {compute.ours_reached:.0%} of it, plain {compute.plain_reached:.0%}",
    )
    yield "machine", f"{result.hardware}; {result.num_threads} threads, torch {result.versions['torch']}"
    commit = f"commit {result.commit[:12]}{' with changes' if result.dirty else ''}, " if result.commit else ""
    yield "when", f"{commit}{result.started_utc}"


def markdown(result: StepBenchmark) -> str:
    """A page with the table and the facts."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---|---|---:|---:|---:|---|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows(result)]
    listed = "\n".join(f"- {label}: {sentence}" for label, sentence in facts(result))
    return PAGE.format(title=title(result), rounds=result.rounds, table="\n".join(lines), facts=listed)


def _row(comparison: Comparison) -> tuple[str, ...]:
    ratio = comparison.ratio
    return (
        comparison.name,
        comparison.sizes,
        f"{comparison.plain_ms:.1f}",
        f"{comparison.ours_ms:.1f}",
        f"{ratio.median:.2f}",
        f"{ratio.low:.2f} to {ratio.high:.2f}",
    )
