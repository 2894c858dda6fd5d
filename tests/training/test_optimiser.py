"""Parameter groups: who decays, who learns at the projector's rate."""

import pytest

from sigma_bench.specs.catalogue import load_recipe
from sigma_bench.training.method import build_method
from sigma_bench.training.optimiser import set_learning_rate
from tests.conftest import tiny_recipe


def test_decay_and_rates_per_parameter() -> None:
    recipe = tiny_recipe()
    method = build_method(recipe, seed=0)
    model, optimiser = method.model, method.build_optimiser()
    set_learning_rate(optimiser, 1.0)
    group = {id(p): g for g in optimiser.param_groups for p in g["params"]}
    of = {name: group[id(parameter)] for name, parameter in model.named_parameters()}
    assert len(of) == sum(len(g["params"]) for g in optimiser.param_groups)
    assert of["encoder.blocks.0.attn.qkv.weight"]["weight_decay"] == recipe.optim.weight_decay
    assert of["prototypes.weight"]["weight_decay"] == recipe.optim.weight_decay
    for name in ("mask_token", "encoder.blocks.0.attn.q_bias", "encoder.norm.weight", "projector.0.bias"):
        assert of[name]["weight_decay"] == 0, name
    assert of["projector.0.weight"]["lr"] == of["prototypes.weight"]["lr"] == recipe.optim.projector_lr_scale
    assert of["decoder.head.weight"]["lr"] == 1.0


@pytest.mark.parametrize("name", ["mini_videomae", "mini_dino"])
def test_a_scaled_rate_of_a_projector_that_is_not_there_is_refused(name: str) -> None:
    recipe = load_recipe(name)
    optim = recipe.optim.model_copy(update={"projector_lr_scale": 0.5})
    method = build_method(recipe.model_copy(update={"optim": optim}), seed=0)
    with pytest.raises(ValueError, match=r"projector_lr_scale is 0\.5, but this method trains no projector"):
        method.build_optimiser()
