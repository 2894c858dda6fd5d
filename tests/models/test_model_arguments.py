"""Model arguments: intermediate layers, norm, class tokens and precision, and their place in the identity."""

import copy
from pathlib import Path

import pytest
import timm
import torch

from sigma_bench.api.encoders import load_encoder
from sigma_bench.models.encoder import NetworkEncoder, require_trainable
from sigma_bench.models.encoder_check import check_encoder
from sigma_bench.models.encoder_output import encoded
from sigma_bench.models.frame_encoder import FrameEncoder
from sigma_bench.models.model_arguments import with_arguments
from sigma_bench.specs.model_arguments import ModelArguments, parse_model_arguments
from tests.models.external_files import finetuned_file, pretraining_model

VIDEO, IMAGE = "random:mini_videomae", "random:mini_dino"


def clip(seed: int = 0) -> torch.Tensor:
    return torch.randn(2, 3, 8, 48, 48, generator=torch.Generator().manual_seed(seed))


def encoder_of(name: str, **arguments: object) -> NetworkEncoder:
    encoder = load_encoder(name, model_args=arguments, device="cpu")
    assert isinstance(encoder, NetworkEncoder)
    return encoder


def after_block(name: str, layer: int) -> torch.Tensor:
    """Output of a block of the whole network, by a hook."""
    encoder, found = encoder_of(name), []
    encoder.network.blocks[layer].register_forward_hook(lambda module, args, output: found.append(output))
    encoder.encode(clip())
    return found[0]


@pytest.mark.parametrize("layer", [0, 1, -2])
@pytest.mark.parametrize("norm", [True, False])
def test_a_layer_gives_the_output_of_its_block_with_or_without_the_final_norm(layer: int, norm: bool) -> None:
    expected = after_block(VIDEO, layer)
    if norm:
        expected = encoder_of(VIDEO).network.norm(expected)
    chosen = encoder_of(VIDEO, layer=layer, norm=norm)
    torch.testing.assert_close(chosen.encode(clip()).token_BND, expected, rtol=0, atol=1e-6)


def test_the_blocks_after_the_layer_are_removed_and_the_rest_can_be_trained() -> None:
    chosen = encoder_of(VIDEO, layer=1)
    assert chosen.card.num_parameters < encoder_of(VIDEO).card.num_parameters
    backbone = require_trainable(chosen).backbone(0.1)
    assert {backbone.layer_of(name) for name, _ in backbone.named_parameters()} == {0, 1, 2}


def test_arguments_that_change_a_feature_change_name_and_identity_and_defaults_do_not() -> None:
    plain = encoder_of(VIDEO).card
    given = [{"layer": 1}, {"layer": 2}, {"norm": False}, {"dtype": "bfloat16"}, {"layer": 1, "norm": False}]
    cards = [encoder_of(VIDEO, **arguments).card for arguments in given]
    assert len({str(card.identity) for card in (plain, *cards)}) == len({card.model for card in (plain, *cards)}) == 6
    assert cards[0].model == "random_init[layer=1]"
    defaults = {"layer": -1, "norm": True, "pooling": "mean", "dtype": "float32"}
    assert encoder_of(VIDEO, **defaults).card == plain
    assert encoder_of(VIDEO, layer=-3).card == cards[0]


