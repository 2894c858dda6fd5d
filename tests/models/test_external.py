"""Released SIGMA and VideoMAE files give the tokens of the saved network, or an error."""

import argparse
import hashlib

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from sigma_bench.models.checkpoints import load_strictly
from sigma_bench.models.external import to_our_names
from sigma_bench.models.video_vit import VideoViT, sinusoid_table
from tests.models.external_files import (
    SMALL,
    SPEC,
    external_checkpoint,
    external_encoder,
    finetuned_file,
    pretraining_file,
    pretraining_model,
    randomised,
)

STATED = argparse.Namespace(model="mine", num_heads=3, num_frames=8, input_size=32, seed=7, lr=1e-3)


@pytest.fixture
def clip():
    return torch.randn(2, 3, 8, 32, 32, generator=torch.Generator().manual_seed(1))


def saved(path, weights, key="model", **others):
    torch.save({key: weights, "args": STATED, **others}, path)
    return path


def without_norm(vit):
    vit.register_module("norm", nn.Identity())
    return vit


@pytest.mark.parametrize(
    ("parts", "family"),
    [
        ({}, "VideoMAE"),
        ({"prototypes": True}, "SIGMA-DINO"),
        ({"prototypes": True, "projection": True}, "SIGMA-MLP"),
    ],
)
def test_a_pretraining_file_gives_the_tokens_of_its_encoder(tmp_path, clip, parts, family):
    model = pretraining_model()
    path = saved(tmp_path / "vit_x.pth", pretraining_file(model, **parts), epoch=799, optimizer={"state": {}})
    encoder = external_encoder(path)
    features = encoder.encode(clip)
    torch.testing.assert_close(features.token_BND, model.encoder(clip), rtol=0, atol=0)
    assert features.grid == (4, 4, 4)
    card = encoder.card
    assert (card.family, card.model, card.num_frames, card.image_size) == (family, "vit_x", 8, 32)
    assert (card.pretraining_epochs, card.pretraining_seed, card.pretraining_data) == (800, 7, ())
    assert card.checkpoint_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert set(encoder.report.matched) == {f"encoder.{name}" for name in model.encoder.state_dict()}
    assert encoder.report.missing == ()
    assert "mask_token" in encoder.report.unexpected


@pytest.mark.parametrize("key", ["model", "module"])
@pytest.mark.parametrize("prefix", ["", "backbone.", "module.", "module.backbone."])
def test_a_classifier_gives_tokens_without_final_norm(tmp_path, clip, key, prefix):
    vit = randomised(VideoViT(SMALL))
    encoder = external_encoder(saved(tmp_path / "ft.pt", finetuned_file(vit, prefix), key=key, epoch=99))
    with_norm = vit(clip)
    expected = without_norm(vit)(clip)
    torch.testing.assert_close(encoder.encode(clip).token_BND, expected, rtol=0, atol=0)
    assert not torch.allclose(expected, with_norm, atol=1e-3)
    assert encoder.card.family == "VideoMAE or SIGMA, fine-tuned"
    assert encoder.card.pretraining_epochs == 0  # its epochs are those of fine-tuning
    assert encoder.report.missing == ("encoder.norm.bias", "encoder.norm.weight")
    assert encoder.report.unexpected == ("head.bias", "head.weight")
    assert encoder.parts.pooled_norm == "fc_norm" and encoder.parts.norm is None


def test_a_classifier_with_a_prefix_on_the_trunk_only(tmp_path, clip):
    vit = randomised(VideoViT(SMALL))
    weights = {
        name if name.startswith(("head", "fc_norm")) else f"backbone.{name}": value
        for name, value in finetuned_file(vit).items()
    }
    found = external_encoder(saved(tmp_path / "ft.pth", weights)).encode(clip).token_BND
    assert torch.equal(found, without_norm(vit)(clip))


def test_plain_safetensors_and_bare_dictionaries_are_read(tmp_path):
    model = randomised(VideoViT(SPEC))
    weights = {f"encoder.{name}": value.contiguous() for name, value in model.state_dict().items()}
    save_file(weights, tmp_path / "a.safetensors")
    torch.save(weights, tmp_path / "b.bin")
    clip = torch.randn(1, 3, 2, 32, 32)
    for name in ("a.safetensors", "b.bin"):
        encoder = external_encoder(tmp_path / name)
        assert torch.equal(encoder.encode(clip).token_BND, model(clip))
        assert (encoder.card.num_frames, encoder.card.image_size) == (16, 224)  # as released, where nothing is said
        assert (encoder.card.family, encoder.card.pretraining_seed) == ("VideoMAE or SIGMA", None)


