"""Swapped prediction: each branch predicts the code of the other (SIGMA equation 6), without copies of scores or codes.

A code can be computed from its scores and K potentials, and the gradient of the loss from the scores.  The scores of
both branches (M x K each) are computed once.  Sinkhorn replaces them by their exponentials in place.  Codes, loss and
gradients are then computed from slices of rows, and the gradients replace the exponentials.  The peak is two matrices,
or three if epsilon is so small that Sinkhorn needs a copy (scores / epsilon that spread over more than 60).

Shapes: M masked tubes of this process, S rows of one slice, D target width, K prototypes.
"""

import math
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from sigma_bench.sigma.sinkhorn import Balance, balance_prototypes, row_slices
from sigma_bench.sigma.spec import ClusterObjective


class Potentials(NamedTuple):
    """Sinkhorn potentials of a whole batch, one number per prototype and branch; they determine all codes."""

    target_K: Tensor
    guess_K: Tensor


class SwappedLoss(NamedTuple):
    """The loss, and statistics of the codes over the samples of this process."""

    loss: Tensor
    usage_K: Tensor
    """Number of targets whose hard code is each prototype."""
    agreement: Tensor
    """Share of samples whose hard codes of target and prediction are equal."""


@torch.no_grad()
def balance(
    target_MD: Tensor,
    guess_MD: Tensor,
    prototype_KD: Tensor,
    objective: ClusterObjective,
    group: dist.ProcessGroup | None = None,
) -> Potentials:
    """Potentials of targets and predictions by Sinkhorn over the samples of all processes of ``group``.

    Args:
        target_MD, guess_MD: rows of unit length.
        prototype_KD: rows of unit length.
    """
    with torch.autocast(target_MD.device.type, enabled=False):
        balances = (
            _balance(_logits(feature_MD, prototype_KD, objective), objective, group)
            for feature_MD in (target_MD, guess_MD)
        )
        return Potentials(*(balance.potential_K for balance in balances))


def swapped_prediction(
    target_MD: Tensor,
    guess_MD: Tensor,
    prototype_KD: Tensor,
    objective: ClusterObjective,
    group: dist.ProcessGroup | None = None,
    potentials: Potentials | None = None,
) -> SwappedLoss:
    """Cross-entropy of predictions against the codes of targets, plus the reverse, as a mean over samples.

    Predictions get gradients from the first term, targets and prototypes from the second; codes, and the prototypes in
    the first term, are constants.  Under autocast, the matrix products of the backward pass have its type, as in other
    layers; scores and Sinkhorn do not.

    Args:
        target_MD, guess_MD, prototype_KD: rows of unit length.
        potentials: result of ``balance`` over the whole batch if the samples are a micro-batch.
    """
    device = target_MD.device.type
    slope_type = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else target_MD.dtype
    with torch.autocast(target_MD.device.type, enabled=False):
        parts = _SwappedPrediction.apply(target_MD, guess_MD, prototype_KD, objective, group, potentials, slope_type)
    return SwappedLoss(*parts)


