"""Files under the names of the original repositories, which timm converts: complete, or refused."""

import re

import pytest
import torch

from sigma_bench.models.timm_encoder import timm_encoder
from tests.models.timm_folders import FAMILIES, build, write_folder


def renamed(tensors, *rules):
    """Tensors whose names are changed by regular expressions in order."""
    found = {}
    for name, tensor in tensors.items():
        for pattern, new in rules:
            name = re.sub(pattern, new, name)
        found[name] = tensor
    return found


def dinov3(tensors):
    if "blocks.0.mlp.fc1_g.weight" in tensors:
        tensors = renamed(tensors, ("mlp.fc1_g", "mlp.w1"), ("mlp.fc1_x", "mlp.w2"), ("mlp.fc2", "mlp.w3"))
    tensors = renamed(tensors, ("reg_token", "storage_tokens"), (r"gamma_(\d)", r"ls\1.gamma"))
    extra = {"mask_token": torch.zeros(1, 48), "rope_embed.periods": torch.ones(3)}
    for block in (0, 1):
        extra[f"blocks.{block}.attn.qkv.bias"] = torch.zeros(144)
        extra[f"blocks.{block}.attn.qkv.bias_mask"] = torch.ones(144)
    return {name: tensor for name, tensor in tensors.items() if not name.startswith("head.")} | extra


def dinov2(tensors):
    tensors = renamed(tensors, ("reg_token", "register_tokens"))
    of_class = torch.randn(1, 1, 48)
    tensors["pos_embed"] = torch.cat([of_class, tensors["pos_embed"]], dim=1)
    tensors["cls_token"] = tensors["cls_token"] - of_class
    return {name: tensor for name, tensor in tensors.items() if not name.startswith("head.")} | {
        "mask_token": torch.zeros(1, 48)
    }


def dino(tensors):
    teacher = {f"module.backbone.{name}": tensor for name, tensor in tensors.items() if not name.startswith("head.")}
    student = {name: tensor + 1 for name, tensor in teacher.items()}
    return {"teacher": teacher | {"module.head.mlp.0.weight": torch.ones(2, 2)}, "student": student, "epoch": 3}


def eva02(tensors):
    tensors = renamed(tensors, ("^fc_norm", "norm"), ("^head", "lm_head"))
    extra = {
        "mask_token": torch.zeros(1, 1, 48),
        "rope.freqs_cos": torch.ones(16, 12),
        "blocks.0.attn.rope.freqs_sin": torch.ones(16, 12),
    }
    return {"module": tensors | extra}


def beit(tensors):
    return {
        "model": dict(tensors)
        | {f"blocks.{block}.attn.relative_position_index": torch.ones(17, 17) for block in (0, 1)}
    }


def swin(tensors):
    found = {}
    for name, tensor in renamed(tensors, (r"^head\.fc", "head")).items():
        name = re.sub(r"layers\.(\d)\.downsample", lambda at: f"layers.{int(at[1]) - 1}.downsample", name)
        found[name] = tensor
    return {"model": found | {"layers.0.blocks.0.attn.relative_position_index": torch.ones(49, 49)}}


def sam(tensors):
    image = renamed(tensors, (r"mlp\.fc", "mlp.lin"), ("^", "image_encoder."))
    return image | {
        "prompt_encoder.no_mask_embed.weight": torch.ones(1, 32),
        "mask_decoder.iou_token.weight": torch.ones(1, 32),
    }


def hiera(tensors):
    return {"model_state": renamed(tensors, (r"^head\.norm", "norm"), (r"^head\.fc", "head.projection"))}


def convnext(tensors):
    found = renamed(
        tensors, (r"^stem\.", "downsample_layers.0."), (r"stages\.(\d)\.downsample", r"downsample_layers.\1"),
        (r"\.blocks\.", "."), ("conv_dw", "dwconv"), (r"mlp\.fc", "pwconv"), (r"^head\.norm", "norm"),
        (r"^head\.fc", "head"),
    )  # fmt: skip
    return found | {"norms.3.weight": found["norm.weight"].clone()}


def deit3(tensors):
    return {"model": renamed(tensors, (r"ls(\d)\.gamma", r"gamma_\1"))}


