"""The Vision Transformer of V-JEPA (arXiv 2404.08471), V-JEPA 2 (arXiv 2506.09985) and V-JEPA 2.1.

All are pre-norm transformers over tubes of a clip, with exact GELU; they differ in their positions:

- ``vjepa1``: a fixed sine-cosine table is added to the tokens; for another grid it is interpolated (trilinear).
- ``vjepa2``: queries and keys are multiplied by sines and cosines of time, row and column (3-D RoPE).
- ``vjepa2-sincos``: V-JEPA 2 without RoPE; as ``vjepa1``, but for fewer frames at the size of the table, its first rows
  are used.
- ``vjepa2.1``: 3-D RoPE; rows and columns are scaled to a grid of 16 x 16, every token gets an embedding of its
  modality, and a single frame has a patch embedding of its own.

The RoPE of V-JEPA 2 is not a rotation: the two channels of a pair have different angles.  Released weights are trained
with it, so it is kept here; V-JEPA 2.1 uses the rotation.

Shapes: B clips, C colours, T frames, H W pixels, N = T' x H' x W' tokens, D width, E width of a head, A channels of a
head that depend on the position.
"""

from functools import lru_cache
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from timm.layers import DropPath
from torch import Tensor, nn

from sigma_bench.models.position_tables import frequencies, grid_places
from sigma_bench.models.video_vit import LAYER_NORM_EPS, Mlp
from sigma_bench.specs.recipe import Count, Depth, Frames, Pixels, Width
from sigma_bench.specs.strict import Spec

Variant = Literal["vjepa1", "vjepa2", "vjepa2-sincos", "vjepa2.1"]
Rotary = tuple[Tensor, Tensor]
"""Cosines and sines (N, A) that multiply queries and keys."""
ROTARY_GRID = 16
"""Rows and columns of the grid to which V-JEPA 2.1 scales the rows and columns of a clip."""


