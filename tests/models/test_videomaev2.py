"""VideoMAE v2, MVD and UMT: properties of their blocks, their folders and files, and models that are not built in."""

import argparse
import json
import math
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sigma_bench.models.encoder import NetworkEncoder
from sigma_bench.models.file_summary import inspect_model
from sigma_bench.models.position_tables import mvd_table
from sigma_bench.models.video_vit import CosineAttention, Mlp, VideoViT, VitOptions
from sigma_bench.models.zoo import load_encoder
from sigma_bench.specs.model_arguments import ModelArguments
from tests.models.external_files import (
    HF_CONFIG,
    SMALL,
    finetuned_file,
    huggingface_file,
    pretraining_model,
    randomised,
)
from tests.models.video_files import (
    MVD_SPEC,
    Tensors,
    giant_like,
    mvd_network,
    mvd_tensors,
    saved_as_model,
    videomaev2_folder,
    without_head,
    write_folder,
)

CLIP = torch.randn(2, 3, 8, 32, 32, generator=torch.Generator().manual_seed(1))


def opened(name: str, **arguments: Any) -> NetworkEncoder:
    encoder = load_encoder(name, arguments=ModelArguments(**arguments))
    assert isinstance(encoder, NetworkEncoder)
    return encoder


def tokens_before_norm(vit: VideoViT) -> Tensor:
    norm, vit.norm = vit.norm, nn.Identity()  # type: ignore[assignment]
    token = vit(CLIP)
    vit.norm = norm
    return token


def cosine_attention_by_hand(attention: CosineAttention, token_BND: Tensor) -> Tensor:
    query, key, value = attention._heads(token_BND)
    cosine = (query / query.norm(dim=-1, keepdim=True)) @ (key / key.norm(dim=-1, keepdim=True)).mT
    scale = torch.tensor([min(value, 4.6052) for value in attention.scale.flatten().tolist()]).exp()
    mixed = (cosine * scale.view(-1, 1, 1)).softmax(-1) @ value
    return attention.proj(mixed.transpose(1, 2).flatten(2))