def test_layer_scale_is_read(tmp_path, clip):
    spec = SMALL.model_copy(update={"layer_scale": 0.1})
    model = pretraining_model(spec)
    encoder = external_encoder(saved(tmp_path / "vit.pth", pretraining_file(model)))
    assert torch.equal(encoder.encode(clip).token_BND, model.encoder(clip))


@pytest.mark.parametrize(("frames", "size"), [(4, 32), (16, 48), (8, 16)])
def test_other_frames_and_sizes(tmp_path, frames, size):
    model = pretraining_model()
    path = saved(tmp_path / "vit.pth", pretraining_file(model))
    encoder = external_encoder(path, num_frames=frames, image_size=size)
    clip = torch.randn(1, 3, frames, size, size)
    assert (encoder.card.num_frames, encoder.card.image_size) == (frames, size)
    assert encoder.card.model == f"vit@{frames}x{size}"
    torch.testing.assert_close(encoder.encode(clip).token_BND, model.encoder(clip), rtol=0, atol=0)


@pytest.mark.parametrize(("frames", "size"), [(3, 32), (8, 30), (0, 32)])
def test_clips_that_do_not_divide_are_refused(tmp_path, frames, size):
    path = saved(tmp_path / "vit.pth", pretraining_file(pretraining_model()))
    with pytest.raises(ValueError, match=r"vit.pth: cannot take .* use multiples of both"):
        external_encoder(path, num_frames=frames, image_size=size)


def test_unknown_heads_must_be_stated(tmp_path, clip):
    model = pretraining_model()
    path = tmp_path / "vit.pth"
    torch.save({"model": pretraining_file(model)}, path)
    with pytest.raises(
        ValueError, match=r"heads is not in the file and cannot be derived from the width 24 .*num_heads=6"
    ):
        external_encoder(path)
    with pytest.raises(ValueError, match="does not divide into 5 heads"):
        external_encoder(path, num_heads=5)
    encoder = external_encoder(path, num_heads=3)
    assert torch.equal(encoder.encode(clip).token_BND, model.encoder(clip))
    assert encoder.card.model == "vit@3heads"
    assert not torch.allclose(external_encoder(path, num_heads=2).encode(clip).token_BND, model.encoder(clip))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("pretrain_videomae_base_patch16_224", "would be 768 wide"),
        ("pretrain_videomae_small_patch16_224", "1 blocks, but 'pretrain_videomae_small_patch16_224' has 12"),
    ],
)
def test_a_model_name_at_odds_with_the_tensors_is_refused(tmp_path, name, sentence):
    weights = {f"encoder.{name}": value for name, value in VideoViT(SPEC).state_dict().items()}
    torch.save({"model": weights, "args": argparse.Namespace(model=name)}, tmp_path / "vit.pth")
    with pytest.raises(ValueError, match=sentence):
        external_encoder(tmp_path / "vit.pth")


