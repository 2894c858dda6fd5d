"""The head, and layer-wise rates worked out by hand."""

import pytest
import torch

from sigma_bench.models.encoder import require_trainable
from sigma_bench.models.zoo import load_encoder
from sigma_bench.specs.training_protocol import SupervisedOptim
from sigma_bench.training.classifier import Classifier, layer_decay_optimiser
from sigma_bench.training.optimiser import learning_rate, set_learning_rate

OPTIM = SupervisedOptim(
    global_batch=64,
    epochs=10,
    warmup_epochs=2.0,
    lr_per_256=0.4,
    final_lr_per_256=0.04,
    layer_decay=0.5,
    betas=(0.9, 0.999),
    weight_decay=0.05,
    precision="float32",
)


def classifier(name: str = "random:mini_videomae", *, frozen: bool = False) -> Classifier:
    backbone = require_trainable(load_encoder(name)).backbone(0.0)
    torch.manual_seed(0)
    return Classifier(backbone, 128, 10, head_init_scale=0.001, frozen=frozen)


def groups_by_name(model: Classifier) -> dict[str, dict]:
    optimiser = layer_decay_optimiser(model, OPTIM)
    set_learning_rate(optimiser, 1.0)
    group = {id(p): g for g in optimiser.param_groups for p in g["params"]}
    return {name: group[id(parameter)] for name, parameter in model.named_parameters() if id(parameter) in group}


@pytest.mark.parametrize("name", ["random:mini_videomae", "random:mini_dino"])
def test_every_layer_learns_at_its_share_of_the_rate(name: str) -> None:
    model = classifier(name)
    of = groups_by_name(model)
    assert len(of) == len(list(model.parameters()))
    assert of["head.weight"]["lr"] == of["fc_norm.bias"]["lr"] == 1.0
    for block, rate in enumerate((1 / 16, 1 / 8, 1 / 4, 1 / 2)):  # four blocks: 0.5 ** (5 - i)
        assert of[f"backbone.network.blocks.{block}.attn.qkv.weight"]["lr"] == rate
    assert of["backbone.network.patch_embed.proj.weight"]["lr"] == 1 / 32


def test_vectors_positions_and_class_tokens_do_not_decay() -> None:
    of = groups_by_name(classifier("random:mini_dino"))
    assert of["backbone.network.blocks.0.mlp.fc1.weight"]["weight_decay"] == of["head.weight"]["weight_decay"] == 0.05
    for name in ("backbone.network.cls_token", "backbone.network.pos_embed", "fc_norm.weight", "head.bias"):
        assert of[name]["weight_decay"] == 0.0


def test_only_norm_and_head_of_a_frozen_network_learn() -> None:
    model = classifier(frozen=True)
    assert groups_by_name(model).keys() == {"fc_norm.weight", "fc_norm.bias", "head.weight", "head.bias"}
    model(torch.rand(2, 3, 8, 48, 48)).sum().backward()
    assert all(parameter.grad is None for parameter in model.backbone.parameters())
    assert model.head.weight.grad is not None


def test_the_head_reads_the_normalised_mean_token_and_begins_small() -> None:
    model, clip_BCTHW = classifier().eval(), torch.rand(2, 3, 8, 48, 48)
    mean_BD = model.backbone(clip_BCTHW).mean(1)
    standard_BD = (mean_BD - mean_BD.mean(1, keepdim=True)) / mean_BD.std(1, correction=0, keepdim=True)
    torch.testing.assert_close(model(clip_BCTHW), standard_BD @ model.head.weight.T, rtol=1e-3, atol=1e-6)
    assert float(model.head.weight.detach().std()) == pytest.approx(2e-5, rel=0.1)
    assert not model.head.bias.any()


def test_schedule_by_hand() -> None:
    """64 of 256 videos: peak 0.1, end 0.01; 10 epochs of 5 steps, the first 10 steps rise from 0 to the peak."""
    rate = [learning_rate(OPTIM, step, 50, 5) for step in range(50)]
    assert rate[0] == 0
    assert rate[5] == pytest.approx(0.1 * 5 / 9)
    assert rate[9] == rate[10] == pytest.approx(0.1)
    assert rate[30] == pytest.approx((0.1 + 0.01) / 2)
    assert rate[20] == pytest.approx(0.01 + 0.09 * (1 + 2**-0.5) / 2)
