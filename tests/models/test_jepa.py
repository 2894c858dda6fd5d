"""Released files of V-JEPA: which network of the file, which positions, and what is refused."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from sigma_bench.models.encoder import NetworkEncoder
from sigma_bench.models.encoder_check import check_encoder
from sigma_bench.models.file_summary import inspect_model
from sigma_bench.models.jepa_vit import JepaViT, Variant
from sigma_bench.models.zoo import load_encoder
from tests.models.video_files import Tensors, jepa_network, jepa_tensors, wrapped

CLIP = torch.randn(1, 3, 8, 16, 16, generator=torch.Generator().manual_seed(1))
GEOMETRY = "@8x16@2heads"


def opened(path: Path, content: dict[str, Any], kind: str = "", geometry: str = GEOMETRY) -> NetworkEncoder:
    torch.save(content, path)
    encoder = load_encoder(f"{kind}{path}{geometry}")
    assert isinstance(encoder, NetworkEncoder)
    return encoder


def layout_of(encoder: NetworkEncoder) -> str:
    assert encoder.report is not None
    return encoder.report.layout


def equals(encoder: NetworkEncoder, network: JepaViT) -> bool:
    return torch.equal(encoder.encode(CLIP).token_BND, network(CLIP))


@pytest.mark.parametrize(
    ("variant", "file", "stated", "family"),
    [
        ("vjepa1", "vitl16.pth.tar", "", "V-JEPA"),
        ("vjepa1", "mine.pt", "vjepa1:", "V-JEPA"),
        ("vjepa2", "mine.pt", "", "V-JEPA 2"),
        ("vjepa2", "vitg-384.pt", "vjepa2:", "V-JEPA 2"),
        ("vjepa2-sincos", "mine.pt", "vjepa2-sincos:", "V-JEPA 2"),
        ("vjepa2.1", "mine.pt", "", "V-JEPA 2.1"),
    ],
)
@pytest.mark.parametrize("container", [None, "encoder", "target_encoder"])
def test_tokens_are_those_of_the_saved_network(
    tmp_path: Path, variant: Variant, file: str, stated: str, family: str, container: str | None
) -> None:
    network = jepa_network(variant)
    tensors = wrapped(jepa_tensors(network))
    content = {container: tensors, "predictor": {"a": torch.ones(1)}, "epoch": 3} if container else tensors
    encoder = opened(tmp_path / file, content, stated)
    assert equals(encoder, network) and encoder.card.family == family
    where = f"container {container}" if container else "tensors at the top level"
    assert layout_of(encoder) == f"{family}, {where}"
    assert (
        encoder.card.model == f"{file.split('.')[0]}{'' if variant in ('vjepa1', 'vjepa2-sincos') else '@8x16'}@2heads"
    )
    assert encoder.card.tubelet_frames == 2


@pytest.mark.parametrize(
    ("containers", "chosen"),
    [
        (("encoder", "target_encoder"), "target_encoder"),
        (("target_encoder", "predictor"), "target_encoder"),
        (("encoder", "predictor", "opt"), "encoder"),
        (("ema_encoder", "encoder"), "ema_encoder"),
        (("ema_encoder", "encoder", "target_encoder"), "ema_encoder"),
    ],
)
def test_the_container_of_the_evaluation_is_loaded(tmp_path: Path, containers: tuple[str, ...], chosen: str) -> None:
    network = jepa_network("vjepa2.1")
    tensors = wrapped(jepa_tensors(network))
    content: dict[str, Any] = {name: {key: value + 1 for key, value in tensors.items()} for name in containers}
    encoder = opened(tmp_path / "a.pt", content | {chosen: tensors})
    assert equals(encoder, network) and layout_of(encoder) == f"V-JEPA 2.1, container {chosen}"


def test_two_containers_that_are_evaluated_are_ambiguous(tmp_path: Path) -> None:
    tensors = wrapped(jepa_tensors(jepa_network("vjepa2")))
    with pytest.raises(ValueError, match=r"a\.pt: holds both ema_encoder and target_encoder; .* save the tensors"):
        opened(tmp_path / "a.pt", {"ema_encoder": tensors, "target_encoder": tensors})


@pytest.mark.parametrize(
    ("file", "rows", "width", "variant"),
    [
        ("vitl16.pth.tar", 16, 24, "V-JEPA"),
        ("vitl.pt", 16, 24, "V-JEPA 2"),
        ("vitg-384.pt", 16, 24, "V-JEPA 2"),
        ("vjepa2-ac-vitg.pt", 16, 24, "V-JEPA 2"),
        ("latest.pt", 16, 24, None),
        ("model.safetensors", 16, 24, None),
    ],
)
def test_what_a_table_of_positions_means(tmp_path: Path, file: str, rows: int, width: int, variant: str | None) -> None:
    network = jepa_network("vjepa1")
    tensors = jepa_tensors(network)
    assert tensors["pos_embed"].shape == (1, rows, width)
    if variant is None:
        with pytest.raises(ValueError, match=r"used by V-JEPA 1, .* state it, as 'vjepa1:<file>', 'vjepa2:<file>'"):
            opened(tmp_path / file.replace("safetensors", "pth"), {"encoder": tensors})
        return
    encoder = opened(tmp_path / file, {"encoder": tensors})
    assert encoder.card.family == variant and equals(encoder, network) == (variant == "V-JEPA")
    assert encoder.report is not None and re.search("by its file name", encoder.report.warnings[0])
    assert encoder.report.unexpected == (() if variant == "V-JEPA" else ("pos_embed",))


def test_the_three_variants_of_one_file_differ(tmp_path: Path) -> None:
    tensors = jepa_tensors(jepa_network("vjepa1"))
    encoders = [
        opened(tmp_path / "a.pt", {"encoder": tensors}, f"{kind}:", "@4x16@2heads")
        for kind in ("vjepa1", "vjepa2", "vjepa2-sincos")
    ]
    one, two, three = (encoder.encode(CLIP[:, :, :4]).token_BND for encoder in encoders)
    assert all((a - b).abs().max() > 0.01 for a, b in ((one, two), (two, three), (one, three)))
    assert len({encoder.card.code_sha256 for encoder in encoders}) == 3


def changed(tensors: Tensors, change: str) -> Tensors:
    width = 24
    if change == "no table":
        del tensors["pos_embed"]
    elif change == "another table":
        tensors["pos_embed"][0, 3, 5] += 0.1
    elif change == "swiglu":
        tensors["blocks.1.mlp.fc3.weight"] = torch.zeros(40, width)
    elif change == "fewer blocks":
        return {name: value for name, value in tensors.items() if not name.startswith("blocks.11.")}
    elif change == "second norm":
        tensors["norm.weight"] = torch.ones(width)
    elif change == "fifth norm":
        tensors["norms_block.4.weight"] = torch.ones(width)
    elif change == "three norms":
        del tensors["norms_block.1.bias"]
    elif change == "infinite norm":
        tensors["norms_block.0.bias"][3] = float("inf")
    elif change == "table beside":
        tensors["pos_embed"] = torch.zeros(1, 16, width)
    elif change == "wide table":
        tensors["pos_embed"] = torch.zeros(1, 16, width + 1)
    elif change == "table twice":
        tensors |= {"pos_embed": torch.zeros(1, 16, width), "pos_embed_copy": torch.zeros(1, 16, width)}
    return tensors


@pytest.mark.parametrize(
    ("variant", "file", "change", "sentence"),
    [
        ("vjepa1", "a.pth.tar", "no table", "named as a file of V-JEPA 1, but has no table of positions"),
        (
            "vjepa1",
            "a.pth.tar",
            "another table",
            r"'pos_embed' of shape \(1, 16, 24\) is not the fixed sine-cosine table",
        ),
        ("vjepa2", "a.pt", "swiglu", r"has a SwiGLU MLP \('blocks.1.mlp.fc3.weight'\)"),
        ("vjepa2", "vitl.pt", "wide table", "is no table of positions of this width"),
        ("vjepa2", "vitl.pt", "table twice", "'pos_embed_copy' is unexpected"),
        ("vjepa2.1", "a.pt", "fewer blocks", "holds 11 blocks; V-JEPA 2.1 of width 24 has 12 or 24 or 40 or 48"),
        ("vjepa2.1", "a.pt", "second norm", "holds both 'norm.weight' and 'norms_block'"),
        ("vjepa2.1", "a.pt", "fifth norm", r"1 unexpected \('norms_block.4.weight'\)"),
        ("vjepa2.1", "a.pt", "three norms", r"1 keys missing \('norms_block.1.bias'\)"),
        ("vjepa2.1", "a.pt", "infinite norm", "'norms_block.0.bias' holds values that are not finite"),
        ("vjepa2.1", "a.pt", "table beside", r"1 unexpected \('pos_embed'\)"),
    ],
)
def test_files_that_are_not_of_the_release_are_refused(
    tmp_path: Path, variant: Variant, file: str, change: str, sentence: str
) -> None:
    tensors = changed(jepa_tensors(jepa_network(variant)), change)
    with pytest.raises(ValueError, match=rf"{re.escape(file)}: .*{sentence}"):
        opened(tmp_path / file, {"target_encoder": tensors})


@pytest.mark.parametrize(
    ("kind", "variant"), [("vjepa1:", "vjepa2"), ("vjepa2-sincos:", "vjepa2"), ("vjepa2:", "vjepa2.1")]
)
def test_a_statement_that_the_tensors_contradict_is_refused(tmp_path: Path, kind: str, variant: Variant) -> None:
    with pytest.raises(ValueError, match=r"a\.pt: (is stated to be .* no table|has the norms of V-JEPA 2\.1)"):
        opened(tmp_path / "a.pt", {"encoder": jepa_tensors(jepa_network(variant))}, kind)
    torch.save({"conv1.weight": torch.zeros(3)}, tmp_path / "b.pt")
    with pytest.raises(ValueError, match=rf"b\.pt: does not hold a V-JEPA encoder; leave '{kind}' out"):
        load_encoder(f"{kind}{tmp_path / 'b.pt'}")


@pytest.mark.parametrize(
    ("width", "depth", "heads", "sentence"),
    [
        (1024, 2, 16, "holds 2 blocks; V-JEPA 2 of width 1024 has 24"),
        (1408, 39, 22, "holds 39 blocks; V-JEPA 2 of width 1408 has 40"),
    ],
)
def test_a_release_without_all_its_blocks_is_incomplete(
    tmp_path: Path, width: int, depth: int, heads: int, sentence: str
) -> None:
    with torch.device("meta"):
        network = jepa_network("vjepa2", width=width, depth=depth, num_heads=heads, mlp_width=1)
    tensors = {name: torch.zeros(()).expand(value.shape) for name, value in network.state_dict().items()}
    with pytest.raises(ValueError, match=sentence):
        opened(tmp_path / "a.pt", {"encoder": tensors}, geometry="")


def test_heads_follow_from_the_width_of_a_release_or_are_stated(tmp_path: Path) -> None:
    network = jepa_network("vjepa2", width=384, num_heads=6)
    encoder = opened(tmp_path / "a.pt", {"encoder": jepa_tensors(network)}, geometry="@8x16")
    assert equals(encoder, network) and encoder.card.model == "a@8x16"
    other = opened(tmp_path / "a.pt", {"encoder": jepa_tensors(network)}, geometry="@8x16@12heads")
    assert not equals(other, network) and other.card.model == "a@8x16@12heads"
    small = {"encoder": jepa_tensors(jepa_network("vjepa2"))}
    with pytest.raises(ValueError, match=r"no release is 24 wide; state it, as in '.*a\.pt@16heads'"):
        opened(tmp_path / "a.pt", small, geometry="")
    with pytest.raises(ValueError, match="does not divide into 5 heads"):
        opened(tmp_path / "a.pt", small, geometry="@5heads")


@pytest.mark.parametrize(
    ("variant", "file", "clip"),
    [
        ("vjepa1", "a.pth.tar", (8, 16)),
        ("vjepa2", "a.pt", (64, 256)),
        ("vjepa2", "vitg-384.pt", (64, 384)),
        ("vjepa2.1", "a.pt", (64, 384)),
    ],
)
def test_clips_are_those_of_the_release_unless_they_are_stated(
    tmp_path: Path, variant: Variant, file: str, clip: tuple[int, int]
) -> None:
    encoder = opened(tmp_path / file, {"encoder": jepa_tensors(jepa_network(variant))}, geometry="@2heads")
    assert (encoder.card.num_frames, encoder.card.image_size) == clip
    with pytest.raises(ValueError, match=r"cannot take 3 frames at 16 x 16 px"):
        load_encoder(f"{tmp_path / file}@3x16@2heads")


def test_one_frame_is_the_image_encoder_of_vjepa21(tmp_path: Path) -> None:
    network = jepa_network("vjepa2.1")
    encoder = opened(tmp_path / "a.pt", {"ema_encoder": jepa_tensors(network)}, geometry="@1x32@2heads")
    image = CLIP[:, :, :1].repeat(1, 1, 1, 2, 2)
    assert torch.equal(encoder.encode(image).token_BND, network(image))
    assert [check for check in check_encoder(encoder) if not check.passed] == []
    assert encoder.card.tubelet_frames == 1


@pytest.mark.parametrize("kind", ["", "vjepa2:"])
def test_inspection_names_the_family_and_the_container(tmp_path: Path, kind: str) -> None:
    torch.save({"encoder": wrapped(jepa_tensors(jepa_network("vjepa2"))), "epoch": 1}, tmp_path / "a.pt")
    facts, report = inspect_model(f"{kind}{tmp_path / 'a.pt'}@8x16@2heads")
    assert facts["family"] == "V-JEPA 2" and facts["format"] == "V-JEPA 2, container encoder"
    assert facts["geometry"] == "2 blocks, 24 wide, 2 heads, tubes of 2 frames x 8 px"
    assert report is not None and report.missing == ()