def damaged(weights, change):
    name = "encoder.blocks.1.attn.v_bias"
    if change == "missing":
        del weights[name]
    elif change == "extra":
        weights["encoder.blocks.1.attn.k_bias"] = weights[name]
    elif change == "shape":
        weights[name] = weights[name][:-1]
    elif change == "nan":
        weights[name] = weights[name].clone()
        weights[name][3] = float("nan")
    elif change == "overflow":
        weights[name] = torch.full_like(weights[name], 1e300, dtype=torch.float64)
    elif change == "quantised":
        weights[name] = weights[name].to(torch.int8)
    elif change == "gap":
        weights = {n.replace("encoder.blocks.1.", "encoder.blocks.2."): v for n, v in weights.items()}
    elif change == "stray norm":
        weights["norm.weight"] = weights["encoder.norm.weight"]
    elif change == "no norm":
        del weights["encoder.norm.weight"], weights["encoder.norm.bias"]
    return weights


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("missing", r"1 keys missing \('encoder.blocks.1.attn.v_bias'\), 0 unexpected"),
        ("extra", r"0 keys missing, 1 unexpected \('encoder.blocks.1.attn.k_bias'\)"),
        ("shape", r"'encoder.blocks.1.attn.v_bias' has shape \(23,\), the model needs \(24,\)"),
        ("nan", "'encoder.blocks.1.attn.v_bias' holds values that are not finite"),
        ("overflow", "'encoder.blocks.1.attn.v_bias' holds values that are not finite"),
        ("quantised", "'encoder.blocks.1.attn.v_bias' holds torch.int8"),
        ("gap", r"keys missing \('encoder.blocks.1"),
        ("stray norm", r"1 unexpected \('norm.weight'\)"),
        ("no norm", r"2 keys missing \('encoder.norm.bias'"),
    ],
)
def test_a_file_that_is_not_complete_and_sound_is_refused(tmp_path, change, sentence):
    weights = damaged(pretraining_file(pretraining_model()), change)
    with pytest.raises(ValueError, match=r"vit.pth: .*" + sentence):
        external_encoder(saved(tmp_path / "vit.pth", weights))


def test_nothing_is_loaded_when_the_last_tensor_is_wrong():
    vit, before = VideoViT(SMALL), {}
    before = {name: value.clone() for name, value in vit.state_dict().items()}
    tensors = dict(randomised(VideoViT(SMALL)).state_dict())
    tensors["patch_embed.proj.weight"] = tensors["patch_embed.proj.weight"] * float("inf")
    with pytest.raises(ValueError, match="not finite"):
        load_strictly(vit, tensors, where="file")
    assert all(torch.equal(before[name], value) for name, value in vit.state_dict().items())


def test_what_may_be_missing_keeps_its_values_and_is_reported():
    vit = VideoViT(SMALL)
    tensors = {name: value for name, value in randomised(VideoViT(SMALL)).state_dict().items() if "norm1" not in name}
    with pytest.raises(ValueError, match="4 keys missing"):
        load_strictly(vit, tensors, may_be_missing=("norm.",), where="file")
    report = load_strictly(vit, tensors, may_be_missing=("blocks.0.norm1.", "blocks.1.norm1."), where="file")
    assert report.missing == tuple(sorted(f"blocks.{n}.norm1.{kind}" for n in (0, 1) for kind in ("bias", "weight")))
    assert torch.equal(vit.blocks[0].norm1.weight, torch.ones(24))
    assert torch.equal(vit.norm.weight, tensors["norm.weight"])


def test_a_classifier_with_both_norms_is_ambiguous(tmp_path):
    vit = VideoViT(SMALL)
    weights = finetuned_file(vit) | {f"norm.{kind}": torch.ones(24) for kind in ("weight", "bias")}
    with pytest.raises(ValueError, match="both a final norm and fc_norm"):
        external_encoder(saved(tmp_path / "ft.pth", weights))


def test_a_projection_without_prototypes_is_incomplete(tmp_path):
    path = saved(tmp_path / "vit.pth", pretraining_file(pretraining_model(), projection=True))
    with pytest.raises(ValueError, match="no prototypes"):
        external_encoder(path)


@pytest.mark.parametrize(("error", "accepted"), [(0.0, True), (5e-5, True), (1e-3, False)])
def test_stored_positions_must_be_the_sinusoid(tmp_path, error, accepted):
    table = sinusoid_table(64, 24)[None]
    table[0, 40, 3] += error
    path = saved(tmp_path / "vit.pth", pretraining_file(pretraining_model()) | {"encoder.pos_embed": table})
    if accepted:
        assert "encoder.pos_embed" not in external_checkpoint(path).tensors
    else:
        with pytest.raises(ValueError, match=r"'encoder.pos_embed' is not the fixed sinusoid"):
            external_checkpoint(path)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("is_converted_back", [False, True])
