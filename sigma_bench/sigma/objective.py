"""One pretraining step: swapped cluster prediction (SIGMA equations 3-6) or pixel regression (VideoMAE).

A step knows nothing of optimisers, ranks, meters or files.

Shapes: B clips, N tubes, M masked tubes, D target width, E encoder width.
"""

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from sigma_bench.sigma.model import MaskedVideoModel, SigmaModel
from sigma_bench.sigma.step import StepOutput
from sigma_bench.sigma.swapped import Potentials, balance, swapped_prediction, unit_features, usage_entropy
from sigma_bench.specs.recipe import ClusterObjective, SigmaObjective, VideoMaeObjective


def sigma_step(
    model: SigmaModel,
    clip_BCTHW: Tensor,
    mask_BN: Tensor,
    objective: ClusterObjective,
    group: dist.ProcessGroup | None = None,
    potentials: Potentials | None = None,
) -> StepOutput:
    """Swapped prediction between what the video model guesses and what the projector (or a teacher) sees.

    ``potentials`` are given where this is a piece of a larger batch over which they were balanced.
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


def videomae_step(model: MaskedVideoModel, clip_BCTHW: Tensor, mask_BN: Tensor) -> StepOutput:
    """Mean squared error between guessed and normalised pixels of the masked tubes."""
    target_BMP = model.masked_pixels(clip_BCTHW, mask_BN)
    visible_BVE = model.encode(clip_BCTHW, ~mask_BN)
    guess_BMP = model.decode(visible_BVE, mask_BN)
    loss = F.mse_loss(guess_BMP.to(target_BMP.dtype), target_BMP)
    return StepOutput(loss, {"feature_std": feature_std(visible_BVE)})


def pretraining_step(
    model: MaskedVideoModel,
    clip_BCTHW: Tensor,
    mask_BN: Tensor,
    objective: SigmaObjective | VideoMaeObjective,
    group: dist.ProcessGroup | None = None,
    potentials: Potentials | None = None,
) -> StepOutput:
    """The step that belongs to the objective."""
    if isinstance(objective, ClusterObjective):
        assert isinstance(model, SigmaModel)
        return sigma_step(model, clip_BCTHW, mask_BN, objective, group, potentials)
    return videomae_step(model, clip_BCTHW, mask_BN)


@torch.no_grad()
def balance_pieces(
    model: SigmaModel,
    pieces: list[tuple[Tensor, Tensor]],
    objective: ClusterObjective,
    group: dist.ProcessGroup | None = None,
) -> Potentials:
    """Potentials of a batch that comes in pieces (clip, mask): equipartition is over all of it, not over a piece."""
    features = [
        (
            unit_features(model.project(clip_BCTHW, mask_BN)),
            unit_features(model.decode(model.encode(clip_BCTHW, ~mask_BN), mask_BN)),
        )
        for clip_BCTHW, mask_BN in pieces
    ]
    target_MD, guess_MD = (torch.cat(branch) for branch in zip(*features, strict=True))
    return balance(target_MD, guess_MD, model.prototypes.unit(), objective, group)


@torch.no_grad()
def feature_std(token_BVE: Tensor) -> Tensor:
    """Spread of the tokens' directions: mean over channels of their deviation, times sqrt(E).

    Near 1 when directions fill the space, 0 when all tokens are the same (SimSiam, arXiv 2011.10566, figure 2).
    """
    unit_ME = unit_features(token_BVE)
    return unit_ME.std(0).mean() * unit_ME.shape[1] ** 0.5
