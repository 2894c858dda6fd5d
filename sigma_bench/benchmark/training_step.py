"""Time of one pretraining step of a recipe, compared with the plain computation of the same networks."""

import time
from collections.abc import Callable
from itertools import pairwise
from statistics import median
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from sigma_bench.benchmark.plain_networks import PlainNetworks, plain_optimiser
from sigma_bench.benchmark.result_table import BenchmarkResult, circumstances
from sigma_bench.data.tube_masking import draw_mask
from sigma_bench.specs.masked_video import MaskedVideoRecipe
from sigma_bench.specs.recipe import IMAGENET_MEAN, IMAGENET_STD, Recipe
from sigma_bench.training.accumulation import autocast
from sigma_bench.training.distribution import keep_freed_memory
from sigma_bench.training.masked_video import MaskedVideoMethod
from sigma_bench.training.method import build_method

COMPARABLE = ("sigma_mlp", "videomae")
"""Objectives whose networks ``benchmark/plain_networks.py`` computes."""
PARTS = ("forward and loss", "backward", "optimiser")
WARM_UP_ROUNDS = 2
PEAK_SIZES = {"cpu": 2048, "cuda": 8192}

Precision = Literal["float32", "bfloat16"]


class Step(NamedTuple):
    """A method with its optimiser, whose learning rate is 0, so that all rounds do the same work."""

    method: MaskedVideoMethod
    optimiser: torch.optim.Optimizer

    def seconds(self, clip_BCTHW: Tensor, mask_BN: Tensor, precision: Precision) -> list[float]:
        """Seconds of each part of one step."""
        device = clip_BCTHW.device
        self.method.zero_grad(set_to_none=True)
        moments = [_now(device)]
        with autocast(device, precision == "bfloat16"):
            loss = self.method.step(clip_BCTHW, mask_BN).loss
        moments.append(_now(device))
        loss.backward()
        moments.append(_now(device))
        self.optimiser.step()
        moments.append(_now(device))
        return [end - start for start, end in pairwise(moments)]


def measure_step(
    recipe: Recipe,
    *,
    batch_size: int,
    rounds: int,
    precision: Precision,
    device: torch.device,
    report: Callable[[int], None] = lambda rounds: None,
) -> BenchmarkResult:
    """Measure both computations in alternation on random clips of the recipe's size.

    Args:
        report: is called with the number of finished rounds, of ``WARM_UP_ROUNDS + rounds``.

    Raises:
        ValueError: the recipe has no plain computation.
    """
    recipe, before = require_comparable(recipe), circumstances()
    if device.type == "cpu":
        keep_freed_memory()
    ours, plain = build_steps(recipe, device)
    clip_BCTHW, mask_BN = random_batch(recipe, batch_size, device)
    times = _alternated({"ours": ours, "plain": plain}, (clip_BCTHW, mask_BN), rounds, precision, report)
    rows = tuple(
        _row(part, [parts[index] for parts in times["plain"]], [parts[index] for parts in times["ours"]])
        for index, part in enumerate((*PARTS, "step"))
    )
    step_seconds = median(parts[-1] for parts in times["ours"])
    return BenchmarkResult(
        name=f"step_{recipe.recipe}_{precision}",
        title=f"One pretraining step: {recipe.recipe}, {precision}, {batch_size} clips, {device.type}",
        method=(
            "The step of training and a plain computation of the same networks alternate in one process. Times are "
            f"medians of {rounds} rounds after {WARM_UP_ROUNDS} for warm-up. The ratio is the median (lowest, highest) "
            "of the ratios of each round."
        ),
        rows=rows,
        remarks=(
            f"speed: {batch_size / step_seconds:.2f} clips/s",
            _share_of_peak(ours, clip_BCTHW, mask_BN, step_seconds, precision),
            *_peak_memory({"ours": ours, "plain": plain}, (clip_BCTHW, mask_BN), precision),
        ),
        num_threads=torch.get_num_threads(),
        **before,
    )


def _alternated(
    sides: dict[str, Step],
    batch: tuple[Tensor, Tensor],
    rounds: int,
    precision: Precision,
    report: Callable[[int], None],
) -> dict[str, list[list[float]]]:
    """Seconds of each part and of the step, by side and round, without the rounds for warm-up."""
    times: dict[str, list[list[float]]] = {name: [] for name in sides}
    for index in range(WARM_UP_ROUNDS + rounds):
        for name in list(sides) if index % 2 else reversed(sides):
            parts = sides[name].seconds(*batch, precision)
            if index >= WARM_UP_ROUNDS:
                times[name].append([*parts, sum(parts)])
        report(index + 1)
    return times


