"""One pretraining step of SIGMA: swapped cluster prediction (equations 3-6).

Shapes: B clips, N tubes, M masked tubes (of one clip in (B, M, W), of all clips elsewhere), W target width, V visible
tubes, E encoder width, K prototypes; in clips: C colours, T frames, H W pixels.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from sigma_bench.sigma.model import SigmaModel
from sigma_bench.sigma.sinkhorn import sinkhorn
from sigma_bench.sigma.spec import ClusterObjective
from sigma_bench.training.step import StepOutput, feature_std


class Codes(NamedTuple):
    """Assignments of the masked tubes: indices of prototypes, (M,), or soft assignments, (M, K)."""

    target: Tensor
    guess: Tensor


def sigma_step(
    model: SigmaModel,
    clip_BCTHW: Tensor,
    mask_BN: Tensor,
    objective: ClusterObjective,
    group: dist.ProcessGroup | None = None,
    codes: Codes | None = None,
) -> StepOutput:
    """Predict the assignments of the targets from the video model's output, and vice versa.

    The loss has two terms: ``loss_guess`` trains the video model, ``loss_target`` the target branch and the prototypes.

    Args:
        clip_BCTHW: normalised clips.
        mask_BN: True for masked tubes.
        group: processes that share the batch; None means one process.
        codes: assignments of these clips if they are a micro-batch, see ``batch_codes``.

    Returns:
        The loss, and the monitors ``usage_entropy``, ``code_agreement`` and ``feature_std``.
    """
    target_BMW = model.project(clip_BCTHW, mask_BN)  # an MLP on masked pixels, or a frozen image model
    visible_BVE = model.encode(clip_BCTHW, ~mask_BN)
    guess_BMW = model.decode(visible_BVE, mask_BN)
    target_score_MK, guess_score_MK = model.prototypes.scores(target_BMW, guess_BMW)
    codes = codes or Codes(assign(target_score_MK, objective, group), assign(guess_score_MK, objective, group))
    loss_guess = F.cross_entropy(guess_score_MK / objective.temperature, codes.target)
    loss_target = F.cross_entropy(target_score_MK / objective.temperature, codes.guess)
    return StepOutput(loss_guess + loss_target, monitors(codes, objective) | {"feature_std": feature_std(visible_BVE)})


def assign(score_MK: Tensor, objective: ClusterObjective, group: dist.ProcessGroup | None = None) -> Tensor:
    """Assignments of samples to prototypes, balanced over the batch: indices (M,), or soft assignments (M, K)."""
    code_MK = sinkhorn(score_MK, epsilon=objective.epsilon, num_iterations=objective.sinkhorn_iterations, group=group)
    return code_MK.argmax(1) if objective.codes == "hard" else code_MK.to(score_MK.dtype)


@torch.no_grad()
def batch_codes(
    model: SigmaModel,
    micro_batches: Sequence[tuple[Tensor, Tensor]],
    objective: ClusterObjective,
    group: dist.ProcessGroup | None = None,
) -> list[Codes]:
    """The codes of each micro-batch (clip, mask), balanced over the whole batch."""
    scores = [
        model.prototypes.scores(model.project(clip, mask), model.decode(model.encode(clip, ~mask), mask))
        for clip, mask in micro_batches
    ]
    sizes = [len(target_score_MK) for target_score_MK, _ in scores]
    branches = (assign(torch.cat(branch), objective, group).split(sizes) for branch in zip(*scores, strict=True))
    return [Codes(target, guess) for target, guess in zip(*branches, strict=True)]


def monitors(codes: Codes, objective: ClusterObjective) -> dict[str, Tensor]:
    """Entropy of the usage of prototypes relative to uniform usage (1: all are used equally, 0: only one is used), and
    the share of tubes whose target and prediction are assigned to the same prototype."""
    target_M, guess_M = (code if code.ndim == 1 else code.argmax(1) for code in codes)
    share_M = torch.full_like(target_M, 1 / len(target_M), dtype=torch.float32)
    usage_K = share_M.new_zeros(objective.num_prototypes).index_add_(0, target_M, share_M)
    entropy = torch.special.entr(usage_K).sum() / math.log(objective.num_prototypes)
    return {"usage_entropy": entropy, "code_agreement": (target_M == guess_M).float().mean()}
