"""Balanced cluster assignments by Sinkhorn-Knopp (SIGMA section 3.2; SwAV, arXiv 2006.09882).

Samples are softly assigned to prototypes so that every prototype receives the same mass over the
GLOBAL batch.  The iteration is kept as two scaling vectors around one exponentiated score matrix,
``code = diag(sample_scale) E diag(prototype_scale)``, which gives the same numbers as rewriting the
whole matrix 2 x iterations times at half the cost.

Range: scores are shifted by their per-prototype maxima, then by their per-sample maxima, before the
exponential, so every row and column of E keeps an entry that cannot underflow.  Should the scaling
vectors still leave float32's range (tiny epsilon, extreme scores), the same iteration is run in the
log domain.

Shapes: M samples of this process, K prototypes.
"""

import math

import torch
import torch.distributed as dist
from torch import Tensor


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
        ValueError: epsilon is not positive or a score is not finite.
    """
    if epsilon <= 0:
        raise ValueError(f"epsilon must be positive, got {epsilon}")
    with torch.autocast(score_MK.device.type, enabled=False):  # it would round the mat-vec products to half precision
        score_MK = score_MK if score_MK.dtype == torch.float64 else score_MK.float()
        logit_MK = score_MK / epsilon
        code_MK = _by_scaling_vectors(logit_MK, num_iterations, group)
        if not _everywhere_finite(code_MK, group):
            if not _everywhere_finite(score_MK, group):
                raise ValueError("scores are not finite; the model has diverged")
            code_MK = _by_logarithms(logit_MK, num_iterations, group)
    return code_MK


def _by_scaling_vectors(logit_MK: Tensor, num_iterations: int, group: dist.ProcessGroup | None) -> Tensor:
    num_prototypes = logit_MK.shape[1]
    num_samples = _global_count(logit_MK, group)
    shifted = logit_MK - _reduce(logit_MK.amax(0), dist.ReduceOp.MAX, group)
    row_max_M = shifted.amax(1)
    kernel_MK = shifted.sub_(row_max_M[:, None]).exp_()
    # The released iteration starts from the unscaled matrix, so the row shift goes into the first scale.
    sample_scale_M = row_max_M.exp()
    for _ in range(num_iterations):
        mass_K = _reduce(kernel_MK.T @ sample_scale_M, dist.ReduceOp.SUM, group)
        prototype_scale_K = 1 / (num_prototypes * mass_K)
        sample_scale_M = 1 / (num_samples * (kernel_MK @ prototype_scale_K))
    code_MK = kernel_MK.mul_(prototype_scale_K)
    return code_MK.div_(code_MK.sum(1, keepdim=True))


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
    return (logit_MK + log_prototype_K).softmax(1)


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
