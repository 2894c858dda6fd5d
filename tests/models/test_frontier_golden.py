"""Files of V-JEPA and VideoMAE v2 under their released names give the outputs of the official code."""

import json
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from sigma_bench.models.encoder import NetworkEncoder
from sigma_bench.models.huggingface_vjepa import official_names
from sigma_bench.models.position_tables import vjepa_table
from sigma_bench.models.zoo import load_encoder
from sigma_bench.specs.model_arguments import ModelArguments
from tests.models.frontier import assert_equals_golden, clip_of, differences, frontier_golden, weights_of

OFFICIAL, TRANSFORMERS = 1e-10, 1e-6


def wrapped(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"module.backbone.{name}": value for name, value in weights.items()}


def suffix(golden: dict[str, Any]) -> str:
    """The geometry and the heads of a golden run, which those of the tiny networks do not follow from."""
    return f"@{golden['frames']}x{golden['size']}@{golden['config']['num_heads']}heads"


def with_table(golden: dict[str, Any]) -> dict[str, Tensor]:
    """The weights with the table of positions, which the official class computes and its files hold."""
    config, patch = golden["config"], golden["config"]["patch_size"]
    side = config["img_size"] // patch
    grid = (config["num_frames"] // config["tubelet_size"], side, side)
    table = vjepa_table(grid, config["embed_dim"], uniform_power=config["uniform_power"])
    assert torch.equal(table[-1], golden["pos_embed_last"])
    return weights_of(golden) | {"pos_embed": table[None]}


def opened(path: Path, content: dict[str, Any], ending: str, kind: str = "") -> NetworkEncoder:
    torch.save(content, path)
    encoder = load_encoder(f"{kind}{path}{ending}")
    assert isinstance(encoder, NetworkEncoder)
    return encoder


@pytest.mark.parametrize("name", ["64x8", "interpolated_time_64x4", "quarter_power_64x8"])
def test_vjepa1(tmp_path: Path, name: str) -> None:
    golden = frontier_golden(f"vjepa1_{name}")
    weights = wrapped(with_table(golden))
    decoy = {key: torch.zeros_like(value) for key, value in weights.items()}
    content = {"target_encoder": weights, "encoder": decoy, "predictor": {"a": torch.zeros(2)}, "epoch": 300, "lr": 0.1}
    encoder = opened(tmp_path / "vitl16.pth.tar", content, suffix(golden))
    assert encoder.card.family == "V-JEPA"
    assert_equals_golden(encoder, golden, tolerance_float64=OFFICIAL)


@pytest.mark.parametrize("name", ["64x8", "crop_64x96", "giantlike_48x4"])
@pytest.mark.parametrize("has_remainder", [False, True])
def test_vjepa2(tmp_path: Path, name: str, has_remainder: bool) -> None:
    golden = frontier_golden(f"vjepa2_rope_{name}")
    weights = weights_of(golden)
    if has_remainder:
        weights["pos_embed"] = torch.randn(1, 64, golden["config"]["embed_dim"])
    encoder = opened(tmp_path / "vitl.pt", {"encoder": wrapped(weights), "opt": None, "epoch": 1}, suffix(golden))
    assert encoder.card.family == "V-JEPA 2" and encoder.report is not None
    assert encoder.report.unexpected == (("pos_embed",) if has_remainder else ())
    assert_equals_golden(encoder, golden, tolerance_float64=OFFICIAL)


@pytest.mark.parametrize(("dtype", "ending", "tolerance"), [("float32", "", 2e-5), ("float64", "_fp64", OFFICIAL)])
def test_vjepa2_layers(tmp_path: Path, dtype: Literal["float32", "float64"], ending: str, tolerance: float) -> None:
    """Tokens after blocks 0 and 2, each through the final norm, one after the other along the tokens."""
    golden = frontier_golden("vjepa2_rope_layers_64x8")
    torch.save({"target_encoder": wrapped(weights_of(golden))}, tmp_path / "latest.pt")
    tokens = []
    for layer in golden["config"]["out_layers"]:
        arguments = ModelArguments(layer=layer, dtype=dtype)
        encoder = load_encoder(f"{tmp_path / 'latest.pt'}{suffix(golden)}", arguments=arguments)
        tokens.append(encoder.encode(clip_of(golden)).token_BND)
    assert differences(torch.cat(tokens, dim=1), golden, ending) < tolerance


@pytest.mark.parametrize("name", ["64x8", "chopped_64x4", "uniform_64x8"])
def test_vjepa2_without_rope(tmp_path: Path, name: str) -> None:
    golden = frontier_golden(f"vjepa2_sincos_{name}")
    content = {"target_encoder": wrapped(with_table(golden))}
    encoder = opened(tmp_path / "latest.pt", content, suffix(golden), "vjepa2-sincos:")
    assert_equals_golden(encoder, golden, tolerance_float64=OFFICIAL)


@pytest.mark.parametrize("name", ["96x8", "other_64x4", "image_96"])
@pytest.mark.parametrize("container", ["ema_encoder", "target_encoder"])
def test_vjepa21(tmp_path: Path, name: str, container: str) -> None:
    golden = frontier_golden(f"vjepa21_{name}")
    content = {container: wrapped(weights_of(golden)), "encoder": {"a": torch.zeros(2)}, "epoch": 1}
    encoder = opened(tmp_path / "vjepa2_1_vitb_dist_vitG_384.pt", content, suffix(golden))
    assert encoder.card.family == "V-JEPA 2.1" and encoder.report is not None
    assert encoder.report.layout == f"V-JEPA 2.1, container {container}"
    assert encoder.report.unexpected == tuple(
        f"norms_block.{n}.{kind}" for n in range(3) for kind in ("bias", "weight")
    )
    assert_equals_golden(encoder, golden, tolerance_float64=OFFICIAL)


def finetuned(golden: dict[str, Any]) -> dict[str, Any]:
    return {"module": weights_of(golden)}


@pytest.mark.parametrize("name", ["64x8", "cos_64x8"])
def test_videomaev2(tmp_path: Path, name: str) -> None:
    """Fine-tuned files: tokens after the last block, without a norm."""
    golden = frontier_golden(f"videomaev2_{name}_tokens")
    encoder = opened(tmp_path / "vit_b_k710_dl_from_giant.pth", finetuned(golden), suffix(golden))
    assert_equals_golden(encoder, golden, tolerance_float64=OFFICIAL)


@pytest.mark.parametrize("name", ["64x8", "giantlike_56x8"])
@pytest.mark.parametrize("is_folder", [False, True])
def test_videomaev2_pooled(tmp_path: Path, name: str, is_folder: bool) -> None:
    """The output of the official class: fc_norm of the mean over tokens; from a released file, and from its folder."""
    golden = frontier_golden(f"videomaev2_{name}_pooled")
    if is_folder:
        encoder = load_encoder(str(videomaev2_folder(tmp_path, golden)))
        assert (encoder.card.num_frames, encoder.card.image_size) == (golden["frames"], golden["size"])
        assert encoder.card.family == "VideoMAE v2" and encoder.card.mean == (0.485, 0.456, 0.406)
    else:
        encoder = opened(tmp_path / "vit_g.pth", finetuned(golden), suffix(golden))
    assert isinstance(encoder, NetworkEncoder) and encoder.parts is not None and encoder.parts.pooled_norm
    clip = clip_of(golden)
    for precision, ending, tolerance in ((torch.float32, "", 2e-5), (torch.float64, "_fp64", OFFICIAL)):
        encoder.network.to(precision)
        pooled = encoder.encode(clip.to(precision)).token_BND.mean(1)
        output = encoder.network.get_submodule(encoder.parts.pooled_norm)(pooled)
        assert differences(output, golden, ending) < tolerance


def videomaev2_folder(path: Path, golden: dict[str, Any], **changes: Any) -> Path:
    """A folder as on the hub: names with the prefix ``model.``, no classifier, the network in ``model_config``."""
    weights = {f"model.{name}": value for name, value in weights_of(golden).items() if not name.startswith("head.")}
    save_file(weights, path / "model.safetensors")
    config = dict(golden["config"]) | {"num_classes": 0, "num_frames": golden["config"]["all_frames"], **changes}
    del config["all_frames"]
    content = {"model_type": "VideoMAEv2_Base", "auto_map": {"AutoModel": "x.VideoMAEv2"}, "model_config": config}
    (path / "config.json").write_text(json.dumps(content))
    return path


def test_videomaev2_pretraining(tmp_path: Path) -> None:
    golden = frontier_golden("videomaev2_pretrain_encoder_56x8")
    weights = {f"encoder.{name}": value for name, value in weights_of(golden).items()}
    weights |= {"mask_token": torch.zeros(1, 1, 4), "decoder.norm.weight": torch.ones(4)}
    encoder = opened(tmp_path / "vit_g_hybrid_pt_1200e.pth", {"model": weights}, suffix(golden))
    assert_equals_golden(encoder, golden, tolerance_float64=OFFICIAL)


def test_videomae_folder(tmp_path: Path) -> None:
    golden = frontier_golden("hf_videomae_64x8")
    save_file(weights_of(golden), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(golden["config_json"])
    encoder = load_encoder(str(tmp_path))
    assert isinstance(encoder, NetworkEncoder)
    assert_equals_golden(encoder, golden, tolerance_float64=TRANSFORMERS)


def vjepa2_folder(path: Path, golden: dict[str, Any]) -> Path:
    save_file(weights_of(golden), path / "model.safetensors")
    (path / "config.json").write_text(golden["config_json"])
    return path


def test_vjepa2_folder(tmp_path: Path) -> None:
    golden = frontier_golden("hf_vjepa2_64x8")
    encoder = load_encoder(f"hf:{vjepa2_folder(tmp_path, golden)}")
    assert isinstance(encoder, NetworkEncoder)
    assert (encoder.card.num_frames, encoder.card.image_size) == (8, 64)
    assert_equals_golden(encoder, golden, tolerance_float64=TRANSFORMERS)


def test_vjepa2_folder_at_another_size_follows_the_released_code(tmp_path: Path) -> None:
    """The golden output is that of transformers, which numbers rows by ``crop_size``; it must not be reproduced."""
    golden = frontier_golden("hf_vjepa2_other_size_96x12")
    encoder = load_encoder(f"hf:{vjepa2_folder(tmp_path, golden)}@12x96")
    assert isinstance(encoder, NetworkEncoder)
    encoder.network.double()
    tokens = encoder.encode(clip_of(golden).double()).token_BND
    assert differences(tokens, golden, "_fp64") > 0.05
    released = official_names(weights_of(golden), where="")
    released = {name: value for name, value in released.items() if not name.startswith("predictor.")}
    official = opened(tmp_path / "vitl.pt", {"encoder": wrapped(released)}, "@12x96@2heads")
    official.network.double()
    torch.testing.assert_close(tokens, official.encode(clip_of(golden).double()).token_BND, rtol=0, atol=1e-12)
    transformers = pytest.importorskip("transformers")
    config = transformers.VJEPA2Config(**json.loads(golden["config_json"]) | {"crop_size": 96})
    theirs = transformers.VJEPA2Model(config).eval().double()
    theirs.load_state_dict(weights_of(golden))
    with torch.inference_mode():
        expected = theirs(clip_of(golden).double().transpose(1, 2), skip_predictor=True).last_hidden_state
    torch.testing.assert_close(tokens, expected, rtol=0, atol=TRANSFORMERS)
