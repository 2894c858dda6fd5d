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


Codes = tuple[Tensor, Tensor]
"""Balanced assignments (M, K) of the target branch and of the guesses."""


def sigma_step(
    model: SigmaModel,
    clip_BCTHW: Tensor,
    mask_BN: Tensor,
    objective: SigmaMlpObjective,
    group: dist.ProcessGroup | None = None,
    codes: Codes | None = None,
) -> StepOutput:
    """Swapped prediction between what the video model guesses and what the projector sees.

    ``codes`` are given where this is a piece of a larger batch over which they were balanced.
    """
    target_scores, guess_scores = both_scores(model, clip_BCTHW, mask_BN)
    target_code, guess_code = codes or balanced_codes(target_scores, guess_scores, objective, group)
    loss = swapped_cross_entropy(guess_scores, target_code, target_scores, guess_code, objective)
    return StepOutput(loss, prototypes_used=target_code.argmax(1).unique().numel() * torch.ones(()))


def both_scores(model: SigmaModel, clip_BCTHW: Tensor, mask_BN: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine scores against the prototypes, each (M, K): of the projected targets and of the guesses."""
    target_BMD = model.project(clip_BCTHW, mask_BN)
    guess_BMD = model.decode(model.encode(clip_BCTHW, ~mask_BN), mask_BN)
    return model.prototypes.score(target_BMD, guess_BMD)


def balanced_codes(
    target_scores: Tensor, guess_scores: Tensor, objective: SigmaMlpObjective, group: dist.ProcessGroup | None
) -> Codes:
    """Sinkhorn's assignments of both branches, without gradient."""
    target_code, guess_code = (
        sinkhorn(scores.detach(), epsilon=objective.epsilon, num_iterations=objective.sinkhorn_iterations, group=group)
        for scores in (target_scores, guess_scores)
    )
    return target_code, guess_code


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
    codes: Codes | None = None,
) -> StepOutput:
    """The step that belongs to the objective."""
    if isinstance(objective, SigmaMlpObjective):
        assert isinstance(model, SigmaModel)
        return sigma_step(model, clip_BCTHW, mask_BN, objective, group, codes)
    return videomae_step(model, clip_BCTHW, mask_BN)


def accumulate_gradients(
    model: MaskedVideoModel,
    clip_BCTHW: Tensor,
    mask_BN: Tensor,
    objective: SigmaMlpObjective | VideoMaeObjective,
    num_pieces: int = 1,
) -> StepOutput:
    """Add the gradients of one global batch, computed in pieces so that it need not fit into memory at once.

    Equipartition is over the global batch, so for SIGMA the codes of all pieces are balanced together in a first
    pass without gradient; the result is that of one piece up to rounding, for a third more work.
    """
    pieces = list(zip(clip_BCTHW.chunk(num_pieces), mask_BN.chunk(num_pieces), strict=True))
    codes: list[Codes | None] = [None] * len(pieces)
    if isinstance(objective, SigmaMlpObjective) and len(pieces) > 1:
        assert isinstance(model, SigmaModel)
        with torch.no_grad():
            scores = [both_scores(model, clip, mask) for clip, mask in pieces]
        whole = balanced_codes(torch.cat([t for t, _ in scores]), torch.cat([g for _, g in scores]), objective, None)
        sizes = [len(target) for target, _ in scores]
        codes = list(zip(whole[0].split(sizes), whole[1].split(sizes), strict=True))
    outputs = []
    for (clip, mask), piece_codes in zip(pieces, codes, strict=True):
        out = pretraining_step(model, clip, mask, objective, codes=piece_codes)
        share = len(clip) / len(clip_BCTHW)
        (out.loss * share).backward()
        outputs.append(StepOutput(out.loss.detach() * share, out.prototypes_used))
    # Prototypes are counted in the last piece; with one piece, which is the rule, in all of the batch.
    return StepOutput(torch.stack([out.loss for out in outputs]).sum(), outputs[-1].prototypes_used)
