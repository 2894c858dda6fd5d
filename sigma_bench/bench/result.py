"""What a benchmark of one recipe in one precision found: numbers, and everything they depend on.  Serialises to JSON.

Times are medians over rounds; ratios are medians of per-round ratios plain / ours, so above 1 ours is faster.
"""

from collections.abc import Sequence
from statistics import median
from typing import Any, Literal, Self

from sigma_bench.records import provenance
from sigma_bench.specs.strict import Spec

Precision = Literal["float32", "bfloat16"]
PHASES = ("forward", "loss", "backward", "optimiser")
"""Targets, encoder and decoder are ``forward``; scores, codes and cross-entropies are ``loss``.

Ours finds the gradient of the loss head together with the loss, so only their sum compares phase by phase.
"""


def circumstances() -> dict[str, Any]:
    """What a time depends on besides the code measured, by the names of a benchmark's fields."""
    captured = provenance.capture(started=provenance.now(), seconds={})
    return {key: getattr(captured, key) for key in ("hardware", "versions", "commit", "dirty", "started_utc")}


class Spread(Spec):
    """Median and extremes over rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """The spread of some numbers."""
        return cls(median=median(values), low=min(values), high=max(values))


class Comparison(Spec):
    """The same work done plainly and by us, in alternation."""

    name: str
    sizes: str
    """What it was measured on, such as ``2 x 1568 tokens``."""
    plain_ms: float
    ours_ms: float
    ratio: Spread
    """Plain over ours."""

    @classmethod
    def of(cls, name: str, sizes: str, plain: Sequence[float], ours: Sequence[float]) -> Self:
        """Compare seconds, round by round."""
        ratio = Spread.of([p / o for p, o in zip(plain, ours, strict=True)])
        return cls(name=name, sizes=sizes, plain_ms=1000 * median(plain), ours_ms=1000 * median(ours), ratio=ratio)


class LossHeadMemory(Spec):
    """Peak extra memory of scores, codes and cross-entropies, forward and backward, in float32."""

    unit_bytes: int
    """Bytes of one M x K matrix of float32."""
    plain_units: float
    ours_units: float


class Compute(Spec):
    """How near a step is to what this machine's matrix products allow."""

    flops: int
    """Of the matrix products of one of our steps, forward and backward."""
    peak_flops_per_second: float
    """Measured on a large square product in the same precision."""
    floor_ms: float
    """``flops / peak``: a step of matrix products only."""
    plain_reached: float
    ours_reached: float
    """Floor over time."""


class StepBenchmark(Spec):
    """One recipe in one precision on one machine."""

    recipe: str
    precision: Precision
    batch_size: int
    rounds: int
    num_masked: int
    """Masked tubes of the batch (M)."""
    num_prototypes: int | None
    phases: tuple[Comparison, ...]
    steps: tuple[Comparison, ...]
    """The whole step of ours against plain ones; the first is plain in the same precision and nothing else."""
    pieces: tuple[Comparison, ...]
    loss_head_memory: LossHeadMemory | None
    """None where there is no loss head (VideoMAE) or no way to measure it (a CPU without Linux)."""
    compute: Compute
    device: str
    hardware: str
    num_threads: int
    versions: dict[str, str]
    commit: str | None
    dirty: bool | None
    started_utc: str

    @property
    def clips_per_second(self) -> tuple[float, float]:
        """Plain and ours."""
        return 1000 * self.batch_size / self.steps[0].plain_ms, 1000 * self.batch_size / self.steps[0].ours_ms
