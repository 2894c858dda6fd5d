"""The network of V-JEPA against its definition, written out for one token, and against transformers."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sigma_bench.models.jepa_encoder import jepa_encoder, load_network
from sigma_bench.models.jepa_vit import Variant, rotary, rotated, table_for_grid
from sigma_bench.models.position_tables import mvd_table, square_grid, vjepa_grid, vjepa_table
from sigma_bench.models.video_vit import Mlp
from tests.models.video_files import jepa_network

LIKE = (torch.device("cpu"), torch.float64)
VARIANTS: tuple[Variant, ...] = ("vjepa1", "vjepa2", "vjepa2-sincos", "vjepa2.1")


def rotated_by_hand(x: list[float], place: tuple[float, float, float], *, shares_angle: bool) -> list[float]:
    """The channels of one head of one token, as the released code computes them; ``shares_angle`` for V-JEPA 2.1."""
    channels = 2 * (len(x) // 3 // 2)
    result = list(x)
    for axis, position in enumerate(place):
        start = axis * channels
        for channel in range(channels):
            index = channel // 2 if shares_angle else channel % (channels // 2)
            angle = position / 10000 ** (index / (channels / 2))
            partner = -x[start + channel + 1] if channel % 2 == 0 else x[start + channel - 1]
            result[start + channel] = x[start + channel] * math.cos(angle) + partner * math.sin(angle)
    return result


@pytest.mark.parametrize("head_width", [64, 80, 44, 16])
@pytest.mark.parametrize("variant", ["vjepa2", "vjepa2.1"])
def test_rotary_positions_are_those_of_the_released_code(variant: Variant, head_width: int) -> None:
    grid = (2, 3, 5)
    x = torch.randn(1, 1, 30, head_width, dtype=torch.float64)
    found = rotated(x, rotary(grid, head_width, variant, LIKE))
    for token in (0, 7, 29):
        time, row, column = token // 15, token % 15 // 5, token % 5
        is_corrected = variant == "vjepa2.1"
        place = (time, row * 15 / 2, column * 15 / 4) if is_corrected else (time, row, column)
        expected = rotated_by_hand(x[0, 0, token].tolist(), place, shares_angle=is_corrected)
        assert found[0, 0, token].tolist() == pytest.approx(expected, abs=1e-12)


def test_only_the_corrected_positions_are_a_rotation() -> None:
    x = torch.randn(1, 1, 48, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    norms = {variant: rotated(x, rotary((3, 4, 4), 64, variant, LIKE)).norm(dim=-1) for variant in VARIANTS[1::2]}
    assert torch.allclose(norms["vjepa2.1"], x.norm(dim=-1), rtol=1e-12)
    assert (norms["vjepa2"] / x.norm(dim=-1) - 1).abs().max() > 0.05


@pytest.mark.parametrize("variant", VARIANTS)
def test_activation_and_epsilons_are_those_of_the_released_code(variant: Variant) -> None:
    network = jepa_network(variant)
    norms = [module for module in network.modules() if isinstance(module, nn.LayerNorm)]
    assert len(norms) == 2 * network.spec.depth + 1 and {norm.eps for norm in norms} == {1e-6}
    mlp = network.blocks[0].get_submodule("mlp")
    x = torch.randn(5, 24)
    assert isinstance(mlp, Mlp)
    exact = mlp.fc2(F.gelu(mlp.fc1(x)))
    assert torch.equal(mlp(x), exact) and not torch.equal(exact, mlp.fc2(F.gelu(mlp.fc1(x), approximate="tanh")))


def table_by_hand(place: tuple[int, int, int], widths: tuple[int, int, int], width: int) -> list[float]:
    row: list[float] = []
    for position, part in zip(place, widths, strict=True):
        angles = [position / 10000 ** (2 * index / part) for index in range(part // 2)]
        row += [*map(math.sin, angles), *map(math.cos, angles)]
    return row[:width]


@pytest.mark.parametrize(
    ("width", "uniform", "widths"), [(64, True, (22, 22, 22)), (64, False, (32, 16, 16)), (96, True, (32, 32, 32))]
)
def test_tables_of_vjepa(width: int, uniform: bool, widths: tuple[int, int, int]) -> None:
    table = vjepa_table((2, 3, 4), width, uniform_power=uniform)
    assert table.shape == (24, width) and table.dtype == torch.float32
    for token in (0, 11, 23):
        expected = table_by_hand((token // 12, token % 12 // 4, token % 4), widths, width)
        assert table[token].tolist() == pytest.approx(expected, abs=1e-6)


def test_the_table_of_mvd_has_the_column_before_the_row() -> None:
    table = mvd_table((2, 3, 4), 48)
    for token in (0, 11, 23):
        expected = table_by_hand((token // 12, token % 4, token % 12 // 4), (12, 18, 18), 48)
        assert table[token].tolist() == pytest.approx(expected, abs=1e-6)
    with pytest.raises(ValueError, match="multiple of 16"):
        mvd_table((2, 3, 4), 40)


@pytest.mark.parametrize("grid", [(8, 14, 14), (4, 4, 4), (1, 8, 8), (16, 2, 2)])
@pytest.mark.parametrize("uniform", [True, False])
def test_the_grid_of_a_stored_table_is_found(grid: tuple[int, int, int], uniform: bool) -> None:
    table = vjepa_table(grid, 48, uniform_power=uniform)[None]
    assert vjepa_grid(table) == grid and vjepa_grid(table.half()) == grid
    table[0, -1, 0] += 0.01
    assert vjepa_grid(table) is None
    assert square_grid(mvd_table(grid, 48)[None], mvd_table) == grid


def test_fewer_frames_are_interpolated_or_the_first_rows() -> None:
    table = torch.arange(8.0).reshape(1, 8, 1)
    assert table_for_grid(table, (4, 1, 2), (2, 1, 2), keeps_rows=False).flatten().tolist() == [1, 2, 5, 6]
    assert table_for_grid(table, (4, 1, 2), (2, 1, 2), keeps_rows=True).flatten().tolist() == [0, 1, 2, 3]
    other = table_for_grid(table, (4, 1, 2), (2, 2, 2), keeps_rows=True)
    assert torch.equal(other, table_for_grid(table, (4, 1, 2), (2, 2, 2), keeps_rows=False))


@pytest.mark.parametrize("variant", VARIANTS)
def test_tokens_are_in_order_time_row_column(variant: Variant) -> None:
    """A tube of the clip changes the embedding of its own token only."""
    network = jepa_network(variant)
    clip = torch.randn(1, 3, 6, 24, 32)
    other = clip.clone()
    other[:, :, 2:4, 16:24, 8:16] += 1
    grid = network.spec.grid(6, 24, 32)
    difference = (network._embedded(other, grid) - network._embedded(clip, grid)).abs().sum(-1).flatten()
    assert grid == (3, 3, 4) and difference.nonzero().flatten().tolist() == [1 * 12 + 2 * 4 + 1]
    assert network(clip).shape == (1, 36, 24)


@pytest.mark.parametrize(
    ("variant", "shape", "sentence"),
    [
        ("vjepa2", (3, 16, 16), "cannot take 3 frames"),
        ("vjepa2", (1, 16, 16), "cannot take 1 frames"),
        ("vjepa1", (4, 20, 16), "20 x 16 px"),
        ("vjepa2.1", (4, 8, 16), "at least two rows and two columns"),
        ("vjepa2.1", (3, 16, 16), r"tubes are 2 frames \(or one frame\)"),
    ],
)
def test_clips_that_the_network_cannot_take(variant: Variant, shape: tuple[int, int, int], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        jepa_network(variant)(torch.zeros(1, 3, *shape))


def test_an_image_is_not_a_clip_of_two_equal_frames() -> None:
    network = jepa_network("vjepa2.1")
    image = torch.randn(1, 3, 1, 16, 16)
    one, two = network(image), network(image.expand(-1, -1, 2, -1, -1))
    assert one.shape == two.shape == (1, 4, 24) and not torch.allclose(one, two, atol=1e-2)


@pytest.mark.parametrize("variant", VARIANTS)
def test_fine_tuning(variant: Variant) -> None:
    network = jepa_network(variant)
    _, report = load_network(network.spec, network.state_dict(), may_be_unexpected=(), where="file")
    encoder = jepa_encoder(network, report, model="tiny", checkpoint_sha256="0" * 64)
    clip = torch.randn(2, 3, 4, 16, 16)
    frozen = encoder.encode(clip).token_BND
    backbone = encoder.backbone(0.4)
    assert torch.allclose(network.norm(backbone.eval()(clip)), frozen, atol=1e-6)
    depth = network.spec.depth
    rates = [module.drop_prob for name, module in backbone.named_modules() if "drop_path" in name]
    assert rates == pytest.approx([0.4 * block / (depth - 1) for block in range(depth) for _ in range(2)])
    layers = {backbone.layer_of(name) for name, _ in backbone.named_parameters()}
    assert layers == set(range(depth + 1))
    backbone.train()(clip).square().mean().backward()
    assert all((value.grad is not None) == value.requires_grad for value in backbone.parameters())
    frozen_names = {name for name, value in backbone.named_parameters() if not value.requires_grad}
    assert all("img" in name for name in frozen_names) and bool(frozen_names) == (variant == "vjepa2.1")


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_angles_are_not_rounded_in_half_precision(precision: torch.dtype) -> None:
    network = jepa_network("vjepa2")
    clip = torch.randn(1, 3, 8, 32, 32)
    exact = network(clip)
    rounded = network.to(precision)(clip.to(precision))
    assert rounded.dtype == precision
    assert (rounded.float() - exact).norm() / exact.norm() < 0.02
