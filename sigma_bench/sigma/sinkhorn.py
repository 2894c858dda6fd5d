"""Balanced cluster assignments by the Sinkhorn-Knopp algorithm (SIGMA section 3.2; SwAV, arXiv 2006.09882).

Every sample is softly assigned to prototypes such that all prototypes receive the same mass over the global batch.
The released code rescales the whole matrix of exponentials twice per iteration.  Here the matrix stays as it is and two
vectors of scales are updated, which gives the same codes: ``diag(sample_scale) kernel diag(prototype_scale)``.

Cosine similarities divided by ``FLOAT32_EPSILON`` have exponentials and sums of exponentials in the range of float32,
and divided by ``MIN_EPSILON`` in that of float64.  A smaller epsilon than the first is therefore computed in float64.

Shapes: M samples of this process, K prototypes.
"""

import torch
import torch.distributed as dist
from torch import Tensor

from sigma_bench.sigma.spec import MIN_EPSILON
from sigma_bench.training.step import DivergedError

FLOAT32_EPSILON = 0.03


@torch.no_grad()
def sinkhorn(
    score_MK: Tensor, *, epsilon: float, num_iterations: int = 10, group: dist.ProcessGroup | None = None
) -> Tensor:
    """Codes (M, K), float32 or float64: the code of a sample sums to 1, the mass of a prototype is nearly M_global / K.

    Args:
        score_MK: cosine similarities of samples and prototypes, of any floating-point type.
        epsilon: entropy temperature, at least ``MIN_EPSILON``; the released recipes use 0.05 and 0.03.
        num_iterations: number of iterations, each of which rescales prototypes and then samples; 10 as released.
        group: processes that share the batch; None means one process.

    Raises:
        ValueError: epsilon is too small.
        DivergedError: a score is not finite.
    """
    if epsilon < MIN_EPSILON:
        raise ValueError(f"epsilon must be at least {MIN_EPSILON}, got {epsilon}")
    dtype = torch.promote_types(score_MK.dtype, torch.float32 if epsilon >= FLOAT32_EPSILON else torch.float64)
    kernel_MK = score_MK.to(dtype, copy=True).div_(epsilon).exp_()
    num_samples, num_prototypes = _total(kernel_MK.new_tensor(len(kernel_MK)), group), kernel_MK.shape[1]
    sample_scale_M = kernel_MK.new_ones(len(kernel_MK))
    with torch.autocast(score_MK.device.type, enabled=False):
        for _ in range(num_iterations):
            prototype_scale_K = 1 / (num_prototypes * _total(sample_scale_M @ kernel_MK, group))
            sample_scale_M = 1 / (num_samples * (kernel_MK @ prototype_scale_K))
    if not torch.isfinite(prototype_scale_K).all():  # the same on all processes
        raise DivergedError("scores are not finite; the model has diverged")
    return kernel_MK.mul_(prototype_scale_K).mul_(num_samples * sample_scale_M[:, None])


def _total(value: Tensor, group: dist.ProcessGroup | None) -> Tensor:
    """The sum over the processes of a group, in place."""
    if group is not None:
        dist.all_reduce(value, group=group)
    return value
