"""One pretraining step of SIGMA: swapped cluster prediction (equations 3-6).

A step knows nothing of optimisers, ranks, meters or files.

Shapes: B clips, N tubes, M masked tubes, D target width, E encoder width.
"""

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor

from sigma_bench.sigma.model import SigmaModel
from sigma_bench.sigma.spec import ClusterObjective
from sigma_bench.sigma.swapped import Potentials, balance, swapped_prediction, usage_entropy
from sigma_bench.training.step import StepOutput, feature_std, unit_features


def sigma_step(
    model: SigmaModel,
    clip_BCTHW: Tensor,
    mask_BN: Tensor,
    objective: ClusterObjective,
    group: dist.ProcessGroup | None = None,
    potentials: Potentials | None = None,
) -> StepOutput:
    """Swapped prediction between what the video model guesses and what the projector (or a teacher) sees.

    ``potentials`` are given where this is a micro-batch; they were balanced over the whole batch.
    """
    target_MD = unit_features(model.project(clip_BCTHW, mask_BN))
    visible_BVE = model.encode(clip_BCTHW, ~mask_BN)
    guess_MD = unit_features(model.decode(visible_BVE, mask_BN))
    prototype_KD = model.prototypes.unit()
    swapped = swapped_prediction(target_MD, guess_MD, prototype_KD, objective, group, potentials)
    monitors = {
        "usage_entropy": usage_entropy(swapped.usage_K),
        "code_agreement": swapped.agreement,
        "feature_std": feature_std(visible_BVE),
    }
    return StepOutput(swapped.loss, monitors)


@torch.no_grad()
def balance_micro_batches(
    model: SigmaModel,
    micro_batches: Sequence[tuple[Tensor, Tensor]],
    objective: ClusterObjective,
    group: dist.ProcessGroup | None = None,
) -> Potentials:
    """Potentials of a batch in micro-batches (clip, mask): equipartition is over the whole batch."""
    features = [
        (
            unit_features(model.project(clip_BCTHW, mask_BN)),
            unit_features(model.decode(model.encode(clip_BCTHW, ~mask_BN), mask_BN)),
        )
        for clip_BCTHW, mask_BN in micro_batches
    ]
    target_MD, guess_MD = (torch.cat(branch) for branch in zip(*features, strict=True))
    return balance(target_MD, guess_MD, model.prototypes.unit(), objective, group)
