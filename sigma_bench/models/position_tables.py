"""Fixed sine-cosine tables over a token grid, as V-JEPA and MVD compute them, and the test for a stored table.

The code of a position p in m channels is ``[sin(p w_k) for k < m/2] + [cos(p w_k) for k < m/2]`` with frequencies
``w_k = 10000^(-2k/m)``: all sines come before all cosines (V-JEPA, arXiv 2404.08471, and its released code; MVD, arXiv
2212.04500).  Tables are computed in float64 and stored in float32, as in the released code.

Shapes: N tokens in order time, row, column; D width.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

TOLERANCE = 1e-4
"""Tolerance for stored position codes, in addition to the rounding of their precision."""


def vjepa_table(grid: tuple[int, int, int], width: int, *, uniform_power: bool) -> Tensor:
    """The table (N, D) of V-JEPA for a token grid (T', H', W').

    Args:
        uniform_power: whether time, row and column have ``2 ceil(D/6)`` channels each, of which the first D in total
            are kept; otherwise time has D/2 channels, row and column D/4 each.
    """
    widths = (2 * math.ceil(width / 6),) * 3 if uniform_power else (width // 2, width // 4, width // 4)
    codes = [_codes(place_N, part) for place_N, part in zip(grid_places(grid), widths, strict=True)]
    return torch.cat(codes, dim=1)[:, :width].float()


def mvd_table(grid: tuple[int, int, int], width: int) -> Tensor:
    """The table (N, D) of MVD for a token grid: D/4 channels for time, 3D/8 for the column, 3D/8 for the row.

    Raises:
        ValueError: D is not a multiple of 16.
    """
    if width % 16:
        raise ValueError(f"positions of MVD need a width that is a multiple of 16, not {width}")
    time_N, row_N, column_N = grid_places(grid)
    spatial = width // 4 * 3 // 2
    codes = [_codes(time_N, width // 4), _codes(column_N, spatial), _codes(row_N, spatial)]
    return torch.cat(codes, dim=1).float()


def grid_places(grid: tuple[int, int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """Time, row and column of each token, three float64 tensors (N,)."""
    axes = [torch.arange(count, dtype=torch.float64) for count in grid]
    time, row, column = torch.meshgrid(*axes, indexing="ij")
    return time.flatten(), row.flatten(), column.flatten()


def frequencies(channels: int) -> Tensor:
    """``10000^(-2k/m)`` for k < m/2, float64 (m/2,)."""
    return 10000.0 ** (-torch.arange(channels // 2, dtype=torch.float64) / (channels / 2))


def equals_table(stored: Tensor, table_ND: Tensor) -> bool:
    """Whether stored position codes (1, N, D) equal a table up to the rounding of the precision of the file.

    That precision may be lower than their dtype, because half-precision weights are often converted back to float32.
    """
    if stored.ndim < 2 or not stored.is_floating_point():
        return False
    given_ND = stored.squeeze(0).float()
    kinds = (torch.bfloat16, torch.float16)
    saved_as = next((kind for kind in kinds if torch.equal(given_ND.to(kind).float(), given_ND)), torch.float32)
    tolerance = TOLERANCE + torch.finfo(saved_as).eps / 2  # values lie between -1 and 1
    return given_ND.shape == table_ND.shape and bool(((given_ND - table_ND).abs() <= tolerance).all())


def vjepa_grid(stored: Tensor) -> tuple[int, int, int] | None:
    """The token grid (T', S, S) of a stored table (1, N, D) of V-JEPA; None if it is not such a table."""
    powers = (partial(vjepa_table, uniform_power=True), partial(vjepa_table, uniform_power=False))
    return next((grid for table in powers if (grid := square_grid(stored, table)) is not None), None)


def square_grid(stored: Tensor, table: Callable[[tuple[int, int, int], int], Tensor]) -> tuple[int, int, int] | None:
    """The token grid (T', S, S) for which a stored table (1, N, D) is that of a function; None if there is none."""
    if stored.ndim != 3 or len(stored) != 1:
        return None
    num_tokens, width = stored.shape[1:]
    sides = (side for side in range(math.isqrt(num_tokens), 0, -1) if num_tokens % side**2 == 0)
    grids = ((num_tokens // side**2, side, side) for side in sides)
    return next((grid for grid in grids if equals_table(stored, table(grid, width))), None)


def _codes(place_N: Tensor, channels: int) -> Tensor:
    angle = place_N[:, None] * frequencies(channels)
    return torch.cat([angle.sin(), angle.cos()], dim=1)
