"""Balanced cluster assignments by Sinkhorn-Knopp (SIGMA section 3.2; SwAV, arXiv 2006.09882).

Samples are softly assigned to prototypes so that every prototype receives the same mass over the
GLOBAL batch.  The iteration is kept as two scaling vectors around one exponentiated score matrix,
``code = diag(sample_scale) E diag(prototype_scale)``, which gives the same numbers as rewriting the
whole matrix 2 x iterations times at half the cost.

All that the iteration leaves behind is one number per prototype, its potential (the logarithm of its
scale): the code of any sample is ``softmax(score / epsilon + potential)``.  So codes need not be
stored, and a batch computed in micro-batches or on many processes shares K numbers, not M x K.

Range: scores are shifted by their maximum before the exponential unless they are known to be small.  Where they
spread over more than float32 can hold, they are shifted by their per-prototype maxima and then their per-sample
maxima, so that every row and column of E keeps an entry that cannot underflow.  Should the scaling vectors still
leave the range (tiny epsilon, extreme scores), the same iteration is run in the log domain.

Shapes: M samples of this process, K prototypes.
"""

import math
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from sigma_bench.training.step import DivergedError

SAFE_SPREAD = 60.0
"""Logits that spread less have exponentials, and products of them with scales, well inside float32's range."""
SLICE_ELEMENTS = {"cpu": 2**19, "cuda": 2**26}
"""Numbers of one slice: 2 MiB, 256 MiB."""


@torch.no_grad()
def sinkhorn(
    score_MK: Tensor, *, epsilon: float, num_iterations: int = 10, group: dist.ProcessGroup | None = None
) -> Tensor:
    """Codes (M, K): each sample's row sums to 1, each prototype's mass is (nearly) M_global / K.

    Args:
        score_MK: cosine scores of this process's samples, any floating type; computed in float32
            (float64 stays float64).
        epsilon: entropy temperature, > 0; the released recipes use 0.05 and 0.03.
        num_iterations: alternations of prototype and sample scaling; 10 as released.
        group: processes that share the batch; None means this process alone.

    Raises:
        ValueError: epsilon is not positive or a score is not a number.
    """
    if epsilon <= 0:
        raise ValueError(f"epsilon must be positive, got {epsilon}")
    wide_MK = score_MK if score_MK.dtype == torch.float64 else score_MK.float()
    potential_K, _ = balance_prototypes(wide_MK / epsilon, num_iterations=num_iterations, group=group)
    return (wide_MK.double() / epsilon + potential_K).softmax(1).to(wide_MK.dtype)


class Balance(NamedTuple):
    """What the iteration leaves behind."""

    potential_K: Tensor
    """float64; a sample's code is ``softmax(logit + potential)``."""
    exponentiated: bool
    """Whether the matrix now holds ``exp(logit + constant)``; otherwise it is as it was."""


@torch.no_grad()
def balance_prototypes(
    logit_MK: Tensor, *, bound: float = math.inf, num_iterations: int = 10, group: dist.ProcessGroup | None = None
) -> Balance:
    """The potential of each prototype.

    Args:
        logit_MK: scores / epsilon in float32 or float64; also the iteration's workspace, so that no second matrix is
            needed unless the logits spread over more than ``SAFE_SPREAD``.
        bound: what no logit exceeds in absolute value, where that is known and saves looking for the largest.

    Raises:
        DivergedError: a logit is not a number.
    """
    with torch.autocast(logit_MK.device.type, enabled=False):  # it would round the mat-vec products to half precision
        top, spread = logit_MK.new_zeros(()), 2 * bound
        if spread >= SAFE_SPREAD:
            top, spread = _top_and_spread(logit_MK, group)
        if spread < SAFE_SPREAD:
            mass_K = torch.zeros_like(logit_MK[0])
            for part_SK in row_slices(logit_MK):
                mass_K += part_SK.sub_(top).exp_().sum(0)
            potential_K = _by_scaling_vectors(logit_MK, mass_K, num_iterations, group) - top
        else:
            potential_K = _over_a_wide_range(logit_MK.clone(), num_iterations, group)
            if not _everywhere_finite(potential_K, group):
                potential_K = _by_logarithms(logit_MK, num_iterations, group)
        if not _everywhere_finite(potential_K, group):
            raise DivergedError("scores are not finite; the model has diverged")
    return Balance(potential_K, exponentiated=spread < SAFE_SPREAD)


