"""The plain computation is the same mathematics: in float64, the same loss and the same gradient of every parameter."""

import pytest
import torch

from sigma_bench.benchmark.plain_networks import plain_optimiser
from sigma_bench.benchmark.training_step import build_steps, random_batch
from sigma_bench.training.optimiser import set_learning_rate
from tests.benchmark.tiny import tiny_recipe

CPU = torch.device("cpu")


@pytest.mark.parametrize("layer_scale", [0.0, 0.5])
@pytest.mark.parametrize("kind", ["sigma_mlp", "sigma_mlp_soft", "videomae"])
def test_loss_and_every_gradient_agree(kind, layer_scale):
    recipe = tiny_recipe(kind, layer_scale=layer_scale)
    ours, plain = (step.method.double() for step in build_steps(recipe, CPU))
    clip_BCTHW, mask_BN = random_batch(recipe, 2, CPU)
    copies = dict(plain.model.model.named_parameters())
    torch.manual_seed(3)
    for name, parameter in ours.model.named_parameters():  # also move biases and layer scales from their initial values
        parameter.data += 0.02 * torch.randn_like(parameter)
        copies[name].data.copy_(parameter.data)
    loss, plain_loss = (method.step(clip_BCTHW.double(), mask_BN).loss for method in (ours, plain))
    (loss + plain_loss).backward()
    assert abs(plain_loss - loss) < 1e-9
    for name, parameter in ours.model.named_parameters():
        assert parameter.grad.abs().max() > 0, name
        torch.testing.assert_close(copies[name].grad, parameter.grad, rtol=0, atol=1e-9, msg=name)


def test_optimisers_take_the_same_step():
    moved = []
    for is_plain in (False, True):
        method = build_steps(tiny_recipe("sigma_mlp"), CPU)[0].method.double()
        ours = method.build_optimiser()
        set_learning_rate(ours, 1e-3)
        optimiser = plain_optimiser(ours) if is_plain else ours
        for step in range(3):
            for number, parameter in enumerate(method.parameters()):
                generator = torch.Generator().manual_seed(100 * step + number)
                parameter.grad = torch.randn(parameter.shape, dtype=torch.float64, generator=generator)
            optimiser.step()
        moved.append([parameter.detach() for parameter in method.parameters()])
    for fused, plain in zip(*moved, strict=True):
        torch.testing.assert_close(plain, fused, rtol=0, atol=1e-9)
