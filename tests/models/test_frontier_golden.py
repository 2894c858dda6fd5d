"""Files of V-JEPA and VideoMAE v2 under their released names give the outputs of the official code."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sigma_bench.models.encoder import NetworkEncoder
from sigma_bench.models.position_tables import vjepa_table
from sigma_bench.models.zoo import load_encoder
from tests.models.frontier import assert_equals_golden, clip_of, differences, frontier_golden, weights_of

OFFICIAL, TRANSFORMERS = 1e-10, 1e-6


def wrapped(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"module.backbone.{name}": value for name, value in weights.items()}


def suffix(golden: dict[str, Any]) -> str:
    """The geometry and the heads of a golden run, which those of the tiny networks do not follow from."""
    config = golden["config"]
    frames, size = (golden[key] for key in ("frames", "size"))
    return f"@{frames}x{size}@{config['num_heads']}heads"


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


@pytest.mark.parametrize("block", [0, 2])
def test_vjepa2_layers(tmp_path: Path, block: int) -> None:
    """Tokens of an intermediate block, through the final norm; the golden run has blocks 0 and 2 one after the other."""
    golden = frontier_golden("vjepa2_rope_layers_64x8")
    weights = weights_of(golden)
    kept = {key: value for key, value in weights.items() if not key.startswith(("blocks.1", "blocks.2")[block:])}
    encoder = opened(tmp_path / "latest.pt", {"target_encoder": wrapped(kept)}, suffix(golden))
    assert len(encoder.network.blocks) == block + 1
    tokens = encoder.encode(clip_of(golden)).token_BND
    golden["output_shape"] = list(tokens.shape)
    end = golden["output_head"] if block == 0 else golden["output_tail"]
    flat = tokens.flatten()
    assert (flat[: len(end)] if block == 0 else flat[-len(end) :]).sub(end).abs().max() < 2e-5


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
    assert encoder.report.unexpected == tuple(f"norms_block.{n}.{kind}" for n in range(3) for kind in ("bias", "weight"))
    assert_equals_golden(encoder, golden, tolerance_float64=OFFICIAL)
