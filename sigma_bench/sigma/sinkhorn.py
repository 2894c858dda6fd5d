"""Balanced cluster assignments by Sinkhorn-Knopp (SIGMA section 3.2; SwAV, arXiv 2006.09882).

Samples are softly assigned to prototypes so that every prototype receives the same mass over the
GLOBAL batch.  The iteration is kept as two scaling vectors around one exponentiated score matrix,
``code = diag(sample_scale) E diag(prototype_scale)``, which gives the same numbers as rewriting the
whole matrix 2 x iterations times at half the cost.

All that the iteration leaves behind is one number per prototype, its potential (the logarithm of its
scale): the code of any sample is ``softmax(score / epsilon + potential)``.  So codes need not be
stored, and a batch computed in pieces or on many processes shares K numbers, not M x K.

Range: scores are shifted by their per-prototype maxima, then by their per-sample maxima, before the
exponential, so every row and column of E keeps an entry that cannot underflow.  Should the scaling
vectors still leave float32's range (tiny epsilon, extreme scores), the same iteration is run in the
log domain.

Shapes: M samples of this process, K prototypes.
"""

import math
from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor


class DivergedError(ValueError):
    """The numbers of a model are not finite any more."""


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
    score_MK = score_MK if score_MK.dtype == torch.float64 else score_MK.float()
    potential_K = prototype_potential(score_MK.clone, epsilon=epsilon, num_iterations=num_iterations, group=group)
    return (score_MK.double() / epsilon + potential_K).softmax(1).to(score_MK.dtype)


@torch.no_grad()
def prototype_potential(
    make_scores: Callable[[], Tensor],
    *,
    epsilon: float,
    num_iterations: int = 10,
    group: dist.ProcessGroup | None = None,
) -> Tensor:
    """Potential (K,) of each prototype, float64; a sample's code is ``softmax(score / epsilon + potential)``.

    ``make_scores`` gives this process's scores (M, K) in float32 or float64, to be overwritten: the one matrix
    held.  It is called a second time where the scaling vectors left the range of their numbers.
    """
    if epsilon <= 0:
        raise ValueError(f"epsilon must be positive, got {epsilon}")
    score_MK = make_scores()
    with torch.autocast(score_MK.device.type, enabled=False):  # it would round the mat-vec products to half precision
        potential_K = _by_scaling_vectors(score_MK.div_(epsilon), num_iterations, group)
        if not _everywhere_finite(potential_K, group):
            del score_MK
            logit_MK = make_scores().div_(epsilon)
            if not _everywhere_finite(logit_MK.sum(), group):
                raise DivergedError("scores are not finite; the model has diverged")
            potential_K = _by_logarithms(logit_MK, num_iterations, group)
    return potential_K


def _by_scaling_vectors(logit_MK: Tensor, num_iterations: int, group: dist.ProcessGroup | None) -> Tensor:
    num_prototypes = logit_MK.shape[1]
    num_samples = _global_count(logit_MK, group)
    column_max_K = _reduce(logit_MK.amax(0), dist.ReduceOp.MAX, group)
    logit_MK -= column_max_K
    row_max_M = logit_MK.amax(1)
    kernel_MK = logit_MK.sub_(row_max_M[:, None]).exp_()
    # The released iteration starts from the unscaled matrix, so the row shift goes into the first scale.
    sample_scale_M = row_max_M.exp()
    for _ in range(num_iterations):
        mass_K = _reduce(sample_scale_M @ kernel_MK, dist.ReduceOp.SUM, group)
        prototype_scale_K = 1 / (num_prototypes * mass_K)
        sample_scale_M = 1 / (num_samples * (kernel_MK @ prototype_scale_K))
    return prototype_scale_K.double().log() - column_max_K


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
