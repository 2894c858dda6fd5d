"""What ``models inspect`` says about the clips of a model is what loading accepts and refuses."""

import re
from pathlib import Path
from typing import Any

import pytest
import timm
import torch

from sigma_bench import as_encoder
from sigma_bench.models.accepted_clips import accepted_frames, accepted_sizes, fine_tuning, geometry
from sigma_bench.models.encoder import Encoder
from sigma_bench.models.frame_encoder import FrameEncoder
from sigma_bench.models.zoo import load_encoder
from tests.models.huggingface_folders import saved, small_model
from tests.models.video_files import LAYOUTS

FOLDERS = ["timesformer", "vivit", "videoprism", "pe_video", "dinov2", "dinov3", "clip", "siglip", "hiera"]


def with_geometry(name: str, frames: int, size: int) -> str:
    """The name of a model with clips of this geometry."""
    plain, _, heads = re.sub(r"@\d+x\d+", "", name).partition("@")
    return f"{plain}@{frames}x{size}" + (f"@{heads}" if heads else "")


def is_accepted(name: str, frames: int, size: int) -> bool:
    """Whether a model loads and encodes clips of this geometry."""
    try:
        encoder = load_encoder(with_geometry(name, frames, size))
    except ValueError:
        return False
    assert encoder.encode(torch.randn(1, 3, frames, size, size)).token_BND.isfinite().all()
    return True


def require_true(name: str, encoder: Encoder) -> None:
    """Compare both sentences about the clips of an encoder with what happens."""
    frames, size = encoder.card.num_frames, encoder.card.image_size
    fixed, step = re.fullmatch(r"(\d+) only", accepted_frames(encoder)), encoder.card.tubelet_frames
    assert accepted_frames(encoder) in (f"{frames} only", f"multiples of {step}", "any number")
    assert is_accepted(name, frames + step, size) == (fixed is None)
    if step > 1:
        assert not is_accepted(name, frames + 1, size)
    sizes = accepted_sizes(encoder)
    multiple = re.fullmatch(r"multiples of (\d+) px", sizes)
    assert multiple or sizes == f"{size} px only"
    patch = int(multiple[1]) if multiple else 8
    assert is_accepted(name, frames, size + patch) == bool(multiple)
    assert not is_accepted(name, frames, size + 1)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_files_accept_the_clips_that_are_stated(tmp_path: Path, layout: str) -> None:
    files = LAYOUTS[layout]()
    name = files.write(tmp_path, files.needed | files.others)
    encoder = load_encoder(name)
    require_true(name, encoder)
    assert re.match(r"\d+ blocks, \d+ wide, \d heads, (tubes of \d frames x|patches of) 8 px$", geometry(encoder))


@pytest.mark.parametrize("folder", FOLDERS)
def test_folders_accept_the_clips_that_are_stated(tmp_path: Path, folder: str) -> None:
    name = f"hf:{saved(small_model(folder), tmp_path / 'model')}"
    require_true(name, load_encoder(name))


@pytest.mark.parametrize(
    ("name", "options", "sizes", "described", "trained"),
    [
        (
            "vit_tiny_patch16_224",
            {"dynamic_img_size": True},
            "multiples of 16 px",
            "1 blocks, 192 wide, 3 heads",
            "yes",
        ),
        ("beit_base_patch16_224", {}, "32 px only, unless it is loaded for another size", "1 blocks, 768 wide", "yes"),
        ("resnet18", {}, "any", "512 wide, patches of 32 px", "no: its network is not one list of blocks"),
    ],
)
def test_models_of_timm(name: str, options: dict[str, Any], sizes: str, described: str, trained: str) -> None:
    if name != "resnet18":
        options = {**options, "img_size": 32, "depth": 1}
    model = timm.create_model(name, num_classes=0, **options)
    card = load_encoder("random:mini_videomae").card
    changes = {"image_size": 32, "tubelet_frames": 1, "feature_width": model.num_features}
    encoder = FrameEncoder(model, card.model_copy(update=changes))
    assert accepted_sizes(encoder) == sizes and accepted_frames(encoder) == "any number"
    assert geometry(encoder).startswith(described) and fine_tuning(encoder) == trained


class Averages(torch.nn.Module):
    """A network without blocks."""

    def forward(self, clip_BCTHW: torch.Tensor) -> torch.Tensor:
        return clip_BCTHW.unflatten(3, (2, -1)).unflatten(5, (2, -1)).mean((4, 6)).flatten(2).mT


def test_of_a_custom_encoder_only_the_card_is_known() -> None:
    half = (0.5, 0.5, 0.5)
    encoder = as_encoder(
        Averages(), name="averages", num_frames=4, image_size=16, tubelet_frames=1, mean=half, std=half
    )
    assert (accepted_frames(encoder), accepted_sizes(encoder)) == ("unknown", "unknown")
    assert geometry(encoder) == "3 wide" and fine_tuning(encoder) == "no: it has no network that can be trained"
