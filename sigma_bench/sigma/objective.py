"""One pretraining step of SIGMA: swapped cluster prediction (equations 3-6).

Optimisers, logging and files are in ``training/``.

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
    """Swapped prediction between predicted features of masked tubes and their targets from the projector or a teacher.

    Args:
        clip_BCTHW: normalised clips.
        mask_BN: True for masked tubes.
        group: processes that share the batch; None means one process.
        potentials: result of ``balance_micro_batches`` if the clips are a micro-batch.

    Returns:
        The loss, and the monitors ``usage_entropy``, ``code_agreement`` and ``feature_std``.
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
    """Sinkhorn potentials of a whole batch that is given as micro-batches (clip, mask)."""
    features = [
        (
            unit_features(model.project(clip_BCTHW, mask_BN)),
            unit_features(model.decode(model.encode(clip_BCTHW, ~mask_BN), mask_BN)),
        )
        for clip_BCTHW, mask_BN in micro_batches
    ]
    target_MD, guess_MD = (torch.cat(branch) for branch in zip(*features, strict=True))
    return balance(target_MD, guess_MD, model.prototypes.unit(), objective, group)
