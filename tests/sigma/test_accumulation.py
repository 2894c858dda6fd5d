"""A global batch in pieces is the same step: same loss, same gradients, Sinkhorn still over all of it."""

import numpy as np
import pytest
import torch

from sigma_bench.sigma.masking import tube_mask
from sigma_bench.sigma.model import build_model
from sigma_bench.sigma.objective import accumulate_gradients, pretraining_step
from tests.conftest import tiny_recipe


@pytest.mark.parametrize("name", ["mini_sigma_mlp", "mini_videomae"])
def test_pieces_give_the_gradients_of_the_whole(name: str) -> None:
    recipe = tiny_recipe(name)
    torch.manual_seed(0)
    model = build_model(recipe).double()
    clip = torch.randn(8, 3, 8, 48, 48, dtype=torch.float64)
    mask = tube_mask(8, recipe.encoder.grid(), 0.75, torch.Generator().manual_seed(0))
    found = []
    for pieces in (1, 4):
        model.zero_grad()
        loss = accumulate_gradients(model, clip, mask, recipe.objective, pieces).loss
        found.append((loss, {key: p.grad.clone() for key, p in model.named_parameters() if p.grad is not None}))
    (whole, gradient), (in_pieces, accumulated) = found
    assert float(in_pieces) == pytest.approx(float(whole), rel=1e-12)
    for key, value in gradient.items():
        assert np.allclose(accumulated[key], value, rtol=1e-9, atol=1e-12), key


def test_balancing_each_piece_alone_would_be_another_method() -> None:
    recipe = tiny_recipe()
    torch.manual_seed(0)
    model = build_model(recipe).double()
    clip = torch.randn(8, 3, 8, 48, 48, dtype=torch.float64)
    mask = tube_mask(8, recipe.encoder.grid(), 0.75, torch.Generator().manual_seed(0))
    whole = accumulate_gradients(model, clip, mask, recipe.objective, 4).loss
    pieces = [
        pretraining_step(model, c, m, recipe.objective).loss for c, m in zip(clip.chunk(4), mask.chunk(4), strict=True)
    ]
    assert abs(float(torch.stack(pieces).mean()) - float(whole)) > 1e-4
