"""Original files of TimeSformer and SVT: tokens of a second definition, geometry, configuration, and refusals."""

import argparse
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sigma_bench.models.accepted_clips import geometry
from sigma_bench.models.encoder import NetworkEncoder
from sigma_bench.models.encoder_check import check_encoder
from sigma_bench.models.zoo import load_encoder
from tests.models.video_files import (
    TIMESFORMER_HEADS,
    Tensors,
    svt_layout,
    timesformer_layout,
    timesformer_tensors,
)

pytest.importorskip("transformers")

CLIP = torch.randn(2, 3, 4, 32, 32, generator=torch.Generator().manual_seed(1))
CFG = """\
DATA:
  INPUT_CHANNEL_NUM: [3, 3]
  MEAN: [0.5, 0.4, 0.3]
  NUM_FRAMES: 4
  REVERSE_INPUT_CHANNEL: false
  STD: [0.2, 0.25, 0.3]
  TRAIN_CROP_SIZE: 32
TIMESFORMER:
  ATTENTION_TYPE: divided_space_time
  PRETRAINED_MODEL: ''
"""


def norm(tensors: Tensors, name: str, x: Tensor) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt()
    return scaled * tensors[f"{name}.weight"] + tensors[f"{name}.bias"]


def linear(tensors: Tensors, name: str, x: Tensor) -> Tensor:
    return x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]


def attended(tensors: Tensors, name: str, x: Tensor) -> Tensor:
    """Self-attention along the dimension before the last one."""
    heads = [part.chunk(TIMESFORMER_HEADS, -1) for part in linear(tensors, f"{name}.qkv", x).chunk(3, -1)]
    mixed = [
        ((query @ key.mT) / math.sqrt(query.shape[-1])).softmax(-1) @ value
        for query, key, value in zip(*heads, strict=True)
    ]
    return linear(tensors, f"{name}.proj", torch.cat(mixed, -1))


def tokens_by_hand(tensors: Tensors, clip: Tensor, *, divided: bool = True) -> Tensor:
    """Tokens (B, T * P, D) of divided (or joint) space-time attention, in double precision.

    The class token is one token of the clip; in divided attention, it takes part in the attention inside every frame,
    and its updates are averaged over frames.
    """
    tensors, clip = {name: value.double() for name, value in tensors.items()}, clip.double()
    weight = tensors["patch_embed.proj.weight"]
    patch_BTrcCyx = clip.unfold(3, 8, 8).unfold(4, 8, 8).permute(0, 2, 3, 4, 1, 5, 6)
    token_BTPD = (patch_BTrcCyx.flatten(4) @ weight.flatten(1).T + tensors["patch_embed.proj.bias"]).flatten(2, 3)
    token_BTPD = token_BTPD + tensors["pos_embed"][:, 1:] + tensors["time_embed"][0, :, None]
    batch, frames, places, _ = token_BTPD.shape
    class_BD = (tensors["cls_token"][0, 0] + tensors["pos_embed"][0, 0]).expand(batch, -1)
    for block in ("blocks.0.", "blocks.1."):
        if divided:
            along_time = attended(
                tensors, f"{block}temporal_attn", norm(tensors, f"{block}temporal_norm1", token_BTPD.transpose(1, 2))
            )
            token_BTPD = token_BTPD + linear(tensors, f"{block}temporal_fc", along_time).transpose(1, 2)
            with_class = torch.cat([class_BD[:, None, None].expand(-1, frames, -1, -1), token_BTPD], 2)
            in_frame = attended(tensors, f"{block}attn", norm(tensors, f"{block}norm1", with_class))
            class_BD, token_BTPD = class_BD + in_frame[:, :, 0].mean(1), token_BTPD + in_frame[:, :, 1:]
        else:
            whole = torch.cat([class_BD[:, None], token_BTPD.flatten(1, 2)], 1)
            whole = whole + attended(tensors, f"{block}attn", norm(tensors, f"{block}norm1", whole))
            class_BD, token_BTPD = whole[:, 0], whole[:, 1:].unflatten(1, (frames, places))
        class_BD, token_BTPD = (
            x + linear(tensors, f"{block}mlp.fc2", F.gelu(linear(tensors, f"{block}mlp.fc1", normed)))
            for x in (class_BD, token_BTPD)
            for normed in [norm(tensors, f"{block}norm2", x)]
        )
    return norm(tensors, "norm", token_BTPD).flatten(1, 2)


