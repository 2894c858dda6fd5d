"""Custom encoders and clips of other sizes and lengths: grids that follow the clip, and fixed networks."""

from typing import Any

import pytest
import torch
from torch import nn

from sigma_bench.models.custom_encoder import as_encoder
from sigma_bench.models.encoder_check import Check, check_encoder
from sigma_bench.models.zoo import load_encoder
from tests.models.custom_vit import custom_vit
from tests.models.timm_folders import FAMILIES, build, write_folder
from tests.models.tubes import SHAPE, Tubes, tubes_encoder


@pytest.mark.parametrize(
    ("frames", "height", "width", "grid"),
    [(8, 64, 64, (4, 8, 8)), (2, 32, 64, (1, 4, 8)), (4, 40, 24, (2, 5, 3)), (8, 32, 32, (4, 4, 4))],
)
def test_the_grid_follows_the_clip(frames: int, height: int, width: int, grid: tuple[int, int, int]) -> None:
    clip = torch.randn(2, 3, frames, height, width, generator=torch.Generator().manual_seed(0))
    features = tubes_encoder().encode(clip)
    assert features.grid == grid
    last = Tubes()(clip[:, :, -2:, -8:, -8:])
    torch.testing.assert_close(features.token_BND[:, -1:], last, rtol=0, atol=1e-5)


def test_cells_at_the_edge_of_a_frame_count() -> None:
    class Convolution(nn.Sequential):
        def forward(self, clip: torch.Tensor) -> torch.Tensor:
            return super().forward(clip).flatten(2).transpose(1, 2)

    network = Convolution(nn.Conv3d(3, 4, (1, 3, 3), stride=(1, 8, 8), padding=(0, 1, 1)))
    encoder = as_encoder(network, **CLIP_1, name="convolution")
    assert encoder.encode(torch.zeros(1, 3, 2, 44, 17)).grid == (2, 6, 3)


CLIP_1: dict[str, Any] = {name: SHAPE[name] for name in ("num_frames", "image_size", "mean", "std")} | {
    "tubelet_frames": 1
}


def test_a_network_of_one_size_refuses_others_with_one_sentence() -> None:
    encoder = custom_vit()
    sentence = (
        r"'custom_vit' takes no frames of 48 x 24 px: with 3 x 3 tokens for 24 x 24 px, the network fails: Runtime"
    )
    with pytest.raises(ValueError, match=sentence) as caught:
        encoder.encode(torch.zeros(1, 3, 4, 48, 24))
    assert "\n" not in str(caught.value)
    pooled = tubes_encoder(lambda token, _: token[:, :60] if token.shape[1] > 64 else token)
    with pytest.raises(
        ValueError, match=r"takes no frames of 64 x 64 px: .* the network returns a tensor of shape \(1, 60, 16\)"
    ):
        pooled.encode(torch.zeros(1, 3, 8, 64, 64))


def found(encoder: Any, question: str) -> Check:
    (check,) = [check for check in check_encoder(encoder) if question in check.question]
    return check


def test_check_says_which_sizes_and_lengths_are_taken() -> None:
    assert found(tubes_encoder(), "frames of 64 x 64 px")[1:] == (True, "taken, grid (1, 8, 8)")
    assert found(custom_vit(), "frames of 48 x 48 px")[1:] == (
        True,
        "not taken, so label propagation needs short_side 'encoder'",
    )
    assert found(tubes_encoder(), "a clip of 6 frames").found == "taken, grid (3, 4, 4), 48 tokens"


class Pooled(nn.Module):
    """Mean colours of a table of 4 x 3 x 3 places, whatever the clip is."""

    def forward(self, clip_BCTHW: torch.Tensor) -> torch.Tensor:
        return nn.functional.adaptive_avg_pool3d(clip_BCTHW, (4, 3, 3)).flatten(2).transpose(1, 2)


def test_a_fixed_grid_is_named_and_fails_no_check() -> None:
    shape = SHAPE | {"image_size": 48, "grid": (4, 3, 3), "feature_width": 3}
    encoder = as_encoder(Pooled(), name="pooled", **shape)
    assert [check for check in check_encoder(encoder) if not check.passed] == []
    for question in ("a clip of 6 frames", "frames of 96 x 96 px"):
        assert found(encoder, question).found == "not taken, because the token grid is fixed"
    for frames, height, width in ((2, 96, 96), (8, 96, 96), (8, 24, 96), (4, 48, 48)):
        with pytest.raises(ValueError, match=f"here of {frames} frames of {height} x {width} px, give the same 36"):
            encoder.encode(torch.zeros(2, 3, frames, height, width))
    assert encoder.encode(torch.zeros(2, 3, 8, 48, 48)).grid == (4, 3, 3)


def test_as_many_tokens_by_chance_are_no_fixed_grid() -> None:
    encoder = tubes_encoder()
    assert encoder.encode(torch.zeros(1, 3, 2, 64, 64)).grid == (1, 8, 8)
    assert encoder.encode(torch.zeros(1, 3, 8, 16, 64)).grid == (4, 2, 8)


def of_eight_frames(token: torch.Tensor, clip: torch.Tensor) -> torch.Tensor:
    assert clip.shape[2] == 8
    return token


def test_a_network_of_fixed_length_is_asked_for_nothing_else() -> None:
    encoder = tubes_encoder(of_eight_frames, min_frames=8)
    assert encoder.card.min_frames == 8
    assert [check for check in check_encoder(encoder) if not check.passed] == []
    assert found(encoder, "clips of 8 frames only").passed
    with pytest.raises(ValueError, match="'tubes' takes clips of at least 8 frames, not of 4"):
        encoder.encode(torch.zeros(1, 3, 4, 32, 32))
    assert encoder.card.identity != tubes_encoder(of_eight_frames).card.identity
    assert found(tubes_encoder(min_frames=4), "a clip of 4 frames").passed


@pytest.mark.parametrize("min_frames", [0, 3, 10, 4.0, True])
def test_lengths_that_cannot_be_are_refused(min_frames: Any) -> None:
    with pytest.raises(ValueError, match=rf"min_frames is {min_frames}; give whole tubelets of 2 frames, at most 8"):
        tubes_encoder(min_frames=min_frames)


@pytest.mark.parametrize("family", ["ViT", "BEiT", "DINOv3", "Hiera", "Swin"])
def test_check_passes_for_image_models(family: str, tmp_path: Any) -> None:
    tiny = FAMILIES[family]
    folder = write_folder(tmp_path / "folder", tiny, build(tiny).state_dict())
    checks = list(check_encoder(load_encoder(f"timm:local-dir:{folder}@2x{tiny.size}")))
    assert [check for check in checks if not check.passed] == []
    sizes = next(check.found for check in checks if check.question.startswith("frames of "))
    assert sizes.startswith("taken" if tiny.sizes == "patch" else "not taken")
    trained = [check.found for check in checks if check.question == "the network can be fine-tuned"]
    blocks = len(build(tiny).blocks) if tiny.is_trainable else 0
    assert trained == ([f"embedding and {blocks} blocks"] if tiny.is_trainable else [])