def _peak_memory(sides: dict[str, Step], batch: tuple[Tensor, Tensor], precision: Precision) -> tuple[str, ...]:
    """A sentence about the memory of one step of each side on a GPU; none on the CPU."""
    device, peaks = batch[0].device, []
    if device.type != "cuda":
        return ()
    for name, side in sides.items():
        torch.cuda.reset_peak_memory_stats(device)
        held = torch.cuda.memory_allocated(device)
        side.seconds(*batch, precision)
        peaks.append(f"{name} {(torch.cuda.max_memory_allocated(device) - held) / 2**20:,.0f} MiB")
    return (f"peak memory of a step, besides weights, gradients and states of the optimiser: {', '.join(peaks)}",)


def require_comparable(recipe: Recipe) -> MaskedVideoRecipe:
    """The recipe, if its networks have a plain computation.

    Raises:
        ValueError: they have none.
    """
    if not isinstance(recipe, MaskedVideoRecipe) or recipe.objective.kind not in COMPARABLE:
        raise ValueError(
            f"recipe '{recipe.recipe}' ({recipe.objective.kind}) cannot be compared with a plain computation; choose a "
            "SIGMA-MLP or VideoMAE recipe"
        )
    return recipe


def build_steps(recipe: MaskedVideoRecipe, device: torch.device) -> tuple[Step, Step]:
    """The step of training and its plain counterpart, both with weights of seed 0."""
    steps = []
    for is_plain in (False, True):
        method = build_method(recipe, seed=0).to(device)
        assert isinstance(method, MaskedVideoMethod)
        optimiser = method.build_optimiser()
        if is_plain:
            method.model = PlainNetworks(method.model)  # type: ignore[assignment]  # it has what a step uses
            optimiser = plain_optimiser(optimiser)
        steps.append(Step(method, optimiser))
    return steps[0], steps[1]


def random_batch(recipe: MaskedVideoRecipe, batch_size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Normalised random clips (B, C, T, H, W), and masks (B, N) of the recipe."""
    encoder, generator = recipe.encoder, torch.Generator().manual_seed(0)
    size = (batch_size, 3, encoder.num_frames, encoder.image_size, encoder.image_size)
    mean, std = (torch.tensor(values).view(3, 1, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    clip_BCTHW = (torch.rand(size, generator=generator) - mean) / std
    masks = [draw_mask(recipe.mask, clip.transpose(0, 1), encoder.grid(), generator) for clip in clip_BCTHW]
    return clip_BCTHW.to(device), torch.stack(masks).to(device)


def matmul_flops(step: Step, clip_BCTHW: Tensor, mask_BN: Tensor) -> int:
    """Floating-point operations of all matrix products of one step, forward and backward; attention counts as two
    products."""
    counter = FlopCounterMode(display=False)
    with sdpa_kernel(SDPBackend.MATH), counter:
        step.method.step(clip_BCTHW, mask_BN).loss.backward()
    return counter.get_total_flops()


def _share_of_peak(step: Step, clip_BCTHW: Tensor, mask_BN: Tensor, seconds: float, precision: Precision) -> str:
    device, dtype = clip_BCTHW.device, torch.bfloat16 if precision == "bfloat16" else torch.float32
    size, flops = PEAK_SIZES[device.type], matmul_flops(step, clip_BCTHW, mask_BN)
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    seconds_of_product = []
    for _ in range(10):
        start = _now(device)
        torch.mm(left, right)
        seconds_of_product.append(_now(device) - start)
    peak = 2 * size**3 / min(seconds_of_product)
    return (
        f"matrix products: {flops / 1e9:.1f} GFLOP, which take {1000 * flops / peak:.0f} ms at the measured peak of "
        f"{peak / 1e9:.0f} GFLOP/s; the step reaches {flops / peak / seconds:.0%} of the peak"
    )


def _row(part: str, plain: list[float], ours: list[float]) -> dict[str, str | float | None]:
    ratios = [p / o for p, o in zip(plain, ours, strict=True)]
    return {
        "part": part,
        "plain, ms": 1000 * median(plain),
        "ours, ms": 1000 * median(ours),
        "plain / ours": f"{median(ratios):.2f} ({min(ratios):.2f}, {max(ratios):.2f})",
    }


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