class JepaSpec(Spec):
    """Geometry of the network: all numbers that determine its parameter shapes and its features."""

    variant: Variant
    num_frames: Frames
    image_size: Pixels
    patch_size: Pixels
    tubelet_frames: Frames
    width: Width
    depth: Depth
    num_heads: Width
    mlp_width: Width
    layer_norm_eps: Annotated[float, Field(gt=0)] = LAYER_NORM_EPS
    table_grid: tuple[Count, Count, Count] | None = None
    """Token grid of the table of positions; None for RoPE."""

    @property
    def takes_images(self) -> bool:
        """Whether a single frame is a clip."""
        return self.variant == "vjepa2.1"

    def grid(self, num_frames: int, height: int, width: int) -> tuple[int, int, int]:
        """Token grid (T', H', W') of a clip; ValueError if the network cannot take the clip."""
        t, p = self.tubelet_frames, self.patch_size
        is_image = self.takes_images and num_frames == 1
        if num_frames < 1 or height < 1 or width < 1 or height % p or width % p or (num_frames % t and not is_image):
            or_one = " (or one frame)" if self.takes_images else ""
            raise ValueError(
                f"cannot take {num_frames} frames at {height} x {width} px: its tubes are {t} frames{or_one} x {p} px; "
                "use multiples of both"
            )
        if self.variant == "vjepa2.1" and min(height, width) == p:
            raise ValueError(f"cannot take {height} x {width} px: V-JEPA 2.1 needs at least two rows and two columns")
        return (1 if is_image else num_frames // t), height // p, width // p


@lru_cache(maxsize=16)
def rotary(
    grid: tuple[int, int, int], head_width: int, variant: Variant, like: tuple[torch.device, torch.dtype]
) -> Rotary:
    """Cosines and sines (N, A) of a token grid, computed in float64, on a device and in a type.

    Each axis has ``a = 2 floor(floor(E/3)/2)`` channels, in order time, row, column; the last E - 3a channels of a head
    do not depend on the position.
    """
    with torch.inference_mode(False):
        channels = 2 * (head_width // 3 // 2)
        places = list(grid_places(grid))
        if variant == "vjepa2.1":
            places[1:] = [
                place * ((ROTARY_GRID - 1) / (count - 1)) for place, count in zip(places[1:], grid[1:], strict=True)
            ]
        angles = []
        for place_N in places:
            angle = place_N[:, None] * frequencies(channels)
            is_rotation = variant == "vjepa2.1"
            angles.append(angle.repeat_interleave(2, dim=1) if is_rotation else angle.repeat(1, 2))
        angle_NA = torch.cat(angles, dim=1)
        return angle_NA.cos().to(*like), angle_NA.sin().to(*like)


def rotated(x_BHNE: Tensor, table: Rotary) -> Tensor:
    """Queries or keys ``x cos + y sin`` with ``(y_2j, y_2j+1) = (-x_2j+1, x_2j)``; channels from A on stay."""
    cosine_NA, sine_NA = table
    turned, rest = x_BHNE.split([cosine_NA.shape[1], x_BHNE.shape[-1] - cosine_NA.shape[1]], dim=-1)
    even, odd = turned.unflatten(-1, (-1, 2)).unbind(-1)
    partner = torch.stack([-odd, even], dim=-1).flatten(-2)
    return torch.cat([(turned * cosine_NA + partner * sine_NA).to(x_BHNE.dtype), rest], dim=-1)


class ClipEmbedding(nn.Module):
    """Linear embedding of all tubes of a clip, by a strided convolution as in the released code."""

    def __init__(self, tubelet_frames: int, patch_size: int, width: int) -> None:
        super().__init__()
        kernel = (tubelet_frames, patch_size, patch_size)
        self.proj = nn.Conv3d(3, width, kernel_size=kernel, stride=kernel)

    def forward(self, clip_BCTHW: Tensor) -> Tensor:
        return self.proj(clip_BCTHW).flatten(2).transpose(1, 2)


class JepaAttention(nn.Module):
    """Multi-head self-attention; query, key and value have biases."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, token_BND: Tensor, table: Rotary | None) -> Tensor:
        qkv = self.qkv(token_BND).unflatten(2, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = qkv.unbind(0)
        if table is not None:
            query, key = rotated(query, table), rotated(key, table)
        return self.proj(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))


class JepaBlock(nn.Module):
    """Pre-norm transformer block; drop path on both branches."""

    def __init__(self, spec: JepaSpec) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(spec.width, eps=spec.layer_norm_eps)
        self.attn = JepaAttention(spec.width, spec.num_heads)
        self.drop_path1 = DropPath(0.0)
        self.norm2 = nn.LayerNorm(spec.width, eps=spec.layer_norm_eps)
        self.mlp = Mlp(spec.width, spec.mlp_width)
        self.drop_path2 = DropPath(0.0)

    def forward(self, token_BND: Tensor, table: Rotary | None) -> Tensor:
        token_BND = token_BND + self.drop_path1(self.attn(self.norm1(token_BND), table))
        return token_BND + self.drop_path2(self.mlp(self.norm2(token_BND)))


class JepaViT(nn.Module):
    """The encoder: clips (B, C, T, H, W) to tokens (B, N, D) with the final norm."""

    pos_embed: Tensor
    """The table of positions (1, N, D); only if the specification has a table."""

    def __init__(self, spec: JepaSpec) -> None:
        super().__init__()
        self.spec = spec
        self.patch_embed = ClipEmbedding(spec.tubelet_frames, spec.patch_size, spec.width)
        if spec.takes_images:
            self.patch_embed_img = ClipEmbedding(1, spec.patch_size, spec.width)
            self.img_mod_embed = nn.Parameter(torch.zeros(1, 1, spec.width))
            self.video_mod_embed = nn.Parameter(torch.zeros(1, 1, spec.width))
        if spec.table_grid is not None:
            slots, rows, columns = spec.table_grid
            self.register_buffer("pos_embed", torch.zeros(1, slots * rows * columns, spec.width))
        self.blocks = nn.ModuleList(JepaBlock(spec) for _ in range(spec.depth))
        self.norm = nn.LayerNorm(spec.width, eps=spec.layer_norm_eps)

    def forward(self, clip_BCTHW: Tensor) -> Tensor:
        frames, height, width = clip_BCTHW.shape[2:]
        grid = self.spec.grid(frames, height, width)
        token_BND = self._embedded(clip_BCTHW, grid)
        table = None
        if self.spec.table_grid is None:
            precision = torch.promote_types(token_BND.dtype, torch.float32)
            head_width = self.spec.width // self.spec.num_heads
            table = rotary(grid, head_width, self.spec.variant, (token_BND.device, precision))
        for block in self.blocks:
            token_BND = block(token_BND, table)
        return self.norm(token_BND)

    def _embedded(self, clip_BCTHW: Tensor, grid: tuple[int, int, int]) -> Tensor:
        if self.spec.takes_images:
            if clip_BCTHW.shape[2] == 1:
                return self.patch_embed_img(clip_BCTHW) + self.img_mod_embed
            return self.patch_embed(clip_BCTHW) + self.video_mod_embed
        token_BND = self.patch_embed(clip_BCTHW)
        if self.spec.table_grid is None:
            return token_BND
        keeps_rows = self.spec.variant == "vjepa2-sincos"
        return token_BND + table_for_grid(self.pos_embed, self.spec.table_grid, grid, keeps_rows=keeps_rows)


def table_for_grid(
    table_1ND: Tensor, own: tuple[int, int, int], grid: tuple[int, int, int], *, keeps_rows: bool
) -> Tensor:
    """The table of positions for another token grid, by trilinear interpolation without aligned corners.

    Args:
        own: token grid of the table.
        keeps_rows: whether fewer time slots on the same rows and columns take the first rows of the table instead.
    """
    if grid == own:
        return table_1ND
    if keeps_rows and grid[1:] == own[1:] and grid[0] < own[0]:
        return table_1ND[:, : grid[0] * grid[1] * grid[2]]
    volume = table_1ND.transpose(1, 2).unflatten(2, own)
    return F.interpolate(volume, size=grid, mode="trilinear", align_corners=False).flatten(2).transpose(1, 2)
