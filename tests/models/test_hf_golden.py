"""Outputs of transformers 5.24 on weights by rule: the same tokens from the folder, through the name of a model."""

import pytest
import torch
from torch import Tensor

from sigma_bench.models.encoder import NetworkEncoder
from sigma_bench.models.token_order import find_token_order
from sigma_bench.models.zoo import load_encoder
from tests.models.frontier import clip_of, differences, frontier_golden, weights_of
from tests.models.huggingface_folders import write_folder

IN_OUR_ORDER = ["hf_timesformer_64x4_contract", "hf_videoprism_72x4"]
RAW = [
    "hf_vivit_64x8", "hf_dinov2_56", "hf_dinov2_other_84", "hf_dinov2_registers_56", "hf_dinov3_64",
    "hf_clip_vision_64", "hf_siglip_vision_64",
]  # fmt: skip
"""Goldens with class and register tokens, and one batch item per frame for image models."""


@pytest.fixture
def golden(request):
    return frontier_golden(request.param)


@pytest.fixture
def encoder(golden, tmp_path):
    folder = write_folder(tmp_path / "model", golden["config_json"], weights_of(golden))
    return load_encoder(f"hf:{folder}@{golden['frames']}x{golden['size']}")


def raw_output(encoder: NetworkEncoder, clip: Tensor, golden: dict) -> Tensor:
    """The output of the class itself, whose last tokens must be those of the encoder."""
    frame = clip.transpose(1, 2) if "num_frames" in golden["config"] else clip.transpose(1, 2).flatten(0, 1)
    with torch.inference_mode():
        return encoder.network(frame).last_hidden_state


def assert_tokens_are_the_last(encoder: NetworkEncoder, clip: Tensor, raw: Tensor) -> None:
    features = encoder.encode(clip)
    num_tokens = features.token_BND.shape[1] * len(clip) // len(raw)
    assert torch.equal(features.token_BND, raw[:, -num_tokens:].reshape(features.token_BND.shape))


@pytest.mark.parametrize("golden", IN_OUR_ORDER, indirect=True)
def test_tokens_equal_the_golden(golden, encoder):
    clip = clip_of(golden)
    assert differences(encoder.encode(clip).token_BND, golden) < 2e-5
    encoder.network.double()
    assert differences(encoder.encode(clip.double()).token_BND, golden, "_fp64") < 1e-6


@pytest.mark.parametrize("golden", ["hf_timesformer_64x4"], indirect=True)
def test_time_is_the_fast_axis_of_timesformer(golden, encoder):
    clip = clip_of(golden)
    raw = raw_output(encoder, clip, golden)
    assert differences(raw, golden) < 2e-5
    in_time_order = raw[:, 1:].unflatten(1, (4, 4, 4)).permute(0, 3, 1, 2, 4).flatten(1, 3)
    assert torch.equal(encoder.encode(clip).token_BND, in_time_order)


@pytest.mark.parametrize("golden", RAW, indirect=True)
def test_tokens_are_the_last_ones_of_the_golden(golden, encoder):
    clip = clip_of(golden)
    raw = raw_output(encoder, clip, golden)
    assert differences(raw, golden) < 2e-5
    assert_tokens_are_the_last(encoder, clip, raw)
    encoder.network.double()
    raw = raw_output(encoder, clip.double(), golden)
    assert differences(raw, golden, "_fp64") < 1e-6
    assert_tokens_are_the_last(encoder, clip.double(), raw)


@pytest.mark.parametrize("golden", [*IN_OUR_ORDER, *RAW], indirect=True)
def test_tokens_are_in_order_time_row_column(golden, encoder):
    order = find_token_order(encoder, clip_of(golden))
    assert order.is_right and order.num_places == 12
