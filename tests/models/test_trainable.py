"""Trainable networks of encoders: equal tokens up to the final norm, numbers of layers, unchanged encoders."""

import pytest
import torch

from sigma_bench.models.encoder import Backbone, require_trainable
from sigma_bench.models.zoo import load_encoder
from tests.models.external_files import FeaturesOnly


@pytest.mark.parametrize(("name", "inner"), [("random:mini_videomae", "network"), ("random:mini_dino", "network")])
def test_backbone_and_final_norm_are_the_encoder(name: str, inner: str) -> None:
    encoder = load_encoder(name)
    clip_BCTHW = torch.rand(2, 3, 8, 48, 48)
    backbone = require_trainable(encoder).backbone(0.1)
    expected = encoder.encode(clip_BCTHW).token_BND
    token_BND = backbone.eval()(clip_BCTHW)
    torch.testing.assert_close(getattr(encoder, inner).norm(token_BND), expected, rtol=0, atol=1e-5)
    assert all(parameter.requires_grad for parameter in backbone.parameters())
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.zero_()
    assert torch.equal(encoder.encode(clip_BCTHW).token_BND, expected)


@pytest.mark.parametrize("name", ["random:mini_videomae", "random:mini_dino"])
def test_layers_and_drop_path_grow_block_by_block(name: str) -> None:
    backbone = require_trainable(load_encoder(name)).backbone(0.3)
    layers = [backbone.layer_of(parameter) for parameter, _ in backbone.named_parameters()]
    assert layers == sorted(layers)
    assert set(layers) == {0, 1, 2, 3, 4}
    assert backbone.layer_of("network.blocks.2.mlp.fc1.weight") == 3
    assert rates_of(backbone) == pytest.approx([0, 0.1, 0.2, 0.3])


def rates_of(backbone: Backbone) -> list[float]:
    rates = {name.split("blocks.")[1][0]: m.drop_prob for name, m in backbone.named_modules() if "drop_path" in name}
    return [rates[block] for block in sorted(rates)]


def test_an_encoder_without_a_network_is_refused() -> None:
    with pytest.raises(ValueError, match="'random_init' has no network that can be trained; choose a frozen protocol"):
        require_trainable(FeaturesOnly(load_encoder("random:mini_dino")))