def _top_and_spread(logit_MK: Tensor, group: dist.ProcessGroup | None) -> tuple[Tensor, float]:
    low, top = logit_MK.aminmax()
    top = _reduce(top, dist.ReduceOp.MAX, group)
    return top, float(top + _reduce(-low, dist.ReduceOp.MAX, group))


def _over_a_wide_range(logit_MK: Tensor, num_iterations: int, group: dist.ProcessGroup | None) -> Tensor:
    column_max_K = _reduce(logit_MK.amax(0), dist.ReduceOp.MAX, group)
    logit_MK -= column_max_K
    row_max_M = logit_MK.amax(1)
    logit_MK.sub_(row_max_M[:, None]).exp_()
    # The released iteration starts from the unscaled matrix, so the row shift goes into the first scale.
    return _by_scaling_vectors(logit_MK, row_max_M.exp() @ logit_MK, num_iterations, group) - column_max_K


def _by_scaling_vectors(
    kernel_MK: Tensor, mass_K: Tensor, num_iterations: int, group: dist.ProcessGroup | None
) -> Tensor:
    """Logarithms of the prototypes' last scales, float64, from the prototypes' masses before any scaling.

    A sweep over the rows scales the samples and sums their prototypes while a slice is in the cache.
    """
    num_samples, num_prototypes = _global_count(kernel_MK, group), kernel_MK.shape[1]
    for iteration in range(1, num_iterations + 1):
        prototype_scale_K = 1 / (num_prototypes * _reduce(mass_K, dist.ReduceOp.SUM, group))
        if iteration < num_iterations:  # the last scaling of the samples is part of the code's softmax
            mass_K = torch.zeros_like(mass_K)
            for kernel_SK in row_slices(kernel_MK):
                sample_scale_S = 1 / (num_samples * (kernel_SK @ prototype_scale_K))
                mass_K += sample_scale_S @ kernel_SK
    return prototype_scale_K.double().log()


def row_slices(matrix_MK: Tensor) -> tuple[Tensor, ...]:
    """Consecutive rows of a matrix, few enough to stay in a processor's cache, or to fill a GPU."""
    limit = SLICE_ELEMENTS["cuda" if matrix_MK.is_cuda else "cpu"]
    return matrix_MK.split(max(1, limit // matrix_MK.shape[1]))


def _by_logarithms(logit_MK: Tensor, num_iterations: int, group: dist.ProcessGroup | None) -> Tensor:
    log_share_K = -math.log(logit_MK.shape[1])
    log_share_M = -math.log(_global_count(logit_MK, group))
    log_sample_M = torch.zeros_like(logit_MK[:, 0])
    for _ in range(num_iterations):
        weighted = logit_MK + log_sample_M[:, None]
        top_K = _reduce(weighted.amax(0), dist.ReduceOp.MAX, group)
        mass_K = _reduce((weighted - top_K).exp().sum(0), dist.ReduceOp.SUM, group)
        log_prototype_K = log_share_K - top_K - mass_K.log()
        log_sample_M = log_share_M - (logit_MK + log_prototype_K).logsumexp(1)
    return log_prototype_K.double()


def _reduce(value: Tensor, operation: dist.ReduceOp.RedOpType, group: dist.ProcessGroup | None) -> Tensor:
    if group is not None:
        dist.all_reduce(value, op=operation, group=group)
    return value


def _global_count(score_MK: Tensor, group: dist.ProcessGroup | None) -> int:
    count = torch.tensor(len(score_MK), device=score_MK.device)
    return int(_reduce(count, dist.ReduceOp.SUM, group)) if group is not None else len(score_MK)


def _everywhere_finite(value: Tensor, group: dist.ProcessGroup | None) -> bool:
    finite = torch.isfinite(value).all().to(torch.int32)
    return bool(_reduce(finite, dist.ReduceOp.MIN, group))
