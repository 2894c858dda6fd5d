"""Parameter groups: who decays, who learns at the projector's rate."""

from sigma_bench.sigma.model import build_model
from sigma_bench.training.optimiser import build_optimiser, set_learning_rate
from tests.conftest import tiny_recipe


def test_decay_and_rates_per_parameter() -> None:
    recipe = tiny_recipe()
    model = build_model(recipe)
    optimiser = build_optimiser(model, recipe.optim)
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
