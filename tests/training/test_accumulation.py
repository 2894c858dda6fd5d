"""A batch in micro-batches is the same step: same loss, same gradients, Sinkhorn still over all of it."""

import numpy as np
import pytest
import torch

from sigma_bench.training.accumulation import accumulate_gradients
from sigma_bench.training.method import build_method
from tests.conftest import tiny_recipe


def method_and_batch(name: str):
    recipe = tiny_recipe(name)
    method = build_method(recipe, seed=0).double()
    generator = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 256, (8, 8, 3, 48, 48), generator=generator, dtype=torch.uint8)
    places = torch.rand(8, 1, 36, generator=generator).argsort(-1) < 27
    return method, (frames.double(), places.expand(8, 4, 36).flatten(1))


def gradients(method, batch, num_micro_batches: int):
    method.zero_grad()
    loss = accumulate_gradients(method, method, batch, num_micro_batches=num_micro_batches).loss
    return float(loss), {key: p.grad.clone() for key, p in method.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", ["mini_sigma_mlp", "mini_videomae"])
def test_micro_batches_give_the_gradients_of_the_whole(name: str) -> None:
    method, batch = method_and_batch(name)
    whole, gradient = gradients(method, batch, 1)
    in_parts, accumulated = gradients(method, batch, 4)
    assert in_parts == pytest.approx(whole, rel=1e-12)
    assert gradient.keys() == accumulated.keys()
    for key, value in gradient.items():
        assert np.allclose(accumulated[key], value, rtol=1e-9, atol=1e-12), key


def test_micro_batches_of_different_sizes_count_by_their_clips() -> None:
    method, batch = method_and_batch("mini_sigma_mlp")
    short = tuple(part[:7] for part in batch)
    whole, gradient = gradients(method, short, 1)
    in_parts, accumulated = gradients(method, short, 2)
    assert in_parts == pytest.approx(whole, rel=1e-12)
    assert all(np.allclose(accumulated[key], value, rtol=1e-9, atol=1e-12) for key, value in gradient.items())


def test_balancing_each_micro_batch_alone_would_be_another_method() -> None:
    method, batch = method_and_batch("mini_sigma_mlp")
    whole, _ = gradients(method, batch, 4)
    parts = [method(*part).loss for part in zip(*(tensor.chunk(4) for tensor in batch), strict=True)]
    assert abs(float(torch.stack(parts).mean().detach()) - whole) > 1e-4


def test_activation_checkpointing_changes_no_bit() -> None:
    method, batch = method_and_batch("mini_sigma_mlp")
    kept = gradients(method, batch, 1)
    again = gradients(build_method(method.recipe, seed=0, activation_checkpointing=True).double(), batch, 1)
    assert again[0] == kept[0]
    assert all(torch.equal(again[1][key], value) for key, value in kept[1].items())
