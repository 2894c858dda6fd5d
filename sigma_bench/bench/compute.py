"""Matrix-product work of a step, and the machine's peak at it: the floor below which no step of this size can go.

Counted are matrix products only, forward and backward, with attention written out as two of them: what a fused
kernel recomputes is not counted.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from sigma_bench.bench.timing import seconds_of

PEAK_SIZES = {"cpu": 2048, "cuda": 8192}
PEAK_ROUNDS = 10

Shape = tuple[int, ...]


def count_flops(run: Callable[[], object]) -> int:
    """Floating-point operations of all matrix products of one call (a multiplication and an addition are two)."""
    not_counted_by_torch: dict[Any, Any] = {torch.ops.aten.addmm_: _added_product, torch.ops.aten.mv: _vector_product}
    counter = FlopCounterMode(display=False, custom_mapping=not_counted_by_torch)
    with sdpa_kernel(SDPBackend.MATH), counter:
        run()
    return counter.get_total_flops()


def matmul_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Operations per second of a large square product: the best of several calls, the first not counted."""
    size = PEAK_SIZES[device.type]
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    out = torch.empty_like(left)
    times = [seconds_of(lambda: torch.mm(left, right, out=out), device) for _ in range(PEAK_ROUNDS + 1)]
    return 2 * size**3 / min(times[1:])


def _added_product(total: Shape, left: Shape, right: Shape, *unused: object, **also_unused: object) -> int:
    """``total += left @ right``."""
    return 2 * left[0] * left[1] * right[1]


def _vector_product(matrix: Shape, *unused: object, **also_unused: object) -> int:
    return 2 * matrix[0] * matrix[1]
