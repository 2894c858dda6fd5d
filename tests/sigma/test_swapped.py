"""The sliced loss against autograd on whole matrices, and what it says about its codes.

Shapes: M samples, D width, K prototypes.
"""

import math

import pytest
import torch
import torch.nn.functional as F

from sigma_bench.sigma.sinkhorn import SLICE_ELEMENTS, sinkhorn
from sigma_bench.sigma.spec import ClusterObjective
from sigma_bench.sigma.swapped import balance, swapped_prediction, usage_entropy
from sigma_bench.training.step import unit_features

SAMPLES, WIDTH, PROTOTYPES = 37, 8, 12


def objective(codes="hard"):
    return ClusterObjective(
        num_prototypes=PROTOTYPES, epsilon=0.05, sinkhorn_iterations=10, temperature=0.1, codes=codes
    )


def branches(seed=0, dtype=torch.float64):
    """Raw targets, guesses and unit prototypes, leaves of a graph."""
    generator = torch.Generator().manual_seed(seed)
    target, guess, prototype = (
        torch.randn(rows, WIDTH, generator=generator, dtype=dtype) for rows in (SAMPLES, SAMPLES, PROTOTYPES)
    )
    return target.requires_grad_(), guess.requires_grad_(), F.normalize(prototype, dim=1).requires_grad_()


def by_autograd(target, guess, prototype, codes):
    """Equation 6 on whole matrices, with torch's own cross-entropy."""
    target_score = F.normalize(target, dim=1) @ prototype.T
    guess_score = F.normalize(guess, dim=1) @ prototype.detach().T
    target_code, guess_code = (sinkhorn(score.detach(), epsilon=0.05) for score in (target_score, guess_score))
    if codes == "hard":
        target_code, guess_code = target_code.argmax(1), guess_code.argmax(1)
    loss = F.cross_entropy(target_score / 0.1, guess_code) + F.cross_entropy(guess_score / 0.1, target_code)
    return loss, target_code, guess_code


def by_slices(target, guess, prototype, codes):
    units = unit_features(target[None]), unit_features(guess[None])
    return swapped_prediction(*units, prototype, objective(codes))


@pytest.mark.parametrize("codes", ["hard", "soft"])
@pytest.mark.parametrize("slice_elements", [PROTOTYPES, 5 * PROTOTYPES, 2**20])
def test_loss_and_gradients_are_those_of_the_whole_matrices(codes, slice_elements, monkeypatch):
    monkeypatch.setitem(SLICE_ELEMENTS, "cpu", slice_elements)
    leaves = branches()
    expected = torch.autograd.grad(by_autograd(*leaves, codes)[0] * 3, leaves)
    loss = by_slices(*leaves, codes).loss
    torch.testing.assert_close(loss, by_autograd(*leaves, codes)[0], rtol=1e-12, atol=0)
    for found, wanted in zip(torch.autograd.grad(loss * 3, leaves), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("codes", ["hard", "soft"])
def test_micro_batches_with_the_potentials_of_the_whole_are_the_whole(codes):
    target, guess, prototype = branches()
    units = [unit_features(value[None]) for value in (target, guess)]
    potentials = balance(*(unit.detach() for unit in units), prototype.detach(), objective(codes))
    parts = [
        swapped_prediction(units[0][part], units[1][part], prototype, objective(codes), None, potentials).loss * share
        for part, share in ((slice(0, 10), 10 / SAMPLES), (slice(10, None), 27 / SAMPLES))
    ]
    torch.testing.assert_close(sum(parts), by_autograd(target, guess, prototype, codes)[0], rtol=1e-12, atol=0)


def test_usage_and_agreement_are_those_of_the_hard_codes():
    leaves = branches()
    _, target_code, guess_code = by_autograd(*leaves, "hard")
    result = by_slices(*leaves, "hard")
    assert result.usage_K.tolist() == torch.bincount(target_code, minlength=PROTOTYPES).tolist()
    assert float(result.agreement) == pytest.approx(float((target_code == guess_code).double().mean()))


def test_branches_that_agree_have_one_code():
    target, _, prototype = branches()
    assert float(by_slices(target, target, prototype, "hard").agreement) == 1


def test_bfloat16_features_are_compared_in_float32():
    leaves = branches(dtype=torch.float32)
    half = [leaf.detach().bfloat16() for leaf in leaves[:2]]
    with torch.autocast("cpu", torch.bfloat16):
        loss = by_slices(*half, leaves[2], "hard").loss
    assert loss.dtype == torch.float32
    expected = by_slices(*(value.float() for value in half), leaves[2], "hard").loss
    assert torch.equal(loss, expected)


@pytest.mark.parametrize(("counts", "entropy"), [((5, 5, 5, 5), 1.0), ((7, 0, 0, 0), 0.0), ((1, 1, 0, 0), 0.5)])
def test_usage_entropy_by_hand(counts, entropy):
    assert float(usage_entropy(torch.tensor(counts, dtype=torch.float64))) == pytest.approx(entropy, abs=1e-12)


def test_an_untrained_uniform_code_costs_twice_the_logarithm_of_the_prototypes():
    """All features equal: any code is as good as any other, and the loss is at its worst plateau."""
    _, _, prototype = branches()
    flat = torch.zeros(SAMPLES, WIDTH, dtype=torch.float64)
    assert float(by_slices(flat, flat, prototype.detach(), "hard").loss) == pytest.approx(2 * math.log(PROTOTYPES))