def test_positions_saved_in_half_precision_are_the_sinusoid(tmp_path, clip, kind, is_converted_back):
    model = pretraining_model()
    weights = {name: value.to(kind) for name, value in pretraining_file(model).items()}
    weights["encoder.pos_embed"] = sinusoid_table(64, 24)[None].to(kind)
    if is_converted_back:
        weights = {name: value.float() for name, value in weights.items()}
    path = saved(tmp_path / "vit.pth", weights)
    rounded = VideoViT(SMALL)
    rounded.load_state_dict({name: value.to(kind) for name, value in model.encoder.state_dict().items()})
    assert torch.equal(external_encoder(path).encode(clip).token_BND, rounded.eval()(clip))
    weights["encoder.pos_embed"] = weights["encoder.pos_embed"].clone()
    weights["encoder.pos_embed"][0, 40, 3] += 4 * torch.finfo(kind).eps
    with pytest.raises(ValueError, match=r"'encoder.pos_embed' is not the fixed sinusoid"):
        external_checkpoint(saved(tmp_path / "vit.pth", weights))


@pytest.mark.parametrize("prefix", ["model.", "module.model.", "_orig_mod.model.backbone."])
@pytest.mark.parametrize(
    "keys", [(), ("state_dict",), ("encoder",), ("target_encoder",), ("teacher",), ("state_dict", "model")]
)
def test_wrapped_weights_are_those_inside(tmp_path, clip, prefix, keys):
    model = pretraining_model()
    content = {f"{prefix}{name}": value for name, value in pretraining_file(model).items()}
    for key in reversed(keys):
        content = {key: content, "epoch": 3, "pytorch-lightning_version": "2.2"}
    torch.save(content, tmp_path / "vit.ckpt")
    encoder = external_encoder(
        tmp_path / "vit.ckpt", num_frames=SMALL.num_frames, image_size=SMALL.image_size, num_heads=SMALL.num_heads
    )
    assert torch.equal(encoder.encode(clip).token_BND, model.encoder(clip))


def test_a_prefix_before_some_of_the_names_is_named(tmp_path):
    weights = {f"model.{name}": value for name, value in pretraining_file(pretraining_model()).items()}
    number = len(weights)
    content = {"state_dict": weights | {"criterion.weight": torch.zeros(2)}}
    torch.save(content, tmp_path / "vit.ckpt")
    with pytest.raises(
        ValueError,
        match=rf"'model.' stands before {number} of {number + 1} names and not before 'criterion.weight'; save",
    ):
        external_checkpoint(tmp_path / "vit.ckpt")


def test_several_sets_of_weights_are_named_and_none_is_chosen(tmp_path):
    weights = pretraining_file(pretraining_model())
    torch.save({"encoder": weights, "target_encoder": weights, "predictor": {"a": torch.zeros(2)}}, tmp_path / "vit.pt")
    with pytest.raises(ValueError, match=r"vit.pt: holds several sets of weights \(encoder, target_encoder\); save"):
        external_checkpoint(tmp_path / "vit.pt")
    torch.save({"network": weights, "epoch": 3}, tmp_path / "vit.pt")
    with pytest.raises(
        ValueError, match=r"'network' is of type dict, not a tensor; found 'network', 'epoch'; weights are looked"
    ):
        external_checkpoint(tmp_path / "vit.pt")


def test_two_names_that_become_one_are_refused(tmp_path):
    weights = {
        name if name.startswith(("head", "fc_norm")) else f"module.{name}": value
        for name, value in finetuned_file(VideoViT(SMALL)).items()
    }
    weights["module.head.bias"] = weights["head.bias"] + 1
    with pytest.raises(ValueError, match=r"two tensors are called 'head.bias'"):
        external_checkpoint(saved(tmp_path / "ft.pth", weights))


def test_renaming_changes_names_only():
    weights = pretraining_file(pretraining_model(), prototypes=True, projection=True)
    renamed = to_our_names(weights)
    assert renamed["prototypes.weight"] is weights["prototypes"]
    assert renamed["projector.0.bias"] is weights["head.0.bias"]
    assert renamed["decoder.head.bias"] is weights["decoder.head.bias"]
    assert len(renamed) == len(weights)
    classifier = finetuned_file(VideoViT(SMALL))
    assert to_our_names(classifier)["head.weight"] is classifier["head.weight"]  # a head is a projector nowhere else


def test_unknown_names_are_shown(tmp_path):
    with pytest.raises(ValueError, match=r"not a video ViT of .*; holds 'conv1.weight'"):
        external_checkpoint(saved(tmp_path / "resnet.pth", {"conv1.weight": torch.zeros(3)}))
