"""Sinkhorn codes: their defining marginals, symmetries, numerical range, and one process against two.

Shapes: M samples, K prototypes.
"""

import math

import pytest
import torch

from sigma_bench.sigma.sinkhorn import sinkhorn
from sigma_bench.training.distribution import joined_processes
from tests.two_processes import in_two_processes


def scores(num_samples=200, num_prototypes=40, width=16, seed=0):
    """Cosine scores as a model gives them: unit features against unit prototypes."""
    generator = torch.Generator().manual_seed(seed)
    feature = torch.randn(num_samples, width, generator=generator)
    prototype = torch.randn(num_prototypes, width, generator=generator)
    return torch.nn.functional.normalize(feature, dim=1) @ torch.nn.functional.normalize(prototype, dim=1).T


def matrix_rewriting(score_MK, epsilon, num_iterations=10):
    """The published algorithm in float64: the whole matrix is rescaled twice per iteration."""
    mass_KM = (score_MK.double() / epsilon).exp().T
    mass_KM = mass_KM / mass_KM.sum()
    num_prototypes, num_samples = mass_KM.shape
    for _ in range(num_iterations):
        mass_KM = mass_KM / mass_KM.sum(1, keepdim=True) / num_prototypes
        mass_KM = mass_KM / mass_KM.sum(0, keepdim=True) / num_samples
    return (mass_KM / mass_KM.sum(0, keepdim=True)).T


def log_domain(score_MK, epsilon, num_iterations=10):
    """The same in float64 logarithms, for a range that exponentials do not have."""
    logit_MK = score_MK.double() / epsilon
    num_samples, num_prototypes = logit_MK.shape
    for _ in range(num_iterations):
        logit_MK = logit_MK - logit_MK.logsumexp(0, keepdim=True) - math.log(num_prototypes)
        logit_MK = logit_MK - logit_MK.logsumexp(1, keepdim=True) - math.log(num_samples)
    return (logit_MK - logit_MK.logsumexp(1, keepdim=True)).exp()


def infeasible_scores():
    """All samples but one want prototype 0 only: the scaling vectors drift apart for ever."""
    score_MK = -torch.ones(64, 8)
    score_MK[:, 0] = 1
    score_MK[0] = 1
    return score_MK


@pytest.mark.parametrize("epsilon", [0.05, 0.03])
def test_every_sample_sums_to_one_and_prototypes_share_evenly(epsilon):
    code_MK = sinkhorn(scores(width=256), epsilon=epsilon, num_iterations=10)
    assert (code_MK >= 0).all()
    torch.testing.assert_close(code_MK.sum(1), torch.ones(200))
    torch.testing.assert_close(code_MK.sum(0), torch.full((40,), 200 / 40), rtol=1e-3, atol=0)


def test_more_iterations_share_more_evenly():
    spread = [sinkhorn(scores(), epsilon=0.05, num_iterations=n).sum(0).std().item() for n in (1, 3, 10, 30)]
    assert spread == sorted(spread, reverse=True)


@pytest.mark.parametrize("epsilon", [0.05, 0.03])
@pytest.mark.parametrize("shape", [(200, 40), (33, 40), (7, 3), (1, 5), (5, 1)])
def test_agrees_with_rewriting_the_whole_matrix(epsilon, shape):
    score_MK = scores(*shape)
    expected = matrix_rewriting(score_MK, epsilon)
    assert (sinkhorn(score_MK, epsilon=epsilon) - expected).abs().max() <= 1e-6
    assert (sinkhorn(score_MK.double(), epsilon=epsilon) - expected).abs().max() <= 1e-13


def test_samples_and_prototypes_may_stand_in_any_order():
    score_MK = scores().double()
    sample, prototype = torch.randperm(200), torch.randperm(40)
    permuted = sinkhorn(score_MK[sample][:, prototype], epsilon=0.05)
    torch.testing.assert_close(permuted, sinkhorn(score_MK, epsilon=0.05)[sample][:, prototype], rtol=0, atol=1e-12)