OFFICIAL = {
    "ViT": dino, "DINOv2": dinov2, "DINOv3": dinov3, "DINOv3 gated": dinov3, "EVA02": eva02, "BEiT": beit,
    "BEiT v2": beit, "Swin": swin, "Swin v2": swin, "SAM": sam, "Hiera": hiera, "DINOv3 ConvNeXt": convnext,
    "DeiT III": deit3,
}  # fmt: skip


@pytest.fixture(scope="module", params=OFFICIAL)
def published(request, tmp_path_factory):
    """An encoder of a folder of timm, the folder's name for timm, and the content of the original file."""
    tiny = FAMILIES[request.param]
    model = build(tiny)
    folder = write_folder(tmp_path_factory.mktemp("timm") / "folder", tiny, model.state_dict())
    name = f"local-dir:{folder}"
    return timm_encoder(name), name, OFFICIAL[request.param](model.state_dict())


def test_an_original_file_gives_the_same_network(published, tmp_path):
    encoder, name, content = published
    torch.save(content, tmp_path / "original.pth")
    found = timm_encoder(name, file=tmp_path / "original.pth")
    expected = encoder.network.state_dict()
    assert found.network.state_dict().keys() == expected.keys()
    for key, tensor in found.network.state_dict().items():
        torch.testing.assert_close(tensor, expected[key], rtol=0, atol=1e-6 if key == "cls_token" else 0, msg=key)
    assert found.card.checkpoint_sha256 != encoder.card.checkpoint_sha256


def innermost(content):
    for key in ("teacher", "module", "model", "model_state"):
        if key in content:
            return content[key]
    return content


@pytest.mark.parametrize("change", ["dropped", "renamed", "doubled", "other shape"])
def test_a_damaged_original_file_is_refused(published, tmp_path, change):
    _, name, content = published
    tensors = innermost(content)
    before = dict(tensors)
    kernel = r"blocks\.0\..*proj\.weight|stages\.0\.0\.pwconv1\.weight"
    key = next(key for key in tensors if re.search(kernel, key))
    value = tensors.pop(key)
    if change == "renamed":
        tensors[key.replace("weight", "weigth")] = value
    elif change == "doubled":
        tensors |= {key: value, key.replace("0", "9", 1): value.clone()}
    elif change == "other shape":
        tensors[key] = value[:-1].clone()
    torch.save(content, tmp_path / "damaged.pth")
    tensors.clear()
    tensors |= before
    with pytest.raises(ValueError, match=r"damaged.pth: .*(missing|unexpected|shape|no place|convert)"):
        timm_encoder(name, file=tmp_path / "damaged.pth")


def folder_of(family, tmp_path):
    tiny = FAMILIES[family]
    model = build(tiny)
    return f"local-dir:{write_folder(tmp_path / 'folder', tiny, model.state_dict())}", model.state_dict()


def test_two_tensors_for_one_place_are_refused(tmp_path):
    name, tensors = folder_of("DINOv3 gated", tmp_path)
    content = dinov3(tensors)
    content["blocks.0.mlp.fc2.weight"] = content["blocks.0.mlp.w3.weight"] + 1
    torch.save(content, tmp_path / "both.pth")
    with pytest.raises(
        ValueError, match=r"'blocks.0.mlp.\w+.weight' has no place in the model, or another tensor takes"
    ):
        timm_encoder(name, file=tmp_path / "both.pth")


def test_a_bias_that_the_model_does_not_have_is_refused(tmp_path):
    name, tensors = folder_of("DINOv3", tmp_path)
    content = dinov3(tensors)
    content["blocks.1.attn.qkv.bias"][3] = 0.1
    torch.save(content, tmp_path / "biased.pth")
    with pytest.raises(
        ValueError, match=r"biased.pth: 'blocks.1.attn.qkv.bias' is not zero and this model has no such"
    ):
        timm_encoder(name, file=tmp_path / "biased.pth")


def test_a_file_of_another_architecture_is_refused(tmp_path):
    name, _ = folder_of("Swin", tmp_path)
    torch.save(build(FAMILIES["BEiT"]).state_dict(), tmp_path / "beit.pth")
    with pytest.raises(ValueError, match=r"beit.pth: .*(patch_embed.proj.weight|keys missing|convert)"):
        timm_encoder(name, file=tmp_path / "beit.pth")
