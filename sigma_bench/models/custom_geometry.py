"""Geometry of a custom encoder: given numbers are checked, absent ones are measured, and grids follow the clips.

Shapes: N = T' x H' x W' tokens, D width.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from sigma_bench.failures import failure_sentence
from sigma_bench.models.encoder_output import no_tensor, token_mistake
from sigma_bench.specs.encoder_card import EncoderCard

Grid = tuple[int, int, int]
"""Time slots, rows and columns of tokens."""


def require_geometry(where: str, num_frames: int, image_size: int, tubelet_frames: int, grid: Grid | None) -> None:
    """ValueError unless counts are whole numbers above 0 and the grid's time slots fit frames and tubelets."""
    counts = {"num_frames": num_frames, "image_size": image_size, "tubelet_frames": tubelet_frames}
    for name, count in counts.items():
        if type(count) is not int or count < 1:
            raise ValueError(f"{where}: {name} is {count!r}; give a whole number above 0")
    if grid is None:
        if num_frames % tubelet_frames:
            raise ValueError(f"{where}: {num_frames} frames are not whole tubelets of {tubelet_frames} frames")
        return
    if not (
        isinstance(grid, tuple | list) and len(grid) == 3 and all(type(cells) is int and cells > 0 for cells in grid)
    ):
        raise ValueError(f"{where}: the grid is {grid!r}; give three whole numbers: time slots, rows and columns")
    if grid[0] * tubelet_frames != num_frames:
        raise ValueError(
            f"{where}: the grid {tuple(grid)} has {grid[0]} time slots, but {num_frames} frames in tubelets of "
            f"{tubelet_frames} make {num_frames / tubelet_frames:g}; its order is time slots, rows, columns"
        )


def require_min_frames(where: str, min_frames: int | None, num_frames: int, tubelet_frames: int) -> None:
    """ValueError unless the smallest number of frames is None or whole tubelets, and at most ``num_frames``."""
    if min_frames is None:
        return
    if type(min_frames) is not int or not 0 < min_frames <= num_frames or min_frames % tubelet_frames:
        raise ValueError(
            f"{where}: min_frames is {min_frames!r}; give whole tubelets of {tubelet_frames} frames, at most "
            f"{num_frames}, or num_frames itself for a network that takes clips of {num_frames} frames only"
        )


