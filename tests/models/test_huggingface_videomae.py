"""VideoMAE from Hugging Face folders: names of all tensors, and errors for missing biases.

The same reader was compared with transformers 4.57, 5.0 and 5.23 themselves: tokens equal to 1e-6 of their size.
"""

import json
import math

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from sigma_bench.models.external import to_our_names
from sigma_bench.models.video_vit import sinusoid_table
from tests.models.external_files import (
    HF_CONFIG,
    SMALL,
    external_checkpoint,
    external_encoder,
    huggingface_file,
    pretraining_model,
)


@pytest.fixture
def model():
    return pretraining_model()


@pytest.fixture
def clip():
    return torch.randn(2, 3, 8, 32, 32, generator=torch.Generator().manual_seed(1))


def folder(path, weights, name="model.safetensors", **changes):
    path.mkdir(exist_ok=True)
    settings = {key: value for key, value in (HF_CONFIG | changes).items() if value is not None}
    (path / "config.json").write_text(json.dumps(settings))
    plain = {key: value.detach().contiguous() for key, value in weights.items()}
    if name.endswith(".bin"):
        torch.save(plain, path / name)
    else:
        save_file(plain, path / name)
    return path


def trunk(weights, *, norm):
    kept = {name: value for name, value in weights.items() if name.startswith("videomae.")}
    return {name: value for name, value in kept.items() if norm or "videomae.layernorm" not in name}


def forward_by_their_names(weights, clip, num_heads):
    """Tokens computed from the stored tensors as the documentation of transformers defines them."""
    w = {name.removeprefix("videomae."): value for name, value in weights.items()}
    projection = "embeddings.patch_embeddings.projection"
    token = F.conv3d(clip, w[f"{projection}.weight"], w[f"{projection}.bias"], stride=(2, 8, 8)).flatten(2).mT
    token = token + sinusoid_table(token.shape[1], token.shape[2])
    for layer in range(2):
        p = f"encoder.layer.{layer}"

        def linear(x, name, p=p):
            return F.linear(x, w[f"{p}.{name}.weight"], w[f"{p}.{name}.bias"])

        def norm(x, name, p=p):
            return F.layer_norm(x, x.shape[-1:], w[f"{p}.{name}.weight"], w[f"{p}.{name}.bias"], eps=1e-6)

        def heads(kind, bias, x, p=p):
            y = F.linear(x, w[f"{p}.attention.attention.{kind}.weight"], bias)
            return y.unflatten(2, (num_heads, -1)).transpose(1, 2)

        x = norm(token, "layernorm_before")
        query = heads("query", w[f"{p}.attention.attention.q_bias"], x)
        value = heads("value", w[f"{p}.attention.attention.v_bias"], x)
        scores = query @ heads("key", None, x).mT / math.sqrt(query.shape[-1])
        token = token + linear((scores.softmax(-1) @ value).transpose(1, 2).flatten(2), "attention.output.dense")
        token = token + linear(F.gelu(linear(norm(token, "layernorm_after"), "intermediate.dense")), "output.dense")
    if "layernorm.weight" not in w:
        return token
    return F.layer_norm(token, token.shape[-1:], w["layernorm.weight"], w["layernorm.bias"], eps=1e-6)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("kind", ["pretraining", "bare", "classifier", "bare without norm"])
def test_tokens_are_those_of_their_network(tmp_path, model, clip, kind, name):
    whole = huggingface_file(model)
    weights, changes, family = whole, {}, "VideoMAE"
    if kind == "bare":
        weights = {key.removeprefix("videomae."): value for key, value in trunk(whole, norm=True).items()}
    elif kind == "classifier":
        extra = {f"fc_norm.{part}": torch.randn(24) for part in ("weight", "bias")}
        extra |= {"classifier.weight": torch.randn(5, 24), "classifier.bias": torch.randn(5)}
        weights, changes = trunk(whole, norm=False) | extra, {"use_mean_pooling": True}
        family = "VideoMAE or SIGMA, fine-tuned"
    elif kind == "bare without norm":
        weights, changes = trunk(whole, norm=False), {"use_mean_pooling": True}
    encoder = external_encoder(folder(tmp_path / "theirs", weights, name, **changes))
    expected = forward_by_their_names(weights, clip, 3)
    torch.testing.assert_close(encoder.encode(clip).token_BND, expected, rtol=0, atol=1e-5)
    if kind in ("pretraining", "bare"):
        assert torch.equal(encoder.encode(clip).token_BND, model.encoder(clip))
    assert (encoder.card.family, encoder.card.model, encoder.card.num_frames) == (family, "theirs", 8)


def test_every_tensor_ends_in_its_place_the_decoder_included(model):
    renamed, expected = to_our_names(huggingface_file(model)), model.state_dict()
    assert renamed.keys() == expected.keys()
    assert all(torch.equal(renamed[name], expected[name]) for name in expected)


def test_query_key_and_value_are_stacked_in_this_order():
    weights = huggingface_file(pretraining_model(SMALL))
    for number, kind in enumerate(("query", "key", "value"), start=1):
        weights[f"videomae.encoder.layer.1.attention.attention.{kind}.weight"] = torch.full((24, 24), float(number))
    fused = to_our_names(weights)["encoder.blocks.1.attn.qkv.weight"]
    assert fused[:, 0].tolist() == [1.0] * 24 + [2.0] * 24 + [3.0] * 24