def test_precision_changes_tokens_as_much_as_its_rounding() -> None:
    double = encoder_of(VIDEO, dtype="float64")
    exact = double.encode(clip()).token_BND
    assert exact.dtype == torch.float64
    assert torch.equal(encoded(double, clip()).token_BND, exact.float())  # as protocols ask for it
    assert all(check.passed for check in check_encoder(double))
    for dtype, tolerance in (("float32", 1e-5), ("bfloat16", 0.1)):
        rounded = encoder_of(VIDEO, dtype=dtype).encode(clip()).token_BND
        assert rounded.dtype == torch.float32
        distance = float((rounded - exact).abs().max())
        assert 0 < distance < tolerance
    with pytest.raises(ValueError, match=r"weights in torch\.bfloat16; fine-tuning needs float32"):
        encoder_of(VIDEO, dtype="bfloat16").backbone(0.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layer": 4}, r"layer=4, but its layers are 0 to 3 \(-1 is the last\)"),
        ({"layer": -5}, "layer=-5, but its layers are 0 to 3"),
        ({"pooling": "class"}, "no class token for every frame"),
        ({"pooling": "max"}, "'mean' or 'class'"),
        ({"layers": 1}, "Did you mean 'layer'"),
        ({"dtype": "int8"}, "dtype"),
        ({"layer": 1.5}, "layer"),
    ],
)
def test_impossible_arguments_are_refused_in_one_sentence(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encoder_of(VIDEO, **arguments)


def test_a_control_without_network_takes_no_arguments() -> None:
    with pytest.raises(ValueError, match="arguments apply to networks that are loaded by name"):
        load_encoder("statistics:mini_videomae", model_args={"layer": 1})


def test_text_of_the_command_line_is_read_as_typed_values() -> None:
    found = parse_model_arguments("layer=-2, norm=false,dtype=bfloat16")
    assert found == ModelArguments(layer=-2, norm=False, dtype="bfloat16")
    assert parse_model_arguments("") == ModelArguments()
    for text, message in (("layer", "expected key=value"), ("layer=1,layer=2", "given twice"), ("layer=two", "layer")):
        with pytest.raises(ValueError, match=message):
            parse_model_arguments(text)


def test_the_norm_after_pooling_of_a_released_classifier_can_be_applied_to_tokens(tmp_path: Path) -> None:
    path = tmp_path / "finetuned.pth"
    content = finetuned_file(pretraining_model().encoder)
    weights = content.get("module", content.get("model", content))
    weights |= {"fc_norm.weight": torch.rand(24), "fc_norm.bias": torch.rand(24)}
    torch.save(content, path)
    plain, normed = encoder_of(f"{path}@2heads"), encoder_of(f"{path}@2heads", norm=True)
    card = plain.card
    some = torch.rand(1, 3, card.num_frames, card.image_size, card.image_size)
    expected = torch.nn.functional.layer_norm(
        plain.encode(some).token_BND, (24,), weights["fc_norm.weight"], weights["fc_norm.bias"], 1e-6
    )
    torch.testing.assert_close(normed.encode(some).token_BND, expected, rtol=0, atol=1e-5)
    assert normed.card.identity != card.identity == encoder_of(f"{path}@2heads", norm=False).card.identity


def test_class_tokens_and_norm_combine_and_layers_of_other_stages_are_refused() -> None:
    torch.manual_seed(0)
    eva = timm.create_model("eva02_tiny_patch14_224", num_classes=0, img_size=28, depth=2).eval()
    torch.nn.init.normal_(eva.fc_norm.weight)
    card = encoder_of(IMAGE).card.model_copy(update={"image_size": 28, "feature_width": 192})
    image = torch.rand(1, 3, 2, 28, 28)
    given = ModelArguments(pooling="class", norm=True)
    tokens = with_arguments(FrameEncoder(copy.deepcopy(eva), card), given).encode(image).token_BND
    expected = eva.fc_norm(eva.forward_features(image[0].transpose(0, 1))[:, 0])
    torch.testing.assert_close(tokens[0], expected.detach(), rtol=0, atol=1e-5)
    hiera = timm.create_model("hiera_tiny_224", num_classes=0, embed_dim=16, num_heads=1, stages=(1, 1, 1, 1)).eval()
    staged = FrameEncoder(hiera, card.model_copy(update={"image_size": 224, "feature_width": 128}))
    with pytest.raises(ValueError, match="layer=0, but block 0 has other shapes than the last one"):
        with_arguments(staged, ModelArguments(layer=0))
