"""Models of transformers as encoders: tokens equal to the library's own, clips of other geometry, and training."""

import json

import pytest
import torch
import torch.nn.functional as F

from sigma_bench.models.model_arguments import with_arguments
from sigma_bench.models.token_order import find_token_order
from sigma_bench.models.zoo import load_encoder
from sigma_bench.specs.model_arguments import ModelArguments
from sigma_bench.training.drop_path import use_chances
from tests.models.huggingface_folders import (
    MODELS,
    PE_VIDEO,
    change_config,
    clip_for,
    saved,
    small_model,
    transformers,
    weights_in_folder,
    write_folder,
)

NUM_PREFIX_TOKENS = {
    "vivit": 1, "vivit_classifier": 1, "dinov2": 1, "dinov2_swiglu": 1, "dinov2_registers": 4, "dinov3": 5,
    "dinov3_gated": 1, "clip_vision": 1, "clip_projection": 1, "clip": 1,
}  # fmt: skip


def vision_model(model):
    """The model inside a classifier or a model with two towers."""
    for name in ("timesformer", "vivit", "dinov2", "vision_model", "hiera"):
        model = getattr(model, name, model)
    return model


@torch.inference_mode()
def expected_tokens(name, model, clip, **options):
    """Tokens (B, N, D) in order time, row, column of the library's own forward."""
    model, (batch, _, frames) = vision_model(model), clip.shape[:3]
    image = clip.transpose(1, 2)
    if name.startswith("timesformer"):
        token = model(image).last_hidden_state
        if name == "timesformer_space":
            return token[:, 1:].reshape(batch, -1, token.shape[-1])
        return token[:, 1:].unflatten(1, (-1, frames)).transpose(1, 2).flatten(1, 2)
    if name.startswith(("vivit", "videoprism", "pe_video")):
        return model(image.contiguous(), **options).last_hidden_state[:, NUM_PREFIX_TOKENS.get(name, 0) :]
    if name.startswith("hiera"):  # in the order that the library restores for feature maps, unmasked
        model.embeddings.patch_embeddings.is_mae = False
        output = model(image.flatten(0, 1), output_hidden_states=True, **options)
        return output.reshaped_hidden_states[-1].reshape(batch, -1, output.last_hidden_state.shape[-1])
    token = model(image.flatten(0, 1), **options).last_hidden_state[:, NUM_PREFIX_TOKENS.get(name, 0) :]
    return token.reshape(batch, -1, token.shape[-1])


def opened(name, tmp_path, suffix="", **changes):
    model = small_model(name, **changes)
    return model, load_encoder(f"hf:{saved(model, tmp_path / 'model')}{suffix}")


