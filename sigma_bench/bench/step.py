"""One pretraining step of a recipe, ours against the plain formulation, on random clips of the recipe's size."""

from collections.abc import Callable
from statistics import median

import torch

from sigma_bench.bench.alternation import Seconds, Setting, Side, time_steps
from sigma_bench.bench.compute import count_flops, matmul_peak
from sigma_bench.bench.pieces import Piece, loss_head, loss_head_inputs, pieces
from sigma_bench.bench.plain import COMPARABLE
from sigma_bench.bench.result import (
    PHASES,
    Comparison,
    Compute,
    LossHeadMemory,
    Precision,
    StepBenchmark,
    circumstances,
)
from sigma_bench.bench.sides import Batch, comparable_method, make_batch, our_loss
from sigma_bench.bench.timing import Run, alternate, extra_bytes
from sigma_bench.sigma.model import SigmaModel
from sigma_bench.sigma.spec import ClusterObjective
from sigma_bench.specs.masked_video import MaskedVideoRecipe
from sigma_bench.specs.recipe import Recipe
from sigma_bench.training.accumulation import autocast
from sigma_bench.training.masked_video import MaskedVideoMethod

FLOAT32_BYTES = 4
MEMORY_ROUNDS = 4
"""The smallest of so many is taken: what the heap had lying around can only add."""

Report = Callable[[str, int, int], None]
"""Called with what is being measured, how much of it is done, and of how much."""


def measure_step(
    recipe: Recipe,
    *,
    batch_size: int,
    rounds: int,
    precision: Precision,
    device: torch.device,
    report: Report = lambda name, done, total: None,
) -> StepBenchmark:
    """Measure a recipe's step, its parts, its loss head's memory and its distance from the matrix-product floor.

    Raises:
        ValueError: a recipe of a method without a plain formulation.
    """
    before = circumstances()
    recipe = require_comparable(recipe)
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        method = comparable_method(recipe).to(device)
        batch = make_batch(recipe, batch_size, device)
        memory = loss_head_memory(method, batch)  # first: what else runs leaves memory in the heap
        setting = Setting(recipe, batch_size, device, torch.get_num_threads())
        times = time_steps(_sides(dtype, device), setting, rounds, lambda done, total: report("step", done, total))
        parts = tuple(_compare(piece, rounds, device, dtype, report) for piece in pieces(method, batch, dtype))
        report("floor", 0, 1)
        compute = _compute(step_flops(method, batch), matmul_peak(device, dtype), times)
    report("floor", 1, 1)
    return StepBenchmark(
        recipe=recipe.recipe,
        precision=precision,
        batch_size=batch_size,
        rounds=rounds,
        num_masked=int(batch.mask_BN.sum()),
        num_prototypes=recipe.objective.num_prototypes if isinstance(recipe.objective, ClusterObjective) else None,
        phases=_phases(times),
        steps=_steps(times),
        pieces=parts,
        loss_head_memory=memory,
        compute=compute,
        device=device.type,
        num_threads=torch.get_num_threads(),
        **before,
    )


def require_comparable(recipe: Recipe) -> MaskedVideoRecipe:
    """The recipe, if there is a plain formulation of it.

    Raises:
        ValueError: there is none.
    """
    if not isinstance(recipe, MaskedVideoRecipe) or recipe.objective.kind not in COMPARABLE:
        raise ValueError(
            f"recipe '{recipe.recipe}' ({recipe.objective.kind}) has no plain formulation to be compared with; "
            "choose a SIGMA-MLP or VideoMAE recipe"
        )
    return recipe


def step_flops(method: MaskedVideoMethod, batch: Batch) -> int:
    """Matrix-product operations of one of our steps, forward and backward."""
    method.zero_grad(set_to_none=True)
    flops = count_flops(lambda: our_loss(method, batch, lambda name: None).backward())
    method.zero_grad(set_to_none=True)
    return flops


def loss_head_memory(method: MaskedVideoMethod, batch: Batch) -> LossHeadMemory | None:
    """Peak extra memory of the loss head on fixed features, both ways, in float32."""
    model, objective = method.model, method.recipe.objective
    if not isinstance(model, SigmaModel):
        return None
    assert isinstance(objective, ClusterObjective)
    target_MW, guess_MW = loss_head_inputs(model, batch.mask_BN)
    head = loss_head(model, target_MW, guess_MW, objective)
    measured = [[extra_bytes(run, target_MW.device) for _ in range(MEMORY_ROUNDS)] for run in (head.plain, head.ours)]
    plain, ours = (min(size for size in sizes if size is not None) if all(sizes) else None for sizes in measured)
    if plain is None or ours is None:
        return None
    unit = FLOAT32_BYTES * len(target_MW) * objective.num_prototypes
    return LossHeadMemory(unit_bytes=unit, plain_units=plain / unit, ours_units=ours / unit)


def _compare(piece: Piece, rounds: int, device: torch.device, dtype: torch.dtype, report: Report) -> Comparison:
    """Each call has an autocast of its own, since one keeps the weights it has cast."""

    def cast(run: Run) -> Run:
        def run_cast() -> None:
            with autocast(device, dtype == torch.bfloat16):
                run()

        return run_cast

    report(piece.name, 0, 1)
    times = alternate(cast(piece.plain), cast(piece.ours), rounds, device)
    report(piece.name, 1, 1)
    return Comparison.of(piece.name, piece.sizes, *times)


def _sides(dtype: torch.dtype, device: torch.device) -> dict[str, Side]:
    """Ours as training runs it, and plain as it is, with the one setting of ours that is not about mathematics, and
    in float32 (half precision is no longer the same mathematics, and what it gains is asked for too).
    """
    is_cpu = device.type == "cpu"
    sides = {"plain": Side(False, dtype, False), "ours": Side(True, dtype, is_cpu)}
    if is_cpu:
        sides["plain keeping freed memory"] = Side(False, dtype, True)
    if dtype == torch.bfloat16:
        sides["plain in float32"] = Side(False, torch.float32, False)
    return sides


def _phases(times: dict[str, list[Seconds]]) -> tuple[Comparison, ...]:
    both = (times["plain"], times["ours"])
    return tuple(Comparison.of(name, "", *([step[name] for step in steps] for steps in both)) for name in PHASES)


def _steps(times: dict[str, list[Seconds]]) -> tuple[Comparison, ...]:
    """Every other side against ours; the first, plain, is the step without further words."""
    others = [name for name in times if name != "ours"]
    return tuple(
        Comparison.of(f"step, {name}" if index else "step", "", *(_whole_steps(times[n]) for n in (name, "ours")))
        for index, name in enumerate(others)
    )


def _whole_steps(times: list[Seconds]) -> list[float]:
    return [sum(seconds.values()) for seconds in times]


def _compute(flops: int, peak: float, times: dict[str, list[Seconds]]) -> Compute:
    floor = flops / peak
    plain, ours = (median(_whole_steps(times[side])) for side in ("plain", "ours"))
    return Compute(
        flops=flops,
        peak_flops_per_second=peak,
        floor_ms=1000 * floor,
        plain_reached=floor / plain,
        ours_reached=floor / ours,
    )
