"""The video ViT: embedding, positions, masking, names of tensors, and errors."""

import math

import pytest
import torch

from sigma_bench.models.masked_autoencoder import MaskedAutoencoder
from sigma_bench.models.video_vit import TubeEmbedding, VideoViT, sinusoid_table, take, tubes
from sigma_bench.sigma.model import SigmaMlpModel
from sigma_bench.sigma.spec import SigmaMlpObjective
from sigma_bench.specs.masked_video import DecoderSpec
from sigma_bench.specs.recipe import EncoderSpec


def spec(**changes):
    settings = {
        "num_frames": 8, "image_size": 32, "patch_size": 8, "tubelet_frames": 2, "width": 24, "depth": 2,
        "num_heads": 3, "drop_path": 0.0, "layer_scale": 0.0,
    }  # fmt: skip
    return EncoderSpec(**(settings | changes))


@pytest.fixture
def clip():
    return torch.randn(2, 3, 8, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def vit():
    torch.manual_seed(0)
    return VideoViT(spec()).eval()


def test_the_embedding_is_the_convolution_it_stores(clip):
    embedding = TubeEmbedding(2, 8, 24).double()
    convolved = embedding.proj(clip.double()).flatten(2).transpose(1, 2)
    torch.testing.assert_close(embedding(clip.double(), None), convolved, rtol=0, atol=1e-12)


def test_tubes_are_cut_in_order_time_row_column(clip):
    cut = tubes(clip, 2, 8)
    assert cut.shape == (2, 4 * 4 * 4, 3, 2, 8, 8)
    slot, row, column = 2, 1, 3
    expected = clip[:, :, 4:6, 8:16, 24:32]
    assert torch.equal(cut[:, (slot * 4 + row) * 4 + column], expected)


def test_a_wide_clip_is_cut_row_by_row():
    clip = torch.randn(1, 3, 2, 8, 24)
    assert torch.equal(tubes(clip, 2, 8)[0, 1], clip[0, :, :, :, 8:16])


def test_positions_by_hand():
    table = sinusoid_table(1568, 384)
    assert table.shape == (1568, 384)
    assert table[0, :4].tolist() == [0, 1, 0, 1]
    assert table[7, 0].item() == pytest.approx(math.sin(7), abs=1e-7)
    assert table[7, 1].item() == pytest.approx(math.cos(7), abs=1e-7)
    assert table[1000, 10].item() == pytest.approx(math.sin(1000 / 10000 ** (10 / 384)), abs=1e-6)
    assert table[1000, 11].item() == pytest.approx(math.cos(1000 / 10000 ** (10 / 384)), abs=1e-6)


def test_positions_of_a_shorter_clip_are_a_prefix():
    assert torch.equal(sinusoid_table(392, 384), sinusoid_table(1568, 384)[:392])


def test_nothing_masked_equals_no_mask(vit, clip):
    visible = torch.ones(2, 64, dtype=torch.bool)
    torch.testing.assert_close(vit(clip, visible), vit(clip), rtol=0, atol=0)


def test_masked_tubes_do_not_reach_the_visible_ones(vit, clip):
    visible = torch.zeros(2, 64, dtype=torch.bool)
    visible[:, [0, 5, 63]] = True
    encoded = vit(clip, visible)
    assert encoded.shape == (2, 3, 24)
    hidden = tubes(clip, 2, 8)[~visible]
    assert hidden.numel()
    other = clip.clone()
    other[:, :, 2:6] = torch.randn(2, 3, 4, 32, 32)  # slots 1 and 2 hold no visible tube
    assert torch.equal(vit(other, visible), encoded)


def test_visible_tokens_keep_their_order():
    token = torch.arange(12.0).reshape(2, 6, 1)
    mask = torch.tensor([[0, 1, 0, 1, 1, 0], [1, 0, 0, 0, 1, 1]], dtype=torch.bool)
    assert take(token, mask).flatten().tolist() == [1, 3, 4, 6, 10, 11]


def test_a_shorter_or_smaller_clip_is_encoded_with_its_own_grid(vit):
    assert vit(torch.randn(1, 3, 4, 32, 32)).shape == (1, 32, 24)
    assert vit(torch.randn(1, 3, 8, 16, 24)).shape == (1, 4 * 2 * 3, 24)


@pytest.mark.parametrize("shape", [(7, 32, 32), (8, 33, 32), (8, 32, 30)])
def test_clips_that_do_not_divide_into_tubes_are_refused(vit, shape):
    with pytest.raises(ValueError, match="use multiples of both"):
        vit(torch.randn(1, 3, *shape))


@pytest.mark.parametrize(
    ("change", "message"),
    [({"num_frames": 7}, "multiples of both"), ({"image_size": 30}, "multiples of both"), ({"width": 25}, "3 heads")],
)
def test_a_geometry_that_does_not_divide_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        spec(**change)


def test_drop_path_grows_with_depth_and_sleeps_in_evaluation(clip):
    vit = VideoViT(spec(drop_path=0.5, depth=3))
    assert [block.drop_path.drop_prob for block in vit.blocks] == pytest.approx([0.0, 0.25, 0.5])
    vit.eval()
    assert torch.equal(vit(clip), vit(clip))


def released_names(depth, decoder_depth, *, sigma, layer_scale):
    """Parameter names of a released pretraining checkpoint."""
    names = {"mask_token", "encoder_to_decoder.weight", "decoder.head.weight", "decoder.head.bias"}
    names |= {f"encoder.patch_embed.proj.{kind}" for kind in ("weight", "bias")}
    for part, num_blocks in (("encoder", depth), ("decoder", decoder_depth)):
        names |= {f"{part}.norm.{kind}" for kind in ("weight", "bias")}
        for block in (f"{part}.blocks.{index}" for index in range(num_blocks)):
            modules = ("norm1", "norm2", "attn.proj", "mlp.fc1", "mlp.fc2")
            names |= {f"{block}.{module}.{kind}" for module in modules for kind in ("weight", "bias")}
            names |= {f"{block}.attn.{name}" for name in ("q_bias", "v_bias", "qkv.weight")}
            if layer_scale and part == "encoder":
                names |= {f"{block}.gamma_1", f"{block}.gamma_2"}
    if sigma:
        names |= {"prototypes", *(f"head.{layer}.{kind}" for layer in (0, 2, 4, 6) for kind in ("weight", "bias"))}
    return names


def to_released(name):
    """The documented renames: prototypes are a module, and the projection network is not called head."""
    if name.startswith("projector."):
        return name.replace("projector.", "head.", 1)
    return "prototypes" if name == "prototypes.weight" else name


@pytest.mark.parametrize("layer_scale", [0.0, 0.1])
def test_parameter_names_are_the_released_ones(layer_scale):
    encoder, decoder = spec(layer_scale=layer_scale), DecoderSpec(width=12, depth=3, num_heads=2)
    objective = SigmaMlpObjective(
        kind="sigma_mlp", num_prototypes=5, epsilon=0.05, sinkhorn_iterations=10, temperature=0.1, codes="hard",
        projector_widths=(16, 16, 8, 4),
    )  # fmt: skip
    sigma, videomae = SigmaMlpModel(encoder, decoder, objective), MaskedAutoencoder(encoder, decoder, 384)
    for model, is_sigma in ((sigma, True), (videomae, False)):
        found = {to_released(name) for name in model.state_dict()}
        assert found == released_names(2, 3, sigma=is_sigma, layer_scale=layer_scale > 0)
