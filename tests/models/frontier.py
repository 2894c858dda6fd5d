"""Golden outputs of the official code of today's video encoders, and how to compare with them.

The files lie outside the repository, in ``shared/golden/frontier`` next to it; tests that need them are skipped where
they are absent.  Weights and clips are made by the rule of ``tests/golden/fill.py``.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sigma_bench.models.encoder import NetworkEncoder
from tests.golden.fill import clips, fill

FRONTIER = Path(__file__).resolve().parents[3] / "shared" / "golden" / "frontier"


def frontier_golden(name: str) -> dict[str, Any]:
    """The content of a golden file; the test is skipped where there is none."""
    path = FRONTIER / f"{name}.pt"
    if not path.is_file():
        pytest.skip("needs the outputs of the official code, which do not come with a clone")
    return torch.load(path, weights_only=True)


def weights_of(golden: dict[str, Any]) -> dict[str, Tensor]:
    """The weights by rule, under the official names."""
    weights = fill(golden["shapes"])
    for name in golden["plus_one"]:
        weights[name] = 1 + weights[name]
    for name, factor in golden["gain"].items():
        weights[name] = factor * weights[name]
    return weights


def clip_of(golden: dict[str, Any]) -> Tensor:
    """The clips (B, C, T, H, W) by rule, cut to the height and width of the golden run."""
    clip = clips(golden["batch"], golden["frames"], golden["size"], golden["clip_seed"])
    return clip if golden["crop"] is None else clip[..., : golden["crop"][0], : golden["crop"][1]]


def differences(output: Tensor, golden: dict[str, Any], suffix: str = "") -> float:
    """Largest difference in the first 64 and the last 16 numbers and in the relative norm of an output."""
    assert list(output.shape) == golden["output_shape"]
    flat = output.flatten()
    head, tail = golden[f"output_head{suffix}"], golden[f"output_tail{suffix}"]
    norm = golden[f"output_norm{suffix}"]
    pairs = ((flat[: len(head)], head), (flat[-len(tail) :], tail))
    return max(*(float((ours - theirs).abs().max()) for ours, theirs in pairs), abs(float(flat.norm()) - norm) / norm)


def assert_equals_golden(encoder: NetworkEncoder, golden: dict[str, Any], *, tolerance_float64: float) -> None:
    """The tokens in float32 within 2e-5 and in float64 within a tolerance; the encoder is float64 afterwards."""
    clip = clip_of(golden)
    assert differences(encoder.encode(clip).token_BND, golden) < 2e-5
    encoder.network.double()
    assert differences(encoder.encode(clip.double()).token_BND, golden, "_fp64") < tolerance_float64