@pytest.mark.parametrize("scale", [0.3, math.log(10), 4.6, 4.7, 20.0])
def test_cosine_attention_and_its_greatest_scale(scale: float) -> None:
    attention = randomised(CosineAttention(24, 3))
    assert isinstance(attention, CosineAttention)
    with torch.no_grad():
        attention.scale.copy_(torch.tensor([scale, 1.0, 0.0]).view(3, 1, 1))
    token = torch.randn(2, 7, 24)
    expected = cosine_attention_by_hand(attention, token)
    torch.testing.assert_close(attention(token), expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(attention(token, 2), expected[:, -2:], rtol=0, atol=1e-6)
    capped = attention(token)
    with torch.no_grad():
        attention.scale[0] = 4.6052
    assert torch.equal(attention(token), capped) == (scale > 4.6052)


def test_a_new_scale_is_ten() -> None:
    assert torch.allclose(CosineAttention(24, 3).scale.exp(), torch.tensor(10.0))


@pytest.mark.parametrize("epsilon", [1e-6, 1e-12, 1e-2])
def test_all_norms_have_the_epsilon_of_the_options(epsilon: float) -> None:
    vit = VideoViT(SMALL, VitOptions(layer_norm_eps=epsilon))
    norms = [module for module in vit.modules() if isinstance(module, nn.LayerNorm)]
    assert len(norms) == 5 and {norm.eps for norm in norms} == {epsilon}


def test_the_activation_is_the_exact_gelu() -> None:
    mlp, x = Mlp(24, 40), torch.randn(3, 24)
    assert torch.equal(mlp(x), mlp.fc2(F.gelu(mlp.fc1(x))))
    assert not torch.equal(mlp(x), mlp.fc2(F.gelu(mlp.fc1(x), approximate="tanh")))


@pytest.mark.parametrize("options", [{}, {"cosine_attention": True}, {"mlp_width": None}])
def test_a_finetuned_file_gives_tokens_and_the_norm_of_pooled_tokens(tmp_path: Path, options: dict[str, Any]) -> None:
    vit = giant_like(**options)
    weights = finetuned_file(vit)
    encoder = opened(saved_as_model(tmp_path, weights))
    tokens = tokens_before_norm(vit)
    assert torch.equal(encoder.encode(CLIP).token_BND, tokens)
    normed = opened(saved_as_model(tmp_path, weights), norm=True).encode(CLIP).token_BND
    expected = F.layer_norm(tokens, (24,), weights["fc_norm.weight"], weights["fc_norm.bias"], eps=1e-6)
    torch.testing.assert_close(normed, expected, rtol=0, atol=1e-6)
    assert encoder.report is not None and encoder.report.unexpected == ("head.bias", "head.weight")


def test_width_1408_has_16_heads_here(tmp_path: Path) -> None:
    spec = SMALL.model_copy(update={"width": 1408, "depth": 1, "num_heads": 16, "patch_size": 14, "image_size": 28})
    vit = VideoViT(spec, VitOptions(mlp_width=6144))
    torch.save({"module": finetuned_file(vit)}, tmp_path / "vit_g.pth")
    encoder = opened(f"{tmp_path / 'vit_g.pth'}@2x28")
    clip = torch.randn(1, 3, 2, 28, 28)
    vit.norm = nn.Identity()  # type: ignore[assignment]
    assert torch.equal(encoder.encode(clip).token_BND, vit.eval()(clip))
    assert encoder.network.get_submodule("blocks.0.attn").num_heads == 16


@pytest.mark.parametrize("epsilon", [1e-6, 1e-2])
def test_a_folder_is_read_without_its_code(tmp_path: Path, epsilon: float) -> None:
    vit = giant_like(layer_norm_eps=epsilon)
    folder = videomaev2_folder(tmp_path / "VideoMAEv2-giant", without_head(finetuned_file(vit)), layer_norm_eps=epsilon)
    for name in (str(folder), f"hf:{folder}"):
        encoder = opened(name)
        assert torch.equal(encoder.encode(CLIP).token_BND, tokens_before_norm(vit))
        card = encoder.card
        assert (card.model, card.family, card.num_frames, card.image_size) == ("VideoMAEv2-giant", "VideoMAE v2", 8, 32)
    assert card.mean == (0.485, 0.456, 0.406)
    stated = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.25]}
    (folder / "preprocessor_config.json").write_text(json.dumps(stated))
    assert opened(str(folder)).card.std == (0.5, 0.5, 0.25)
    assert inspect_model(str(folder))[0]["format"] == "Hugging Face VideoMAE v2"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"embed_dim": 48}, "model_config says embed_dim 48, the file holds 24"),
        ({"depth": 3}, "depth 3, the file holds 2"),
        ({"patch_size": 16}, "patch_size 16, the file holds 8"),
        ({"tubelet_size": 1}, "tubelet_size 1, the file holds 2"),
        ({"cos_attn": True}, "cos_attn True, the file holds False"),
        ({"mlp_ratio": 4}, "mlp_ratio 4, the MLPs in the file are 104 wide"),
        ({"mlp_ratio": "absent"}, "mlp_ratio 4, the MLPs in the file are 104 wide"),
        ({"num_heads": 5}, "does not divide into 5 heads"),
        ({"use_learnable_pos_emb": True}, "use_learnable_pos_emb True; the network here has False only"),
        ({"qkv_bias": False}, "qkv_bias False"),
        ({"qk_scale": 0.5}, "qk_scale 0.5"),
        ({"norm_layer": "nn.BatchNorm1d"}, "norm_layer 'nn.BatchNorm1d'"),
        ({"use_mean_pooling": False}, "use_mean_pooling false, but the file has no final norm"),
        ({"layer_norm_eps": -1.0}, "layer_norm_eps"),
        ({"window": 7}, "the key 'window' in model_config is not known"),
        ({"img_size": 30}, "states clips of 8 frames x 30 px"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    folder = videomaev2_folder(tmp_path / "hub", without_head(finetuned_file(giant_like())), **changes)
    with pytest.raises(ValueError, match=sentence):
        opened(str(folder))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [({"model_type": "VideoMAEv2_Base"}, "lacks the mapping 'model_config'"), ({"model_type": "vit"}, "type 'vit'")],
)
def test_a_configuration_of_another_model_is_refused(tmp_path: Path, content: Any, sentence: str) -> None:
    folder = videomaev2_folder(tmp_path / "hub", without_head(finetuned_file(giant_like())))
    (folder / "config.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=sentence):
        opened(str(folder))


def mvd_by_hand(vit: VideoViT) -> Tensor:
    token = vit.patch_embed(CLIP, None) + mvd_table((4, 4, 4), MVD_SPEC.width)
    return vit.blocks(token)


def test_a_pretraining_file_of_mvd(tmp_path: Path) -> None:
    vit = mvd_network()
    torch.save({"model": mvd_tensors(vit), "epoch": 3}, tmp_path / "mvd.pth")
    encoder = opened(f"{tmp_path / 'mvd.pth'}@8x32@3heads")
    assert encoder.card.family == "MVD" and encoder.card.pretraining_epochs == 4
    assert torch.equal(encoder.encode(CLIP).token_BND, vit.norm(mvd_by_hand(vit)))
    assert encoder.report is not None and encoder.report.layout == "MVD pretraining"
    assert {name.split(".")[0] for name in encoder.report.unexpected} == {
        f"{part}_{kind}" for part in ("mask_token", "down", "decoder", "pos_embed") for kind in ("img", "vid")
    }
    wrong = mvd_tensors(vit) | {"pos_embed": torch.randn(1, 64, MVD_SPEC.width)}
    torch.save({"model": wrong}, tmp_path / "mvd.pth")
    with pytest.raises(ValueError, match=r"'encoder.pos_embed' is not the fixed sinusoid"):
        opened(f"{tmp_path / 'mvd.pth'}@8x32@3heads")


@pytest.mark.parametrize(("arguments", "is_mvd"), [({"remove_pos_emb": False}, True), ({"lr": 0.1}, False)])
def test_a_finetuned_file_of_mvd_is_told_by_its_run(tmp_path: Path, arguments: dict[str, Any], is_mvd: bool) -> None:
    vit = mvd_network()
    content = {"model": finetuned_file(vit), "args": argparse.Namespace(**arguments)}
    torch.save(content, tmp_path / "ft.pth")
    encoder = opened(f"{tmp_path / 'ft.pth'}@8x32@3heads")
    assert torch.equal(encoder.encode(CLIP).token_BND, mvd_by_hand(vit)) == is_mvd
    assert encoder.card.family == ("MVD, fine-tuned" if is_mvd else "VideoMAE or SIGMA, fine-tuned")
    assert encoder.report is not None and ("fine-tuned file of MVD" in str(encoder.report.warnings)) == is_mvd


def test_a_pretraining_file_of_umt_has_clips_of_eight_frames(tmp_path: Path) -> None:
    vit = randomised(VideoViT(SMALL.model_copy(update={"tubelet_frames": 1})))
    tensors: Tensors = {f"encoder.{name}": value for name, value in vit.state_dict().items()}
    torch.save({"model": tensors | {"clip_decoder.0.norm.bias": torch.ones(3)}}, tmp_path / "umt.pth")
    assert opened(f"{tmp_path / 'umt.pth'}@3heads").card.num_frames == 8
    encoder = opened(f"{tmp_path / 'umt.pth'}@8x32@3heads")
    assert encoder.card.family == "UMT" and encoder.card.tubelet_frames == 1
    found = encoder.encode(CLIP)
    assert found.grid == (8, 4, 4) and torch.equal(found.token_BND, vit(CLIP))


def image_vit() -> Tensors:
    return timm.create_model("vit_tiny_patch16_224", img_size=32, num_classes=0, depth=1).state_dict()


def internvideo2() -> Tensors:
    return {
        "patch_embed.proj.weight": torch.zeros(24, 3, 1, 14, 14), "cls_token": torch.zeros(1, 1, 24),
        "blocks.0.attn.qkv.weight": torch.zeros(72, 24), "blocks.0.attn.q_norm.weight": torch.zeros(24),
        "blocks.0.ls1.gamma": torch.zeros(24),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("tensors", "sentence"),
    [
        (image_vit, r"holds an image ViT .*; use timm:<name>:<file>"),
        (internvideo2, "holds an InternVideo2 encoder"),
    ],
)
@pytest.mark.parametrize("form", ["plain", "teacher and student", "model"])
def test_well_known_models_are_named_with_what_would_load_them(
    tmp_path: Path, tensors: Any, sentence: str, form: str
) -> None:
    plain = tensors()
    inner = {f"module.backbone.{name}": value for name, value in plain.items()}
    content = {"plain": plain, "teacher and student": {"student": inner, "teacher": inner}, "model": {"model": inner}}
    torch.save(content[form], tmp_path / "a.pth")
    with pytest.raises(ValueError, match=rf"^{tmp_path / 'a.pth'}: {sentence}"):
        opened(str(tmp_path / "a.pth"))


def test_the_epsilon_of_a_videomae_folder_is_honoured(tmp_path: Path) -> None:
    model = pretraining_model()
    tokens = {}
    for epsilon in (1e-6, 1e-2):
        path = write_folder(tmp_path / str(epsilon), huggingface_file(model), HF_CONFIG | {"layer_norm_eps": epsilon})
        tokens[epsilon] = opened(str(path)).encode(CLIP).token_BND
    assert torch.equal(tokens[1e-6], model.encoder(CLIP)) and (tokens[1e-2] - tokens[1e-6]).abs().max() > 1e-3
    with pytest.raises(ValueError, match="intermediate_size 95, the file holds 96"):
        opened(str(write_folder(tmp_path / "a", huggingface_file(model), HF_CONFIG | {"intermediate_size": 95})))
    with pytest.raises(ValueError, match="layer_norm_eps"):
        opened(str(write_folder(tmp_path / "b", huggingface_file(model), HF_CONFIG | {"layer_norm_eps": "small"})))


def test_fine_tuning_leaves_the_norm_of_pooled_tokens_out(tmp_path: Path) -> None:
    encoder = opened(saved_as_model(tmp_path, finetuned_file(giant_like())))
    backbone = encoder.backbone(0.1).train()
    backbone(CLIP).sum().backward()
    without = {name for name, value in backbone.named_parameters() if value.grad is None}
    assert without == {"network.fc_norm.weight", "network.fc_norm.bias"}
    assert not any(value.requires_grad for name, value in backbone.named_parameters() if name in without)