def opened(name: str) -> NetworkEncoder:
    encoder = load_encoder(name)
    assert isinstance(encoder, NetworkEncoder)
    return encoder


def saved(path: Path, content: Any) -> str:
    torch.save(content, path)
    return f"{path}@{TIMESFORMER_HEADS}heads"


@pytest.mark.parametrize("kind", ["SVT", "TimeSformer", "joint"])
def test_tokens_equal_a_second_definition(tmp_path: Path, kind: str) -> None:
    layout = {"SVT": svt_layout, "TimeSformer": timesformer_layout, "joint": lambda: timesformer_layout(divided=False)}
    files = layout[kind]()
    encoder = opened(files.write(tmp_path, files.needed | files.others))
    expected = tokens_by_hand(files.needed, CLIP, divided=kind != "joint")
    features = encoder.encode(CLIP)
    assert features.grid == (4, 4, 4)
    torch.testing.assert_close(features.token_BND, expected.float(), rtol=2e-5, atol=2e-5)
    encoder.network.double()
    torch.testing.assert_close(encoder.encode(CLIP.double()).token_BND, expected, rtol=1e-10, atol=1e-10)


def test_the_card_and_the_report_describe_the_file(tmp_path: Path) -> None:
    files = svt_layout()
    encoder = opened(files.write(tmp_path, files.needed | files.others))
    card = encoder.card
    assert (card.model, card.family, card.tubelet_frames) == ("svt@2heads", "SVT", 1)
    assert (card.num_frames, card.image_size, card.feature_width) == (4, 32, 24)
    assert card.mean == (0.45,) * 3 and card.std == (0.225,) * 3
    assert encoder.report is not None and encoder.report.layout == "SVT, the teacher"
    assert set(encoder.report.matched) == set(files.needed) and set(encoder.report.unexpected) == set(files.others)
    files = timesformer_layout()
    card = opened(files.write(tmp_path, files.needed)).card
    assert (card.model, card.family) == ("k600@2heads", "TimeSformer")
    assert opened(f"{tmp_path / 'k600.pyth'}@8x64@2heads").card.model == "k600@2heads@8x64"


def test_a_backbone_alone_is_read_without_containers_and_prefixes(tmp_path: Path) -> None:
    tensors = timesformer_tensors()
    plain = opened(saved(tmp_path / "plain.pth", tensors))
    wrapped = opened(saved(tmp_path / "w.pth", {"state_dict": {f"module.{k}": v for k, v in tensors.items()}}))
    assert plain.card.family == wrapped.card.family == "TimeSformer"
    assert torch.equal(plain.encode(CLIP).token_BND, wrapped.encode(CLIP).token_BND)


def test_clips_of_another_geometry_take_the_nearest_positions(tmp_path: Path) -> None:
    tensors = timesformer_tensors()
    name = saved(tmp_path / "svt.pth", tensors).replace("@", "@8x16@")
    nearest = tensors | {
        "time_embed": tensors["time_embed"].repeat_interleave(2, 1),
        "pos_embed": torch.cat(
            [tensors["pos_embed"][:, :1], tensors["pos_embed"][:, 1:].view(1, 4, 4, -1)[:, ::2, ::2].flatten(1, 2)], 1
        ),
    }
    clip = torch.randn(2, 3, 8, 16, 16)
    features = opened(name).encode(clip)
    assert features.grid == (8, 2, 2)
    torch.testing.assert_close(features.token_BND, tokens_by_hand(nearest, clip).float(), rtol=2e-5, atol=2e-5)