class _SwappedPrediction(torch.autograd.Function):
    """Loss and gradients in one forward pass; backward only scales them."""

    @staticmethod
    def forward(
        ctx: Any,
        target_MD: Tensor,
        guess_MD: Tensor,
        prototype_KD: Tensor,
        objective: ClusterObjective,
        group: dist.ProcessGroup | None,
        potentials: Potentials | None,
        slope_type: torch.dtype,
    ) -> tuple[Tensor, Tensor, Tensor]:
        target_MK, guess_MK = (_logits(feature_MD, prototype_KD, objective) for feature_MD in (target_MD, guess_MD))
        if potentials is None:
            target, guess = (_balance(logit_MK, objective, group) for logit_MK in (target_MK, guess_MK))
        else:
            target, guess = (Balance(potential_K, exponentiated=False) for potential_K in potentials)
        loss, agreement = target_MD.new_zeros(()), target_MD.new_zeros(())
        usage_K = target_MD.new_zeros(len(prototype_KD))
        slices = zip(row_slices(target_MK), row_slices(guess_MK), strict=True)
        for target_SK, guess_SK in slices:
            target_code, guess_code = _code(target_SK, target, objective), _code(guess_SK, guess, objective)
            usage_K.index_add_(0, target_code.hard_S, torch.ones_like(target_SK[:, 0]))
            agreement += (target_code.hard_S == guess_code.hard_S).sum()
            loss += _cross_entropy_(guess_SK, guess.exponentiated, target_code, objective)
            loss += _cross_entropy_(target_SK, target.exponentiated, guess_code, objective)
        num_samples, wide = len(target_MD), target_MD.dtype
        scale = 1 / (objective.temperature * num_samples)
        grad_guess = (guess_MK.to(slope_type) @ prototype_KD.to(slope_type)).to(wide)
        del guess_MK, guess_SK, slices  # frees the memory for the following products
        target_MK = target_MK.to(slope_type)
        grad_target = (target_MK @ prototype_KD.to(slope_type)).to(wide)
        grad_prototype = (target_MK.T @ target_MD.to(slope_type)).to(wide)
        ctx.save_for_backward(*(gradient.mul_(scale) for gradient in (grad_target, grad_guess, grad_prototype)))
        agreement /= num_samples
        ctx.mark_non_differentiable(usage_K, agreement)
        return loss / num_samples, usage_K, agreement

    @staticmethod
    def backward(ctx: Any, grad_loss: Tensor, *unused: Tensor) -> tuple[Tensor | None, ...]:
        return *(gradient * grad_loss for gradient in ctx.saved_tensors), None, None, None, None


def _logits(feature_MD: Tensor, prototype_KD: Tensor, objective: ClusterObjective) -> Tensor:
    """Scores / epsilon, (M, K)."""
    return (feature_MD / objective.epsilon) @ prototype_KD.T


def _balance(logit_MK: Tensor, objective: ClusterObjective, group: dist.ProcessGroup | None) -> Balance:
    """Balance logits, whose absolute value is at most 1 / epsilon, since rows and prototypes have unit length."""
    bound = 1 / objective.epsilon
    return balance_prototypes(logit_MK, bound=bound, num_iterations=objective.sinkhorn_iterations, group=group)


class _Code(NamedTuple):
    hard_S: Tensor
    soft_SK: Tensor | None
    """None for hard codes."""


def _code(part_SK: Tensor, balance: Balance, objective: ClusterObjective) -> _Code:
    if balance.exponentiated:
        potential_K = balance.potential_K - balance.potential_K.max()
        balanced_SK = part_SK * potential_K.exp().to(part_SK.dtype)
    else:
        balanced_SK = part_SK + balance.potential_K.to(part_SK.dtype)
    hard_S = balanced_SK.argmax(1)
    if objective.codes == "hard":
        return _Code(hard_S, None)
    return _Code(hard_S, F.normalize(balanced_SK, p=1) if balance.exponentiated else balanced_SK.softmax(1))


def _cross_entropy_(part_SK: Tensor, exponentiated: bool, code: _Code, objective: ClusterObjective) -> Tensor:
    """Sum of the cross-entropy over a slice, which is replaced in place by the gradient for score / temperature."""
    power = objective.epsilon / objective.temperature
    if exponentiated and power <= 1:  # a power above 1 could leave the range
        part_SK.pow_(power)
        prob_SK = part_SK.div_(part_SK.sum(1, keepdim=True))
    else:
        logit_SK = part_SK.log_() if exponentiated else part_SK
        prob_SK = torch.softmax(logit_SK.mul_(power), 1, out=part_SK)
    if code.soft_SK is not None:
        loss = -torch.xlogy(code.soft_SK, prob_SK).sum()
        prob_SK -= code.soft_SK
        return loss
    chosen = code.hard_S[:, None]
    loss = -prob_SK.gather(1, chosen).log().sum()
    prob_SK.scatter_add_(1, chosen, prob_SK.new_full((len(chosen), 1), -1.0))
    return loss


def usage_entropy(usage_K: Tensor) -> Tensor:
    """Entropy of the usage of prototypes relative to uniform usage: 1 if all are used equally, 0 if only one is."""
    share_K = usage_K / usage_K.sum()
    return torch.special.entr(share_K).sum() / math.log(len(share_K))