@pytest.mark.parametrize("name", MODELS)
def test_tokens_equal_those_of_transformers(name, tmp_path):
    model, encoder = opened(name, tmp_path)
    clip = clip_for(name)
    model.set_attn_implementation("eager")
    expected = expected_tokens(name, model, clip)
    features = encoder.encode(clip)
    torch.testing.assert_close(features.token_BND, expected, rtol=2e-5, atol=2e-5)
    assert features.token_BND.shape[1:] == (torch.tensor(features.grid).prod(), encoder.card.feature_width)
    encoder.network.double()
    expected = expected_tokens(name, model.double(), clip.double())
    torch.testing.assert_close(encoder.encode(clip.double()).token_BND, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_tokens_are_in_order_time_row_column(name, tmp_path):
    _, encoder = opened(name, tmp_path)
    clip = clip_for(name, frames=encoder.card.num_frames)
    assert find_token_order(encoder, clip).is_right


def resized_table(table_1ND, grid, new_grid, **how):
    """Learned positions (1, N, D) of a grid, resized to another."""
    map_1Dhw = table_1ND.unflatten(1, grid).permute(0, 3, 1, 2)
    return F.interpolate(map_1Dhw, size=new_grid, **how).flatten(2).transpose(1, 2)


def with_tables(name, model, **tables):
    """The same model built for another geometry, with these position tables."""
    class_name, settings = MODELS[name]
    other = getattr(transformers, class_name)(model.config_class(**{**settings, **tables.pop("geometry")})).eval()
    other.load_state_dict({**model.state_dict(), **tables["state"]})
    return other


@pytest.mark.parametrize("name", ["timesformer", "timesformer_joint", "timesformer_space"])
@pytest.mark.parametrize(("frames", "size"), [(6, 32), (3, 48), (1, 16), (4, (32, 48))])
def test_timesformer_of_other_geometry_has_tables_resized_to_the_nearest(name, frames, size, tmp_path):
    model, encoder = opened(name, tmp_path)
    rows, columns = (side // 8 for side in (size if isinstance(size, tuple) else (size, size)))
    space = model.state_dict()["embeddings.position_embeddings"]
    resized = resized_table(space[:, 1:], (4, 4), (rows, columns), mode="nearest")
    state = {"embeddings.position_embeddings": torch.cat([space[:, :1], resized], 1)}
    if name != "timesformer_space":
        time = model.state_dict()["embeddings.time_embeddings"]
        state["embeddings.time_embeddings"] = F.interpolate(time.mT, size=frames, mode="nearest").mT
    if rows == columns:
        reference = with_tables(name, model, state=state, geometry={"num_frames": frames, "image_size": rows * 8})
    else:  # a configuration has square images only; its size is the width
        reference = with_tables(name, model, state={}, geometry={})
        reference.config.num_frames, reference.config.image_size = frames, columns * 8
    clip = clip_for(name, frames=frames, size=size)
    features = encoder.encode(clip)
    assert features.grid == (frames, rows, columns)
    torch.testing.assert_close(features.token_BND, expected_tokens(name, reference, clip))
    again = clip_for(name)
    torch.testing.assert_close(encoder.encode(again).token_BND, expected_tokens(name, model, again))


def test_timesformer_refuses_places_that_it_would_take_for_others(tmp_path):
    _, encoder = opened("timesformer", tmp_path)
    with pytest.raises(ValueError, match="wrong positions for 2 x 8 patches"):
        encoder.encode(clip_for("timesformer", size=(16, 64)))


@pytest.mark.parametrize(("frames", "size"), [(1, 36), (3, 36), (8, 54), (4, (54, 36)), (1, 18)])
def test_videoprism_of_other_geometry_has_interpolated_tables(frames, size, tmp_path):
    model, encoder = opened("videoprism", tmp_path)
    height, width = size if isinstance(size, tuple) else (size, size)
    how = {"mode": "bilinear", "antialias": True}
    space, time = (f"{kind}_embeddings.position_embeddings" for kind in ("spatial", "temporal"))
    tables = model.state_dict()
    resized_time = F.interpolate(tables[time][:, None], size=(frames, 32), **how)[:, 0]
    resized_space = resized_table(tables[space], (2, 2), (height // 18, width // 18), **how)
    reference = with_tables(
        "videoprism",
        model,
        state={time: resized_time, space: resized_space},
        geometry={"num_frames": frames, "image_size": [height, width]},
    )
    clip = clip_for("videoprism", frames=frames, size=size)
    torch.testing.assert_close(encoder.encode(clip).token_BND, expected_tokens("videoprism", reference, clip))


@pytest.mark.parametrize("name", ["dinov2", "dinov2_registers", "dinov3", "clip", "siglip", "hiera"])
@pytest.mark.parametrize("size", [64, 96, (64, 96)])
def test_image_models_of_other_sizes_equal_transformers(name, size, tmp_path):
    model, encoder = opened(name, tmp_path)
    clip = clip_for(name, size=size, frames=3)
    options = {"interpolate_pos_encoding": True} if name in ("clip", "siglip", "hiera") else {}
    if name == "hiera" and size != 64:  # the library cannot restore other sizes, but the last stage is in order
        token = model(clip.transpose(1, 2).flatten(0, 1), **options).last_hidden_state
        expected = token.reshape(2, -1, token.shape[-1])
    else:
        expected = expected_tokens(name, model, clip, **options)
    torch.testing.assert_close(encoder.encode(clip).token_BND, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["dinov2", "dinov2_registers", "dinov3", "clip"])
def test_class_tokens_are_the_pooled_output(name, tmp_path):
    model, encoder = opened(name, tmp_path)
    clip = clip_for(name)
    features = encoder.class_tokens(encoder.network, clip)
    with torch.inference_mode():
        pooled = vision_model(model)(clip.transpose(1, 2).flatten(0, 1)).pooler_output
    assert features.grid == (2, 1, 1)
    torch.testing.assert_close(features.token_BND, pooled.unflatten(0, (2, 2)))


@pytest.mark.parametrize(
    ("name", "suffix", "message"),
    [
        ("vivit", "@8x32", "has positions for 4 frames x 32 px only"),
        ("vivit", "@4x64", "has positions for 4 frames x 32 px only"),
        ("timesformer", "@4x30", "do not divide into patches of 8 px"),
        ("videoprism", "@4x32", "do not divide into patches of 18 px"),
        ("dinov2", "@4x33", "do not divide into patches of 8 px"),
        ("dinov3", "@4x36", "do not divide into patches of 8 px"),
        ("clip", "@4x36", "do not divide into patches of 8 px"),
        ("hiera", "@4x80", "do not divide into patches of 32 px"),
        ("pe_video", "@4x64", "its image model takes images of 32 px only"),
        ("timesformer", "@0x32", "at least 1"),
        ("timesformer", "@4x8", "more than one row and column"),
        ("dinov3", "@1000000x1000000", "at most 4096 frames of 8192 px"),
    ],
)
def test_impossible_clips_are_refused_when_loading(name, suffix, message, tmp_path):
    folder = saved(small_model(name), tmp_path / "model")
    with pytest.raises(ValueError, match=message):
        load_encoder(f"hf:{folder}{suffix}")


@pytest.mark.parametrize("name", ["timesformer", "videoprism", "dinov2", "dinov3", "clip", "siglip", "hiera", "vivit"])
def test_pixels_that_do_not_fill_a_patch_are_not_cut_off(name, tmp_path):
    _, encoder = opened(name, tmp_path)
    clip = clip_for(name, size=(64, 67))
    with pytest.raises(ValueError, match="do not divide into patches"):
        encoder.encode(clip)


def test_vivit_is_asked_for_no_fewer_frames_than_it_has(tmp_path):
    _, encoder = opened("vivit", tmp_path)
    assert encoder.card.min_frames == encoder.card.num_frames == 4
    for other in ({"frames": 2}, {"size": 64}):
        with pytest.raises(ValueError, match="clips of 4 frames x 32 px only"):
            encoder.encode(clip_for("vivit", **other))


def test_siglip_keeps_its_published_size_although_patches_do_not_fill_it(tmp_path):
    model, encoder = opened("siglip_vision", tmp_path, image_size=36)
    clip = clip_for("siglip_vision", size=36)
    assert (encoder.card.image_size, encoder.encode(clip).grid) == (36, (2, 4, 4))
    torch.testing.assert_close(encoder.encode(clip).token_BND, expected_tokens("siglip_vision", model, clip))


@pytest.mark.parametrize("name", [name for name in MODELS if "_" not in name] + ["hiera_pretraining", "dinov3_gated"])
def test_the_network_can_be_trained(name, tmp_path):
    _, encoder = opened(name, tmp_path)
    clip = clip_for(name)
    plain = encoder.backbone(0.0).eval()
    token = plain(clip)
    if encoder.parts.norm is not None:
        token = encoder.network.get_submodule(encoder.parts.norm)(token)
    torch.testing.assert_close(token.detach(), encoder.encode(clip).token_BND, rtol=1e-5, atol=1e-5)
    backbone, many = encoder.backbone(0.5).train(), clip.repeat(8, 1, 1, 1, 1)
    torch.manual_seed(0)
    assert not torch.allclose(backbone(many), backbone(many)), "drop paths have no effect"
    plain.train()
    plain(clip).square().sum().backward()
    without = [key for key, value in plain.named_parameters() if value.requires_grad and value.grad is None]
    assert without == []
    num_blocks = len(list(encoder.network.get_submodule(encoder.parts.blocks).children()))
    assert {plain.layer_of(key) for key, _ in plain.named_parameters()} == set(range(num_blocks + 1))


@pytest.mark.parametrize(("name", "norm"), [("dinov2", "layernorm"), ("dinov3", "norm"), ("clip_vision", None)])
def test_tokens_of_an_intermediate_layer_are_those_of_transformers(name, norm, tmp_path):
    model, encoder = opened(name, tmp_path)
    clip = clip_for(name)
    cut = with_arguments(encoder, ModelArguments(layer=-2))
    with torch.inference_mode():
        hidden = model(clip.transpose(1, 2).flatten(0, 1), output_hidden_states=True).hidden_states[-2]
        hidden = model.get_submodule(norm)(hidden) if norm else hidden
    expected = hidden[:, NUM_PREFIX_TOKENS[name] :].reshape(2, -1, hidden.shape[-1])
    torch.testing.assert_close(cut.encode(clip).token_BND, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "layer"), [("hiera", -2), ("hiera", 0), ("videoprism", 1)])
def test_layers_whose_tokens_have_another_order_are_refused(name, layer, tmp_path):
    _, encoder = opened(name, tmp_path)
    with pytest.raises(ValueError, match=r"choose a later layer|after its 2 spatial blocks only"):
        with_arguments(encoder, ModelArguments(layer=layer)).encode(clip_for(name))


def test_settings_are_honoured_and_part_of_the_identity(tmp_path):
    model = small_model("dinov2")
    plain = load_encoder(f"hf:{saved(model, tmp_path / 'model')}")
    change_config(tmp_path / "model", layer_norm_eps=1e-2)
    changed = load_encoder(f"hf:{tmp_path / 'model'}")
    assert plain.card.checkpoint_sha256 == changed.card.checkpoint_sha256
    assert plain.card.code_sha256 != changed.card.code_sha256
    clip = clip_for("dinov2")
    reference = transformers.Dinov2Model.from_pretrained(tmp_path / "model").eval()
    torch.testing.assert_close(changed.encode(clip).token_BND, expected_tokens("dinov2", reference, clip))
    assert (changed.encode(clip).token_BND - plain.encode(clip).token_BND).abs().max() > 1e-4


def test_activation_and_epsilon_are_those_of_the_configuration(tmp_path):
    _, encoder = opened("clip", tmp_path)
    block = encoder.network.encoder.layers[0]
    assert type(block.mlp.activation_fn).__name__ == "QuickGELUActivation" and block.layer_norm1.eps == 1e-5
    _, encoder = opened("siglip", tmp_path / "siglip")
    assert encoder.network.encoder.layers[0].mlp.activation_fn.__class__.__name__ == "GELUTanh"


def test_remarks_of_the_writer_do_not_change_the_identity(tmp_path):
    plain = load_encoder(f"hf:{saved(small_model('dinov2'), tmp_path / 'model')}")
    change_config(tmp_path / "model", transformers_version="4.31.0", torch_dtype="float16", _name_or_path="elsewhere")
    assert load_encoder(f"hf:{tmp_path / 'model'}").card.identity == plain.card.identity


def test_the_report_names_tensors_that_are_not_needed(tmp_path):
    _, encoder = opened("clip", tmp_path)
    report = encoder.report
    assert all(name.startswith("vision_model.") for name in report.matched)
    assert {"logit_scale", "text_projection.weight", "visual_projection.weight"} <= set(report.unexpected)
    assert report.metadata["model_type"] == "clip" and json.dumps(dict(report.metadata))
    _, encoder = opened("siglip", tmp_path / "siglip")
    assert any(name.startswith("vision_model.head.") for name in encoder.report.unexpected)


def test_the_width_of_image_embeddings_of_pe_video_is_that_of_the_tensors(tmp_path):
    """transformers 5.24 builds a width of 2 whatever ``num_classes`` is, and cannot read such a folder itself."""
    vision = {**PE_VIDEO["vision_config"], "num_labels": 24}
    model, encoder = opened("pe_video", tmp_path, vision_config=vision)
    settings = json.loads((tmp_path / "model" / "config.json").read_text())
    change_config(tmp_path / "model", vision_config={**settings["vision_config"], "num_classes": 24})
    again = load_encoder(f"hf:{tmp_path / 'model'}")
    assert again.network.embedder.proj.in_features == model.embedder.proj.in_features == 24
    clip = clip_for("pe_video")
    for each in (encoder, again):
        torch.testing.assert_close(each.encode(clip).token_BND, expected_tokens("pe_video", model, clip))
    weights = weights_in_folder(tmp_path / "model")
    weights["embedder.proj.weight"] = weights["embedder.proj.weight"][:, :-1]
    write_folder(tmp_path / "model", settings, weights)
    with pytest.raises(ValueError, match=r"head\.(weight|bias)' has shape \(24"):
        load_encoder(f"hf:{tmp_path / 'model'}")


def test_drop_paths_of_large_batches_of_frames_are_those_of_each_clip(tmp_path):
    _, encoder = opened("dinov3", tmp_path)
    backbone = encoder.backbone(0.5).train()
    chances = use_chances(backbone)
    clip = torch.randn(9, 3, 16, 32, 32, generator=torch.Generator().manual_seed(2))
    chance_BK = torch.rand(9, 4, generator=torch.Generator().manual_seed(3))

    def tokens(part: slice) -> torch.Tensor:
        chances.start(chance_BK[part])
        return backbone(clip[part])

    apart = torch.cat([tokens(slice(0, 4)), tokens(slice(4, 9))])
    torch.testing.assert_close(tokens(slice(0, 9)), apart, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("key", "message"), [("hidden_size", "the width 0"), ("intermediate_size", "has shape")])
def test_settings_of_size_zero_are_refused_without_warnings(key, message, tmp_path, recwarn):
    path = saved(small_model("dinov3"), tmp_path / "model")
    change_config(path, **{key: 0})
    with pytest.raises(ValueError, match=message):
        load_encoder(f"hf:{path}")
    assert not recwarn.list


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("timesformer", "hidden_dropout_prob"),
        ("dinov2", "attention_probs_dropout_prob"),
        ("clip_vision", "attention_dropout"),
    ],
)
def test_dropout_of_a_configuration_is_refused_in_training_and_unused_in_features(tmp_path, name, key):
    _, encoder = opened(name, tmp_path, **{key: 0.1})
    clip = torch.rand(1, 3, encoder.card.num_frames, encoder.card.image_size, encoder.card.image_size)
    assert torch.equal(encoder.encode(clip).token_BND, encoder.encode(clip).token_BND)
    with pytest.raises(ValueError, match=r"has a dropout of 0\.1 .* set it to 0 in its configuration"):
        encoder.backbone(0.0)