def test_the_configuration_of_the_run_is_honoured(tmp_path: Path) -> None:
    content = {"model_state": timesformer_tensors(), "cfg": CFG}
    card = opened(saved(tmp_path / "a.pyth", content)).card
    assert card.mean == (0.5, 0.4, 0.3) and card.std == (0.2, 0.25, 0.3)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("NUM_FRAMES: 4", "NUM_FRAMES: 8", "states DATA.NUM_FRAMES 8, but the encoder has 4"),
        ("SIZE: 32", "SIZE: 224", "states DATA.TRAIN_CROP_SIZE 224, but the encoder has 32"),
        ("divided", "joint", "states TIMESFORMER.ATTENTION_TYPE 'joint_space_time', but"),
        ("CHANNEL: false", "CHANNEL: true", "states DATA.REVERSE_INPUT_CHANNEL True"),
        ("[0.2, 0.25, 0.3]", "[0.2, 0, 0.3]", "expected numbers above 0"),
        ("[0.5, 0.4, 0.3]", "[0.5, .nan, 0.3]", "expected three numbers"),
        ("[0.5, 0.4, 0.3]", "0.5", "expected three numbers"),
        ("DATA:", "DATA: [", "cannot be read"),
        ("DATA:", "OTHER:", "has no settings DATA"),
    ],
)
def test_a_configuration_that_contradicts_the_encoder_is_refused(
    tmp_path: Path, old: str, new: str, sentence: str
) -> None:
    assert old in CFG
    content = {"model_state": timesformer_tensors(), "cfg": CFG.replace(old, new)}
    with pytest.raises(ValueError, match=rf"^{tmp_path}.*{sentence}".replace("[", r"\[")):
        opened(saved(tmp_path / "a.pyth", content))


def with_changes(**changes: Tensor | None) -> Tensors:
    tensors = timesformer_tensors() | {name.replace("__", "."): value for name, value in changes.items()}
    return {name: value for name, value in tensors.items() if value is not None}


@pytest.mark.parametrize(
    ("tensors", "suffix", "sentence"),
    [
        (with_changes(), "", "the number of attention heads is not in the file"),
        (with_changes(), "@5heads", "width 24 does not divide into 5 heads"),
        (with_changes(), "@4x30@2heads", "do not divide into patches of 8 px"),
        (with_changes(pos_embed=torch.zeros(1, 16, 24)), "@2heads", "in 15 places; both must be square"),
        (with_changes(time_embed=None), "@2heads", "incomplete: 'time_embed' is missing"),
        (with_changes(aux_cls_token=torch.zeros(1, 1, 24)), "@2heads", "'aux_cls_token' is no tensor of a TimeSf"),
        (with_changes(patch_embed__proj__weight=torch.zeros(24, 2, 8, 8)), "@2heads", "has shape .24, 2, 8, 8."),
    ],
)
def test_what_the_tensors_do_not_determine_or_contradict_is_refused(
    tmp_path: Path, tensors: Tensors, suffix: str, sentence: str
) -> None:
    torch.save({"teacher": tensors}, tmp_path / "a.pth")
    with pytest.raises(ValueError, match=sentence):
        opened(f"{tmp_path / 'a.pth'}{suffix}")


def test_the_usual_width_has_its_usual_heads_and_depth(tmp_path: Path) -> None:
    """A file of width 384 needs no number of heads, and one that lacks its last blocks is refused."""
    from transformers import TimesformerConfig, TimesformerModel

    from sigma_bench.models.timesformer import huggingface_name

    config = TimesformerConfig(
        hidden_size=384, intermediate_size=8, num_hidden_layers=12, num_attention_heads=6, image_size=16, patch_size=8,
        num_frames=2,
    )  # fmt: skip
    model = TimesformerModel(config)
    ours = list(timesformer_tensors(depth=12))
    tensors = {name: model.state_dict()[huggingface_name(name, where="")] for name in ours}
    assert len(tensors) == len(model.state_dict())
    torch.save({"teacher": tensors, "args": argparse.Namespace(arch="timesformer")}, tmp_path / "svt.pth")
    encoder = opened(str(tmp_path / "svt.pth"))
    assert (encoder.card.model, geometry(encoder)) == ("svt", "12 blocks, 384 wide, 6 heads, patches of 8 px")
    assert [check for check in check_encoder(encoder) if not check.passed] == []
    short = {name: tensor for name, tensor in tensors.items() if not name.startswith("blocks.11.")}
    torch.save({"teacher": short}, tmp_path / "short.pth")
    with pytest.raises(ValueError, match="incomplete: 11 blocks; a ViT of width 384 has 12"):
        opened(str(tmp_path / "short.pth"))
