"""The plain formulation is the same mathematics: in float64, the same loss and the same gradient everywhere."""

import pytest
import torch

from sigma_bench.bench.plain import PlainFormulation, plain_optimiser, plain_sinkhorn
from sigma_bench.bench.sides import Batch, comparable_method, make_batch, our_loss, plain_loss
from sigma_bench.sigma.sinkhorn import sinkhorn
from sigma_bench.training.optimiser import set_learning_rate
from tests.bench.tiny import tiny_recipe

TOLERANCE = 1e-9


def double_method_and_batch(recipe):
    method = comparable_method(recipe).double()
    torch.manual_seed(3)
    for parameter in method.parameters():  # biases and layer scales away from where they start
        parameter.data += 0.02 * torch.randn_like(parameter)
    clip_BCTHW, mask_BN = make_batch(recipe, 2, torch.device("cpu"))
    return method, Batch(clip_BCTHW.double(), mask_BN)


def gradients(model, loss):
    model.zero_grad(set_to_none=True)
    loss.backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("layer_scale", [0.0, 0.5])
@pytest.mark.parametrize("kind", ["sigma_mlp", "sigma_mlp_soft", "videomae"])
def test_loss_and_every_gradient_agree(kind, layer_scale):
    recipe = tiny_recipe(kind, layer_scale=layer_scale)
    method, batch = double_method_and_batch(recipe)
    model = method.model
    plain = plain_loss(PlainFormulation(model, recipe.objective), batch, lambda name: None)
    plain_gradients = gradients(model, plain)
    ours = our_loss(method, batch, lambda name: None)
    our_gradients = gradients(model, ours)
    assert abs(plain - ours) < TOLERANCE
    assert plain_gradients.keys() == our_gradients.keys()
    for name, gradient in plain_gradients.items():
        assert gradient.abs().max() > 0, name
        torch.testing.assert_close(our_gradients[name], gradient, rtol=0, atol=TOLERANCE, msg=name)


def test_sinkhorn_agrees():
    score_MK = torch.rand(50, 7, dtype=torch.float64) * 2 - 1
    plain = plain_sinkhorn(score_MK, 0.05, 10)
    torch.testing.assert_close(sinkhorn(score_MK, epsilon=0.05), plain, rtol=0, atol=TOLERANCE)


def test_optimisers_take_the_same_step():
    recipe = tiny_recipe("sigma_mlp")
    moved = []
    for make in (lambda ours: ours, plain_optimiser):
        method, _ = double_method_and_batch(recipe)
        model, ours = method.model, method.build_optimiser()
        set_learning_rate(ours, 1e-3)
        optimiser = make(ours)
        for step in range(3):
            for number, parameter in enumerate(model.parameters()):
                generator = torch.Generator().manual_seed(100 * step + number)
                parameter.grad = torch.randn(parameter.shape, dtype=torch.float64, generator=generator)
            optimiser.step()
        moved.append([parameter.detach() for parameter in model.parameters()])
    for plain, fused in zip(*moved, strict=True):
        torch.testing.assert_close(plain, fused, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("kind", ["sigma_mlp", "videomae"])
def test_half_precision_runs_both_ways(kind):
    recipe = tiny_recipe(kind)
    method = comparable_method(recipe)
    model = method.model
    batch = make_batch(recipe, 2, torch.device("cpu"))
    with torch.autocast("cpu", torch.bfloat16):
        plain = plain_loss(PlainFormulation(model, recipe.objective), batch, lambda name: None)
        ours = our_loss(method, batch, lambda name: None)
    assert abs(plain.item() - ours.item()) < 0.05 * abs(ours.item())
