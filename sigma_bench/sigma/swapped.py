"""Swapped prediction: each branch predicts the other's code (SIGMA equation 6), without storing scores or codes.

Scores are a product of unit features and unit prototypes, and a code follows from its scores and K potentials, so
both are recomputed a slice of samples at a time, loss and gradient together.  Memory: one M x K matrix while
the potentials are found, then a few slices of ``SLICE_ELEMENTS`` numbers; the plain formulation holds about eight
matrices.  Price: each score is computed twice.

Shapes: M masked tubes of this process, S of one slice, D target width, K prototypes.
"""

import math
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from sigma_bench.sigma.sinkhorn import prototype_potential
from sigma_bench.specs.recipe import ClusterObjective

SLICE_ELEMENTS = {"cpu": 2**20, "cuda": 2**26}
"""Scores of one slice: 4 MiB stay in a processor's cache, 256 MiB fill a GPU."""


class Potentials(NamedTuple):
    """What the balanced assignment of a whole batch comes down to: a number per prototype and branch, each (K,)."""

    target_K: Tensor
    guess_K: Tensor


class SwappedLoss(NamedTuple):
    """The loss and, over this process's samples, what its codes look like."""

    loss: Tensor
    usage_K: Tensor
    """How many targets chose each prototype."""
    agreement: Tensor
    """Share of samples whose two hard codes are the same."""


def unit_features(feature: Tensor) -> Tensor:
    """Rows of unit length, (B, M, D) -> (B * M, D), in float32 or wider whatever the autocast says."""
    with torch.autocast(feature.device.type, enabled=False):
        wide = feature if feature.dtype == torch.float64 else feature.float()
        return F.normalize(wide.flatten(0, -2), dim=1)


@torch.no_grad()
def balance(
    target_MD: Tensor,
    guess_MD: Tensor,
    prototype_KD: Tensor,
    objective: ClusterObjective,
    group: dist.ProcessGroup | None = None,
) -> Potentials:
    """Sinkhorn over all samples of all processes of ``group``, for targets and for guesses; unit rows expected."""
    with torch.autocast(target_MD.device.type, enabled=False):
        return Potentials(
            *(
                prototype_potential(
                    partial(torch.mm, feature_MD, prototype_KD.T),
                    epsilon=objective.epsilon,
                    num_iterations=objective.sinkhorn_iterations,
                    group=group,
                )
                for feature_MD in (target_MD, guess_MD)
            )
        )


def swapped_prediction(
    target_MD: Tensor, guess_MD: Tensor, prototype_KD: Tensor, potentials: Potentials, objective: ClusterObjective
) -> SwappedLoss:
    """Cross-entropy of the guesses against the targets' codes plus the reverse, mean over the samples.

    Gradients: targets and prototypes get theirs from the second term, guesses from the first; codes and the
    prototypes that guesses are scored against are constants.
    """
    with torch.autocast(target_MD.device.type, enabled=False):
        return SwappedLoss(*_SwappedPrediction.apply(target_MD, guess_MD, prototype_KD, potentials, objective))


class _SwappedPrediction(torch.autograd.Function):
    """Loss and gradients of all slices in one forward pass; backward only scales them."""

    @staticmethod
    def forward(
        ctx: Any,
        target_MD: Tensor,
        guess_MD: Tensor,
        prototype_KD: Tensor,
        potentials: Potentials,
        objective: ClusterObjective,
    ) -> tuple[Tensor, Tensor, Tensor]:
        num_samples, num_prototypes = len(target_MD), len(prototype_KD)
        rows = max(1, SLICE_ELEMENTS[target_MD.device.type if target_MD.is_cuda else "cpu"] // num_prototypes)
        scale = 1 / (objective.temperature * num_samples)
        loss, agreement = target_MD.new_zeros(()), target_MD.new_zeros(())
        usage_K = target_MD.new_zeros(num_prototypes)
        grad_target, grad_guess = torch.empty_like(target_MD), torch.empty_like(guess_MD)
        grad_prototype = torch.zeros_like(prototype_KD)
        for start in range(0, num_samples, rows):
            part = slice(start, start + rows)
            target_score = target_MD[part] @ prototype_KD.T
            guess_score = guess_MD[part] @ prototype_KD.T
            target_code = _code(target_score, potentials.target_K, objective)
            guess_code = _code(guess_score, potentials.guess_K, objective)
            usage_K.index_add_(0, target_code.hard_S, torch.ones_like(target_MD[part, 0]))
            agreement += (target_code.hard_S == guess_code.hard_S).sum()
            slope_SK = _cross_entropy_(loss, guess_score, target_code, objective.temperature)
            torch.mm(slope_SK, prototype_KD, out=grad_guess[part])
            slope_SK = _cross_entropy_(loss, target_score, guess_code, objective.temperature)
            torch.mm(slope_SK, prototype_KD, out=grad_target[part])
            grad_prototype.addmm_(slope_SK.T, target_MD[part])
        gradients = (grad_target, grad_guess, grad_prototype)
        ctx.save_for_backward(*(gradient.mul_(scale) for gradient in gradients))
        agreement /= num_samples
        ctx.mark_non_differentiable(usage_K, agreement)
        return loss / num_samples, usage_K, agreement

    @staticmethod
    def backward(ctx: Any, grad_loss: Tensor, *unused: Tensor) -> tuple[Tensor | None, ...]:
        return *(gradient * grad_loss for gradient in ctx.saved_tensors), None, None


class _Code(NamedTuple):
    hard_S: Tensor
    soft_SK: Tensor | None
    """Absent where hard codes are asked for."""


def _code(score_SK: Tensor, potential_K: Tensor, objective: ClusterObjective) -> _Code:
    logit_SK = torch.add(potential_K.to(score_SK.dtype), score_SK, alpha=1 / objective.epsilon)
    hard_S = logit_SK.argmax(1)
    return _Code(hard_S, logit_SK.softmax(1) if objective.codes == "soft" else None)


def _cross_entropy_(loss: Tensor, score_SK: Tensor, code: _Code, temperature: float) -> Tensor:
    """Add the slice's summed cross-entropy to ``loss``; its slope with respect to score / temperature, in place."""
    log_prob_SK = torch.log_softmax(score_SK.div_(temperature), 1)
    if code.soft_SK is None:
        chosen = code.hard_S[:, None]
        loss -= log_prob_SK.gather(1, chosen).sum()
        slope_SK = log_prob_SK.exp_()
        return slope_SK.scatter_add_(1, chosen, -torch.ones_like(slope_SK[:, :1]))
    loss -= (log_prob_SK * code.soft_SK).sum()
    return log_prob_SK.exp_().sub_(code.soft_SK)


def usage_entropy(usage_K: Tensor) -> Tensor:
    """Entropy of the prototypes' shares over that of an even one: 1 when all are used alike, 0 when one is."""
    share_K = usage_K / usage_K.sum()
    return torch.special.entr(share_K).sum() / math.log(len(share_K))