def test_biases_under_the_names_of_version_5_and_key_biases_that_change_nothing(tmp_path, model, clip):
    weights = {
        name.replace("q_bias", "query.bias").replace("v_bias", "value.bias"): value
        for name, value in huggingface_file(model).items()
    }
    for layer in range(2):
        weights[f"videomae.encoder.layer.{layer}.attention.attention.key.bias"] = torch.randn(24)
    encoder = external_encoder(folder(tmp_path / "v5", weights, qkv_bias=None, qv_bias=True))
    assert torch.equal(encoder.encode(clip).token_BND, model.encoder(clip))


@pytest.mark.parametrize("changes", [{}, {"qkv_bias": None}, {"qkv_bias": None, "qv_bias": True}])
@pytest.mark.parametrize("bias", ["q_bias", "v_bias"])
def test_a_missing_bias_is_an_error_and_never_zero(tmp_path, model, bias, changes):
    weights = {
        name: value
        for name, value in huggingface_file(model).items()
        if f"layer.1.attention.attention.{bias}" not in name
    }
    assert len(weights) == len(huggingface_file(model)) - 1
    with pytest.raises(ValueError, match=f"the {bias} of 'encoder.blocks.1' is missing"):
        external_checkpoint(folder(tmp_path / "theirs", weights, **changes))


@pytest.mark.parametrize("key", ["qkv_bias", "qv_bias"])
def test_a_model_without_biases_has_none(tmp_path, model, clip, key):
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("q_bias", "v_bias")):
                parameter.zero_()
    whole = huggingface_file(model)
    weights = {name: value for name, value in whole.items() if not name.endswith(("q_bias", "v_bias"))}
    settings = {"qkv_bias": None, key: False}
    encoder = external_encoder(folder(tmp_path / "none", weights, **settings))
    assert torch.equal(encoder.encode(clip).token_BND, model.encoder(clip))
    with pytest.raises(ValueError, match=r"config.json says qkv_bias false"):
        external_checkpoint(folder(tmp_path / "some", whole, **settings))
    assert external_checkpoint(tmp_path / "none").warnings == ()
    assert "biases are zero" in external_checkpoint(folder(tmp_path / "zero", whole)).warnings[0]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"num_hidden_layers": 3}, "num_hidden_layers 3, the file holds 2"),
        ({"hidden_size": 48}, "hidden_size 48, the file holds 24"),
        ({"patch_size": 16}, "patch_size 16, the file holds 8"),
        ({"tubelet_size": 4}, "tubelet_size 4, the file holds 2"),
        ({"use_mean_pooling": True}, "use_mean_pooling true, but the file has a final norm"),
        ({"hidden_act": "relu"}, "the activation 'relu'"),
        ({"model_type": "vivit"}, "describes a 'vivit'"),
        ({"num_attention_heads": None}, "state it"),
        ({"num_frames": 7}, "states clips of 7 frames"),
    ],
)
def test_a_config_of_another_model_is_refused(tmp_path, model, changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        external_encoder(folder(tmp_path / "theirs", huggingface_file(model), **changes))


@pytest.mark.parametrize("kind", ["query", "key", "value"])
def test_a_missing_or_misshaped_matrix_is_refused(tmp_path, model, kind):
    weights = huggingface_file(model)
    name = f"videomae.encoder.layer.0.attention.attention.{kind}.weight"
    misshaped = weights | {name: weights[name][:12]}
    with pytest.raises(ValueError, match="different shapes"):
        external_checkpoint(folder(tmp_path / "misshaped", misshaped))
    del weights[name]
    with pytest.raises(ValueError, match=f"'encoder.blocks.0' lacks 'attention.attention.{kind}.weight'"):
        external_checkpoint(folder(tmp_path / "missing", weights))


def test_a_norm_that_no_config_excuses_is_missing(tmp_path, model):
    path = folder(tmp_path / "theirs", trunk(huggingface_file(model), norm=False), use_mean_pooling=None)
    with pytest.raises(ValueError, match=r"2 keys missing \('encoder.norm.bias'"):
        external_encoder(path)


def test_normalisation_comes_from_the_preprocessor(tmp_path, model):
    path = folder(tmp_path / "theirs", huggingface_file(model))
    assert external_encoder(path).card.mean == (0.485, 0.456, 0.406)
    (path / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.5, 0.4, 0.3], "image_std": [1, 1, 1]}))
    card = external_encoder(path).card
    assert (card.mean, card.std) == ((0.5, 0.4, 0.3), (1.0, 1.0, 1.0))


def test_unusual_heads_are_doubted(tmp_path):
    weights = huggingface_file(pretraining_model(SMALL.model_copy(update={"width": 384, "depth": 2, "num_heads": 16})))
    path = folder(tmp_path / "small", weights, hidden_size=384, num_attention_heads=16)
    assert "released models of width 384 have 6" in external_checkpoint(path).warnings[0]


def test_positions_in_the_file_must_be_the_sinusoid(tmp_path, model):
    name = "videomae.embeddings.position_embeddings"
    good = huggingface_file(model) | {
        name: sinusoid_table(64, 24)[None],
        "position_embeddings": sinusoid_table(64, 12)[None],
    }
    assert external_encoder(folder(tmp_path / "good", good)).report.missing == ()
    bad = good | {name: good[name] + 0.01}
    with pytest.raises(ValueError, match="not the fixed sinusoid"):
        external_encoder(folder(tmp_path / "bad", bad))


def test_an_empty_folder_says_what_to_do(tmp_path):
    with pytest.raises(ValueError, match=r"a folder without model.safetensors or pytorch_model.bin"):
        external_checkpoint(tmp_path)
