"""V-JEPA 2 folders: tokens of transformers at the size of ``crop_size``, and of the released code at other sizes."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sigma_bench.models.encoder import NetworkEncoder
from sigma_bench.models.zoo import load_encoder
from tests.models.video_files import VJEPA2_CONFIG, huggingface_jepa, jepa_network, jepa_tensors, write_folder

SETTINGS = {
    "patch_size": 8, "crop_size": 32, "frames_per_clip": 4, "hidden_size": 44, "num_attention_heads": 2,
    "num_hidden_layers": 2, "mlp_ratio": 48 / 11, "pred_hidden_size": 24, "pred_num_attention_heads": 2,
    "pred_num_hidden_layers": 1,
}  # fmt: skip


def opened(name: str) -> NetworkEncoder:
    encoder = load_encoder(name)
    assert isinstance(encoder, NetworkEncoder)
    return encoder


def official(folder: Path, class_name: str = "VJEPA2Model", **changes: Any) -> Any:
    """A random model of transformers, which is written into a folder."""
    transformers = pytest.importorskip("transformers")
    model = getattr(transformers, class_name)(transformers.VJEPA2Config(**SETTINGS | changes)).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            size = 0.8 if "query" in name or "key" in name else 0.2  # so that attention is not flat
            parameter.copy_(size * torch.randn(parameter.shape, generator=generator))
    model.save_pretrained(folder)
    return model


def tokens_of(model: Any, clip: Tensor) -> Tensor:
    with torch.inference_mode():
        return model(clip.transpose(1, 2), skip_predictor=True).last_hidden_state


@pytest.mark.parametrize("epsilon", [1e-6, 1e-2])
def test_tokens_are_those_of_transformers(tmp_path: Path, epsilon: float) -> None:
    model = official(tmp_path, layer_norm_eps=epsilon)
    encoder = opened(f"hf:{tmp_path}")
    clip = torch.randn(2, 3, 4, 32, 32)
    torch.testing.assert_close(encoder.encode(clip).token_BND, tokens_of(model, clip), rtol=0, atol=2e-5)
    encoder.network.double()
    expected = tokens_of(model.double(), clip.double())
    assert (encoder.encode(clip.double()).token_BND - expected).norm() / expected.norm() < 1e-6
    card = encoder.card
    assert (card.family, card.num_frames, card.image_size, card.model) == ("V-JEPA 2", 4, 32, tmp_path.name)
    assert encoder.report is not None
    assert encoder.report.unexpected and all(name.startswith("predictor.") for name in encoder.report.unexpected)


@pytest.mark.parametrize(("frames", "size"), [(8, 48), (2, 16)])
def test_another_size_is_that_of_a_model_built_for_it(tmp_path: Path, frames: int, size: int) -> None:
    model = official(tmp_path)
    encoder = opened(f"hf:{tmp_path}@{frames}x{size}")
    clip = torch.randn(1, 3, frames, size, size)
    found = encoder.encode(clip)
    assert found.grid == (frames // 2, size // 8, size // 8)
    assert (found.token_BND - tokens_of(model, clip)).abs().max() > 0.01  # numbers rows as at 32 px
    rebuilt = type(model)(type(model.config)(**SETTINGS | {"crop_size": size})).eval()
    rebuilt.load_state_dict(model.state_dict())
    torch.testing.assert_close(found.token_BND, tokens_of(rebuilt, clip), rtol=0, atol=2e-5)


def test_a_classifier_is_its_encoder(tmp_path: Path) -> None:
    model = official(tmp_path, "VJEPA2ForVideoClassification", num_pooler_layers=1)
    encoder = opened(f"hf:{tmp_path}")
    clip = torch.randn(1, 3, 4, 32, 32)
    torch.testing.assert_close(encoder.encode(clip).token_BND, tokens_of(model.vjepa2, clip), rtol=0, atol=2e-5)
    assert encoder.report is not None
    assert {name.split(".")[0] for name in encoder.report.unexpected} == {"predictor", "pooler", "classifier"}


def test_size_mean_and_std_come_from_the_preprocessor(tmp_path: Path) -> None:
    write_folder(tmp_path, huggingface_jepa(jepa_tensors(jepa_network("vjepa2"))), VJEPA2_CONFIG)
    card = opened(f"hf:{tmp_path}").card
    assert (card.image_size, card.mean, card.std) == (16, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    stated = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.2, 0.1], "crop_size": {"height": 24, "width": 24}}
    (tmp_path / "video_preprocessor_config.json").write_text(json.dumps(stated))
    card = opened(f"hf:{tmp_path}").card
    assert (card.image_size, card.mean, card.std) == (24, (0.5, 0.4, 0.3), (0.2, 0.2, 0.1))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"hidden_act": "gelu_new"}, "hidden_act 'gelu_new'; the network here has 'gelu' only"),
        ({"qkv_bias": False}, "qkv_bias False"),
        ({"in_chans": 1}, "in_chans 1"),
        ({"num_attention_heads": 5}, "a width of 24 and 5 heads"),
        ({"num_hidden_layers": 3}, "keys missing"),
        ({"num_hidden_layers": 1}, "unexpected"),
        ({"mlp_ratio": 2.0}, "has shape"),
        ({"mlp_ratio": -1}, "mlp_ratio -1, which is not a positive number"),
        ({"hidden_size": 48}, "has shape"),
        ({"patch_size": 16}, "has shape"),
        ({"layer_norm_eps": 0}, "layer_norm_eps"),
        ({"crop_size": "large"}, "image_size"),
        ({"quantization_config": {"bits": 4}}, "quantised"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    tensors = huggingface_jepa(jepa_tensors(jepa_network("vjepa2")))
    with pytest.raises(ValueError, match=sentence):
        opened(f"hf:{write_folder(tmp_path, tensors, VJEPA2_CONFIG | changes)}")


@pytest.mark.parametrize("size", [20, 4])
def test_a_size_that_patches_do_not_fill_is_refused(tmp_path: Path, size: int) -> None:
    tensors = huggingface_jepa(jepa_tensors(jepa_network("vjepa2")))
    with pytest.raises(ValueError, match=rf"cannot take 8 frames at {size} x {size} px"):
        opened(f"hf:{write_folder(tmp_path, tensors, VJEPA2_CONFIG)}@8x{size}")


def test_a_tensor_under_both_prefixes_is_refused(tmp_path: Path) -> None:
    tensors = huggingface_jepa(jepa_tensors(jepa_network("vjepa2")))
    tensors["vjepa2.encoder.layernorm.bias"] = tensors["encoder.layernorm.bias"].clone()
    with pytest.raises(ValueError, match="and another name stand for the same tensor"):
        opened(f"hf:{write_folder(tmp_path, tensors, VJEPA2_CONFIG)}")
