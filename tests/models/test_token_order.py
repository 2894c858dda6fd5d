"""The order of tokens: the right order passes, also for networks that mix all tokens; common wrong orders are named."""

from collections.abc import Callable

import pytest
import timm
import torch
from torch import Tensor

from sigma_bench.models.encoder import Encoder, Features
from sigma_bench.models.encoder_check import check_encoder
from sigma_bench.models.frame_encoder import FrameEncoder
from sigma_bench.models.token_order import TokenOrder, find_token_order
from sigma_bench.models.zoo import load_encoder
from sigma_bench.specs.encoder_card import EncoderCard
from tests.models.tubes import tubes_encoder


def map_of(token_BND: Tensor) -> Tensor:
    return token_BND.unflatten(1, (-1, 4, 4))


WRONG: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "row, column, time": lambda token, _: map_of(token).permute(0, 2, 3, 1, 4).flatten(1, 3),
    "time, column, row": lambda token, _: map_of(token).permute(0, 1, 3, 2, 4).flatten(1, 3),
    "column, row, time": lambda token, _: map_of(token).permute(0, 3, 2, 1, 4).flatten(1, 3),
    "time, row, column with times reversed": lambda token, _: map_of(token).flip(1).flatten(1, 3),
    "time, row, column with rows reversed": lambda token, _: map_of(token).flip(2).flatten(1, 3),
    "": lambda token, _: token.roll(1, 1),  # a class token is left in, and the last token out
}


def order_of(encoder: Encoder) -> TokenOrder:
    card = encoder.card
    clip_BCTHW = torch.randn(
        1, 3, card.num_frames, card.image_size, card.image_size, generator=torch.Generator().manual_seed(0)
    )
    return find_token_order(encoder, clip_BCTHW)


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_order_is_found_and_named(name: str) -> None:
    order = order_of(tubes_encoder(WRONG[name]))
    assert (order.num_hits, order.num_places, order.is_right) == (0, 12, False)
    if name:
        assert order.likeliest == name
    failed = [check for check in check_encoder(tubes_encoder(WRONG[name])) if not check.passed]
    assert [check.question for check in failed] == ["tokens are in order time, row, column"]
    assert (
        f"0 of 12 disturbed tubes change the token of their place{'; the order looks like ' + name if name else ''}"
        in (failed[0].found)
    )


def image_model(name: str) -> Encoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = timm.create_model(name, num_classes=0)
    card = load_encoder("random:mini_dino").card
    return FrameEncoder(
        model,
        EncoderCard(**card.model_dump() | {"num_frames": 2, "image_size": 224, "feature_width": model.num_features}),
    )


@pytest.mark.parametrize(
    "name",
    [
        *("random:mini_dino", "random:mini_sigma_mlp", "random:mini_videomae", "statistics:mini_sigma_mlp"),
        *("vit_tiny_patch16_224", "resnet18", "mobilenetv3_small_100", "regnetx_002", "pvt_v2_b0"),
    ],
)
def test_the_right_order_is_found_in_networks_that_mix_tokens(name: str) -> None:
    order = order_of(load_encoder(name) if ":" in name else image_model(name))
    assert (order.num_hits, order.num_places, order.is_right) == (12, 12, True)


@pytest.mark.parametrize("grid", [(1, 1, 1), (4, 1, 1), (1, 4, 4), (4, 2, 2), (1, 1, 2)])
def test_grids_of_one_cell_or_one_time_slot(grid: tuple[int, int, int]) -> None:
    def pooled(token: Tensor, _: Tensor) -> Tensor:
        map_BDTHW = map_of(token).movedim(4, 1)
        return torch.nn.functional.adaptive_avg_pool3d(map_BDTHW, grid).flatten(2).transpose(1, 2)

    order = order_of(tubes_encoder(pooled, grid=grid, tubelet_frames=8 // grid[0]))
    assert order.is_right and order.num_hits == order.num_places
    assert (order.num_places == 0) == (grid == (1, 1, 1))


def test_tokens_that_are_all_the_same_have_no_order() -> None:
    order = order_of(tubes_encoder(lambda token, _: token.mean(1, keepdim=True).expand_as(token)))
    assert order.is_right


def test_tokens_repeated_in_time_are_in_order() -> None:
    def repeated(token: Tensor, _: Tensor) -> Tensor:
        map_BTHWD = map_of(token)
        return map_BTHWD.mean(1, keepdim=True).expand_as(map_BTHWD).flatten(1, 3)

    assert order_of(tubes_encoder(repeated)).is_right


def test_the_clip_that_was_given_is_left_as_it_is() -> None:
    encoder, clip = tubes_encoder(), torch.randn(2, 3, 8, 32, 32)
    before = clip.clone()
    find_token_order(encoder, clip)
    assert torch.equal(clip, before)
    assert isinstance(encoder.encode(clip), Features)