def grid_of(clip_BCTHW: Tensor, card: EncoderCard, own_grid: Grid) -> Grid:
    """Time slots, rows and columns of a clip whose cells have the size in pixels of those of the card's clips.

    A cell that the edge of a frame cuts counts, as in convolutions with padding.

    Args:
        own_grid: the grid of a clip with the frames and size of the card.
    """
    frames, height, width = clip_BCTHW.shape[2:]
    rows, columns = (
        -(-side * cells // card.image_size) for side, cells in ((height, own_grid[1]), (width, own_grid[2]))
    )
    return frames * own_grid[0] // card.num_frames, rows, columns


class FixedGridError(ValueError):
    """A network returns the same number of tokens for clips of every length and size."""

    def __init__(self, card: EncoderCard, own_grid: Grid, clip_BCTHW: Tensor) -> None:
        frames, height, width = clip_BCTHW.shape[2:]
        super().__init__(
            f"model '{card.model}' has the fixed grid {own_grid}: clips of other lengths or sizes, here of {frames} "
            f"frames of {height} x {width} px, give the same {math.prod(own_grid)} tokens, so tasks that change the "
            "clip (other frames or sizes) cannot be run with it"
        )


def returns_own_grid(network: nn.Module, clip_BCTHW: Tensor, card: EncoderCard, own_grid: Grid) -> bool:
    """Whether a network returns as many tokens for a clip with another grid as for a clip of the card.

    The grid of the clip has the same number of tokens.  Therefore a second clip, which differs from that of the card in
    one dimension only, is encoded.
    """
    frames, height, _ = clip_BCTHW.shape[2:]
    height = height if frames == card.num_frames else card.image_size
    other_BCTHW = clip_BCTHW.new_zeros(1, 3, frames, height, card.image_size)
    if math.prod(grid_of(other_BCTHW, card, own_grid)) == math.prod(own_grid):
        return False
    try:
        with evaluation_mode(network):
            found = network(other_BCTHW)
    except Exception:  # a network that fails for one clip is not one that takes all of them
        return False
    return isinstance(found, Tensor) and found.ndim == 3 and found.shape[1] == math.prod(own_grid)


def require_colours(where: str, mean: object, std: object) -> None:
    """ValueError unless mean and std are three numbers each, for colours from 0 to 1."""
    for name, values in (("mean", mean), ("std", std)):
        if not (isinstance(values, tuple | list) and len(values) == 3):
            raise ValueError(f"{where}: {name} is {values!r}; give three numbers, one each for red, green and blue")
        numbers = [value for value in values if isinstance(value, int | float)]
        least = 0 if name == "mean" else math.ulp(0)
        if len(numbers) < 3 or not all(least <= value <= 1 for value in numbers):
            raise ValueError(
                f"{where}: {name} is {values!r}; give values for colours from 0 to 1 "
                "(divide values for 0 to 255 by 255)"
            )


def measured_geometry(
    where: str,
    network: nn.Module,
    clip_shape: tuple[int, int, int, int],
    tubelet_frames: int,
    grid: Grid | None,
    width: int | None,
) -> tuple[Grid, int]:
    """Grid and feature width of a network, measured if they are None.

    Args:
        clip_shape: C, T, H, W.

    Raises:
        ValueError: the network fails, does not return tokens (B, N, D), or its number of tokens does not determine the
            grid.
    """
    found = _grey_tokens(where, network, clip_shape)
    num_tokens, measured_width = found.shape[1:]
    slots, image_size = clip_shape[1] // tubelet_frames, clip_shape[2]
    if grid is None:
        side = _side(num_tokens, slots, image_size)
        is_ambiguous = width is None and _side(measured_width, slots, image_size) is not None
        if side is None or is_ambiguous:
            which = (
                "and N or D may be the number of tokens" if side is not None else "and N is no square grid of tokens"
            )
            raise ValueError(
                f"{where}: the network returns (B, N, D) = {tuple(found.shape)} for {slots} time slots of {image_size} "
                f"px, {which}; give grid=(time slots, rows, columns), without class and register tokens"
            )
        grid = (slots, side, side)
    width = measured_width if width is None else width
    mistake = token_mistake(found, 1, (grid[0], grid[1], grid[2]), width)
    if mistake is not None:
        raise ValueError(f"{where}: the network returns {mistake}")
    return grid, width


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Context in which all modules of a network are in evaluation mode; at its end, each has its former mode."""
    modes = {module: getattr(module, "training", False) for module in network.modules()}
    if any(modes.values()):
        network.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():  # parents first, since a module sets the mode of those below it
            if getattr(module, "training", False) is not mode:
                module.train(mode)


def _side(num_tokens: int, slots: int, image_size: int) -> int | None:
    """Number of rows (and columns) of a square grid of tokens that divides the image; None if there is none."""
    side = math.isqrt(num_tokens // slots)
    return side if side and slots * side**2 == num_tokens and image_size % side == 0 else None


@torch.no_grad()
def _grey_tokens(where: str, network: nn.Module, clip_shape: tuple[int, int, int, int]) -> Tensor:
    """Tokens (1, N, D) of a clip of zeros; ValueError if the network fails or returns anything else."""
    parameter = next(network.parameters(), None)
    clip_BCTHW = torch.zeros(1, *clip_shape, device=None if parameter is None else parameter.device)
    try:
        with evaluation_mode(network):
            found: Any = network(clip_BCTHW)
    except Exception as error:
        raise ValueError(
            f"{where}: the network fails for clips (B, C, T, H, W) of shape {(1, *clip_shape)}: "
            f"{failure_sentence(error)}"
        ) from error
    if not isinstance(found, Tensor):
        raise ValueError(f"{where}: the network returns {no_tensor(found)}")
    if found.ndim != 3 or len(found) != 1:
        raise ValueError(
            f"{where}: the network returns a tensor of shape {tuple(found.shape)} for one clip, not tokens (1, N, D)"
        )
    return found
