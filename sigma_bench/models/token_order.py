"""Test whether an encoder's tokens are in order time, row, column, by disturbing one tube of a clip at a time.

Tokens in a wrong order have the right shape, and their pooled features are the same.  Protocols that use positions
(segmentation, propagation, attentive heads) would score them wrongly without an error.

Shapes: B clips, C colours, T frames, H W pixels, N = T' x H' x W' tokens, P places, D width.
"""

from itertools import permutations
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sigma_bench.models.encoder import Encoder
from sigma_bench.models.encoder_output import encode_in_float32

PLACES = 12
"""Number of tubes that are disturbed, one clip each; all tubes if there are fewer."""
LEAST_SHARE = 0.3
"""A token belongs to the disturbed tube if it changes at least by this share of the largest change.

Where tokens are patches (ViT), the token of the tube changes by far the most (share 1.0, a token in a wrong place below
0.05).  In a convolutional network with strides the largest change may be in the neighbouring cell, because the centre
of a cell's receptive field lies beside the cell; there the token of the tube still had a share of 0.37 (RegNet) to 1.
"""
LEAST_GAIN = 1.1
"""Another order is found where it explains the changes better than the right one by this factor.

In networks with two or three rows and columns and receptive fields of the whole frame, orders differ by a few
hundredths; with seven or more, the right order exceeds a wrong one by a factor of 4 to 70.
"""
_AXES = ("time", "row", "column")
RIGHT_ORDER = ", ".join(_AXES)


class TokenOrder(NamedTuple):
    """Result of the test of the token order."""

    num_hits: int
    """Number of disturbed places whose own token changed."""
    num_places: int
    """Number of disturbed places; 0 if there is only one token."""
    likeliest: str
    """The compared order in which the tokens of the disturbed tubes change most."""

    @property
    def is_right(self) -> bool:
        """Whether no other order explains the changes better and at least half of the places are found.

        The threshold is half because in the right order 12 of 12 places are found in untrained networks of many kinds
        (video and image ViTs, Swin, ResNet, MobileNet, EfficientNet, RegNet, PVT, XCiT); with tokens shifted by one, 0
        of 12 in ViTs.
        """
        return self.num_places == 0 or (self.likeliest == RIGHT_ORDER and 2 * self.num_hits >= self.num_places)


def find_token_order(encoder: Encoder, clip_BCTHW: Tensor) -> TokenOrder:
    """Disturb tubes of the first clip, one at a time, and find the tokens that change.

    A change that all tokens share (such as that of a mean over the clip) is subtracted.
    """
    clip_1CTHW = clip_BCTHW[:1]
    features = encode_in_float32(encoder, clip_1CTHW.clone())
    before_ND, grid = features.token_BND[0].float().cpu(), features.grid
    orders = _orders(grid)
    if len(orders) == 1:
        return TokenOrder(0, 0, next(iter(orders)))
    places = np.random.default_rng(0).permutation(_telling_places(list(orders.values())))[:PLACES]
    change_PN = np.zeros((len(places), before_ND.shape[0]))
    for number, place in enumerate(places):
        disturbed = _disturbed(clip_1CTHW, grid, int(place))
        change_ND = encode_in_float32(encoder, disturbed).token_BND[0].float().cpu() - before_ND
        change_PN[number] = _shares(change_ND)
    rows = np.arange(len(places))
    totals = {name: float(change_PN[rows, index_N[places]].sum()) for name, index_N in orders.items()}
    best = max(totals, key=lambda name: totals[name] * (LEAST_GAIN if name == RIGHT_ORDER else 1.0))
    return TokenOrder(int((change_PN[rows, places] >= LEAST_SHARE).sum()), len(places), best)


def _shares(change_ND: Tensor) -> np.ndarray:
    """Change of every token relative to the largest; 1 for all if all tokens change alike."""
    own_N = (change_ND - change_ND.mean(0)).norm(dim=1)
    largest = float(own_N.max())
    if largest <= 1e-4 * float(change_ND.norm(dim=1).max()):
        return np.ones(len(own_N))
    return (own_N / largest).numpy()


def _name(axes: tuple[int, ...]) -> str:
    return ", ".join(_AXES[axis] for axis in axes)


def _orders(grid: tuple[int, int, int]) -> dict[str, np.ndarray]:
    """Token index of every place, by name of the order; orders that coincide on this grid are left out."""
    number_THW = np.arange(np.prod(grid)).reshape(grid)
    orders: dict[str, np.ndarray] = {}
    for axes in permutations(range(3)):
        orders[_name(axes)] = np.argsort(number_THW.transpose(axes).reshape(-1))
    for axis in range(3):
        orders[f"{RIGHT_ORDER} with {_AXES[axis]}s reversed"] = np.flip(number_THW, axis).reshape(-1)
    first: dict[bytes, str] = {}
    for name, index_N in orders.items():
        first.setdefault(index_N.tobytes(), name)
    return {name: orders[name] for name in first.values()}


def _telling_places(orders: list[np.ndarray]) -> np.ndarray:
    """Places whose token differs in every other order than the first; all places if a small grid has no such place."""
    right_N, *others = orders
    telling = np.flatnonzero(np.all([index_N != right_N for index_N in others], axis=0))
    return telling if len(telling) else right_N


def _disturbed(clip_1CTHW: Tensor, grid: tuple[int, int, int], place: int) -> Tensor:
    """The clip with the pixels of one tube negated and overlaid with noise."""
    clip_1CTHW = clip_1CTHW.clone()
    sizes = clip_1CTHW.shape[2:]
    tube = tuple(
        slice(at * size // cells, -(-(at + 1) * size // cells))
        for at, size, cells in zip(np.unravel_index(place, grid), sizes, grid, strict=True)
    )
    part = clip_1CTHW[(slice(None), slice(None), *tube)]
    noise = torch.randn(part.shape, generator=torch.Generator().manual_seed(place))
    clip_1CTHW[(slice(None), slice(None), *tube)] = 2 * noise - part
    return clip_1CTHW
