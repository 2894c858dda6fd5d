"""One pretraining step: swapped cluster prediction (SIGMA equations 3-6) or pixel regression (VideoMAE).

A step knows nothing of optimisers, ranks, meters or files.

Shapes: B clips, N tubes, M masked tubes of the batch, K prototypes.
"""

from dataclasses import dataclass

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from sigma_bench.sigma.model import MaskedVideoModel, SigmaModel
from sigma_bench.sigma.sinkhorn import sinkhorn
from sigma_bench.specs.recipe import SigmaMlpObjective, VideoMaeObjective


@dataclass(frozen=True)
class StepOutput:
    """The loss to minimise and, for SIGMA, how many prototypes the targets use."""

    loss: Tensor
    prototypes_used: Tensor | None = None


def sigma_step(
    model: SigmaModel,
    clip_BCTHW: Tensor,
    mask_BN: Tensor,
    objective: SigmaMlpObjective,
    group: dist.ProcessGroup | None = None,
) -> StepOutput:
    """Swapped prediction between what the video model guesses and what the projector sees."""
    target_BMD = model.project(clip_BCTHW, mask_BN)
    guess_BMD = model.decode(model.encode(clip_BCTHW, ~mask_BN), mask_BN)
    target_scores, guess_scores = model.prototypes.score(target_BMD, guess_BMD)
    target_code, guess_code = (
        sinkhorn(scores.detach(), epsilon=objective.epsilon, num_iterations=objective.sinkhorn_iterations, group=group)
        for scores in (target_scores, guess_scores)
    )
    loss = swapped_cross_entropy(guess_scores, target_code, target_scores, guess_code, objective)
    return StepOutput(loss, prototypes_used=target_code.argmax(1).unique().numel() * torch.ones(()))


def swapped_cross_entropy(
    guess_scores: Tensor,
    target_code: Tensor,
    target_scores: Tensor,
    guess_code: Tensor,
    objective: SigmaMlpObjective,
) -> Tensor:
    """Each branch predicts the other's code (SIGMA equation 6); scores and codes are (M, K)."""
    codes = [target_code, guess_code]
    if objective.codes == "hard":
        codes = [code.argmax(1) for code in codes]
    guess_loss = F.cross_entropy(guess_scores / objective.temperature, codes[0])
    return guess_loss + F.cross_entropy(target_scores / objective.temperature, codes[1])


def videomae_step(model: MaskedVideoModel, clip_BCTHW: Tensor, mask_BN: Tensor) -> StepOutput:
    """Mean squared error between guessed and normalised pixels of the masked tubes."""
    target = model.masked_pixels(clip_BCTHW, mask_BN)
    guess = model.decode(model.encode(clip_BCTHW, ~mask_BN), mask_BN)
    return StepOutput(F.mse_loss(guess.to(target.dtype), target))


def pretraining_step(
    model: MaskedVideoModel,
    clip_BCTHW: Tensor,
    mask_BN: Tensor,
    objective: SigmaMlpObjective | VideoMaeObjective,
    group: dist.ProcessGroup | None = None,
) -> StepOutput:
    """The step that belongs to the objective."""
    if isinstance(objective, SigmaMlpObjective):
        assert isinstance(model, SigmaModel)
        return sigma_step(model, clip_BCTHW, mask_BN, objective, group)
    return videomae_step(model, clip_BCTHW, mask_BN)