@pytest.mark.parametrize("shift", [-3.0, 0.25, 10.0])
def test_a_constant_added_to_all_scores_changes_nothing(shift):
    score_MK = scores().double()
    shifted = sinkhorn(score_MK + shift, epsilon=0.05)
    torch.testing.assert_close(shifted, sinkhorn(score_MK, epsilon=0.05), rtol=0, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_scores_are_computed_in_float32(dtype):
    half = scores().to(dtype)
    code_MK = sinkhorn(half, epsilon=0.05)
    assert code_MK.dtype == torch.float32
    assert torch.equal(code_MK, sinkhorn(half.float(), epsilon=0.05))


def test_a_small_epsilon_is_computed_in_float64():
    code_MK = sinkhorn(scores(), epsilon=0.0299)
    assert code_MK.dtype == torch.float64
    assert torch.equal(code_MK, sinkhorn(scores().double(), epsilon=0.0299))


def test_autocast_does_not_reach_the_codes():
    score_MK = scores()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        code_MK = sinkhorn(score_MK, epsilon=0.05)
    assert torch.equal(code_MK, sinkhorn(score_MK, epsilon=0.05))


def test_scores_are_left_as_they_were_and_get_no_gradient():
    score_MK = scores().requires_grad_()
    before = score_MK.detach().clone()
    assert not sinkhorn(score_MK, epsilon=0.05).requires_grad
    assert torch.equal(score_MK.detach(), before)


@pytest.mark.parametrize("epsilon", [0.05, 0.03, 0.02, 0.01, 0.005])
@pytest.mark.parametrize("kind", ["uniform", "signs", "one_wanted_by_all", "staircase"])
def test_scores_that_span_the_whole_range_stay_finite_and_right(kind, epsilon):
    generator = torch.Generator().manual_seed(1)
    score_MK = {
        "uniform": torch.rand(128, 32, generator=generator) * 2 - 1,
        "signs": torch.randn(128, 32, generator=generator).sign(),
        "one_wanted_by_all": infeasible_scores(),
        "staircase": 1 - 2 * (torch.linspace(0, 1, 128)[:, None] - torch.linspace(0, 1, 32)).abs(),
    }[kind]
    code_MK = sinkhorn(score_MK, epsilon=epsilon)
    assert torch.isfinite(code_MK).all()
    torch.testing.assert_close(code_MK.sum(1), torch.ones(len(code_MK), dtype=code_MK.dtype))
    assert (code_MK - log_domain(score_MK, epsilon)).abs().max() <= (2e-6 if epsilon >= 0.03 else 1e-11)


def test_the_released_way_underflows_where_this_one_does_not():
    score_MK = scores()
    score_MK[:, 0] = -1  # no sample is near this prototype
    naive = (score_MK / 0.005).exp()
    assert (naive.sum(0) == 0).any()
    assert torch.isfinite(sinkhorn(score_MK, epsilon=0.005)).all()


@pytest.mark.parametrize("epsilon", [0.05, 0.03, 0.01, 0.005])
def test_scales_that_drift_apart_stay_in_range(epsilon):
    score_MK = infeasible_scores()
    code_MK = sinkhorn(score_MK, epsilon=epsilon, num_iterations=100)
    assert (code_MK - log_domain(score_MK, epsilon, 100)).abs().max() <= (1e-5 if epsilon >= 0.03 else 1e-11)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_scores_of_a_diverged_model_are_refused(bad):
    score_MK = scores()
    score_MK[3, 4] = bad
    with pytest.raises(ValueError, match="diverged"):
        sinkhorn(score_MK, epsilon=0.05)


@pytest.mark.parametrize("epsilon", [0.0, -0.05, 0.0049])
def test_an_epsilon_out_of_range_is_refused(epsilon):
    with pytest.raises(ValueError, match=r"epsilon must be at least 0\.005"):
        sinkhorn(scores(), epsilon=epsilon)


def two_process_cases():
    """Ordinary scores, and scores whose scales drift apart."""
    return {"ordinary": (scores(), 0.05, 10), "infeasible": (infeasible_scores(), 0.01, 100)}


def code_of_a_share(folder):
    """What each of two processes does: the first has more samples than the second."""
    with joined_processes("cpu") as processes:
        for name, (score_MK, epsilon, num_iterations) in two_process_cases().items():
            cut = len(score_MK) * 5 // 8
            share = score_MK[:cut] if processes.rank == 0 else score_MK[cut:]
            code = sinkhorn(share, epsilon=epsilon, num_iterations=num_iterations, group=processes.group)
            torch.save(code, folder / f"{name}_{processes.rank}.pt")


def test_two_processes_give_the_codes_of_one(tmp_path):
    in_two_processes(code_of_a_share, tmp_path)
    for name, (score_MK, epsilon, num_iterations) in two_process_cases().items():
        alone = sinkhorn(score_MK, epsilon=epsilon, num_iterations=num_iterations)
        together = torch.cat([torch.load(tmp_path / f"{name}_{rank}.pt", weights_only=True) for rank in (0, 1)])
        assert (together - alone).abs().max() <= 1e-6, name
        assert torch.equal(together.argmax(1), alone.argmax(1)), name
