"""The video Vision Transformer that SIGMA and VideoMAE share (SIGMA section 3; VideoMAE, arXiv 2203.12602).

A clip is divided into tubes of ``tubelet x patch x patch`` pixels; every tube becomes one token.  Pretraining embeds
and encodes the visible tubes only, evaluation all tubes.

``VitOptions`` are properties of the published models of other projects: VideoMAE v2 (arXiv 2303.16727) with attention
by cosine similarity (Swin v2, arXiv 2111.09883), and MVD (arXiv 2212.04500).

Two operations are implemented differently from the released code, with the same result.  The tube embedding is a linear
map of the visible tubes instead of a strided 3-D convolution with the same weights, which is 8 times faster at a mask
ratio of 0.9.  Attention is computed by ``scaled_dot_product_attention``.

Shapes: B clips, C colours, T frames, H W pixels, N tubes, V visible tubes, D width, P tube pixels.
"""

from functools import lru_cache
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from timm.layers import DropPath
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sigma_bench.models.position_tables import mvd_table
from sigma_bench.specs.recipe import EncoderSpec, Width
from sigma_bench.specs.strict import Spec

LAYER_NORM_EPS = 1e-6
MAX_LOG_SCALE = 4.6052
"""Greatest logarithm of the scale of cosine attention, ln 100 as VideoMAE v2 rounds it."""


class VitOptions(Spec):
    """Properties of published models that recipes of this project do not have."""

    mlp_width: Width | None = None
    """Hidden width of the MLPs; None means 4 times the width."""
    cosine_attention: bool = False
    """Whether attention uses the cosine similarity of queries and keys with a learned scale per head."""
    layer_norm_eps: Annotated[float, Field(gt=0)] = LAYER_NORM_EPS
    positions: Literal["sinusoid", "mvd"] = "sinusoid"
    """The fixed table of positions: over the flattened token index, or over time, row and column as in MVD."""


NO_OPTIONS = VitOptions()


def sinusoid_table(num_positions: int, width: int) -> Tensor:
    """Fixed position code over the flattened token index, (N, D); a shorter table is a prefix of it."""
    position = torch.arange(num_positions, dtype=torch.float64)[:, None]
    frequency = torch.pow(10000.0, -2.0 * (torch.arange(width) // 2).double() / width)
    angle = position * frequency
    table = torch.where(torch.arange(width) % 2 == 0, angle.sin(), angle.cos())
    return table.float()


@lru_cache(maxsize=16)
def mvd_codes(grid: tuple[int, int, int], width: int, like: tuple[torch.device, torch.dtype]) -> Tensor:
    """The table of MVD on a device and in a type, cached for the same reason as ``position_codes``."""
    with torch.inference_mode(False):
        return mvd_table(grid, width).to(*like)


@lru_cache(maxsize=16)
def position_codes(num_positions: int, width: int, like: tuple[torch.device, torch.dtype]) -> Tensor:
    """The sinusoid table on a device and in a type, cached, because its computation takes longer than a block."""
    with torch.inference_mode(False):
        return sinusoid_table(num_positions, width).to(*like)


def tubes(clip_BCTHW: Tensor, tubelet_frames: int, patch_size: int) -> Tensor:
    """The tubes of clips, (B, N, C, t, p, p), in order time, row, column."""
    batch, colours, frames, height, width = clip_BCTHW.shape
    t, p = tubelet_frames, patch_size
    cut = clip_BCTHW.reshape(batch, colours, frames // t, t, height // p, p, width // p, p)
    return cut.permute(0, 2, 4, 6, 1, 3, 5, 7).flatten(1, 3)


def take(token_BND: Tensor, mask_BN: Tensor) -> Tensor:
    """Tokens at which the mask is true, in order, (B, V, ...); their number must be equal for all clips."""
    batch = token_BND.shape[0]
    return token_BND[mask_BN].reshape(batch, -1, *token_BND.shape[2:])


class TubeEmbedding(nn.Module):
    """Linear embedding of tubes; its weights have the names and shapes of a strided 3-D convolution, as released."""

    def __init__(self, tubelet_frames: int, patch_size: int, width: int) -> None:
        super().__init__()
        self.tubelet_frames, self.patch_size = tubelet_frames, patch_size
        kernel = (tubelet_frames, patch_size, patch_size)
        self.proj = nn.Conv3d(3, width, kernel_size=kernel, stride=kernel)

    def forward(self, clip_BCTHW: Tensor, visible_BN: Tensor | None) -> Tensor:
        tube = tubes(clip_BCTHW, self.tubelet_frames, self.patch_size)
        if visible_BN is not None:
            tube = take(tube, visible_BN)
        return F.linear(tube.flatten(2), self.proj.weight.flatten(1), self.proj.bias)


class Attention(nn.Module):
    """Multi-head self-attention with learned query and value biases and no key bias."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(width))
        self.v_bias = nn.Parameter(torch.zeros(width))
        self.proj = nn.Linear(width, width)

    def forward(self, token_BND: Tensor, num_queries: int | None = None) -> Tensor:
        """Output tokens (B, N, D), or only the last ``num_queries`` of them if this number is given."""
        query, key, value = self._heads(token_BND)
        query = query[:, :, -(num_queries or token_BND.shape[1]) :]
        if query.is_cpu and query.dtype == torch.bfloat16:
            # The fused CPU kernel is slower than separate operations in bfloat16: see results/README.md.
            mixed = ((query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)).softmax(-1) @ value
        else:
            mixed = F.scaled_dot_product_attention(query, key, value)
        return self.proj(mixed.transpose(1, 2).flatten(2))

    def _heads(self, token_BND: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values (B, heads, N, D / heads)."""
        batch, num = token_BND.shape[:2]
        bias = torch.cat([self.q_bias, torch.zeros_like(self.v_bias), self.v_bias])
        qkv = F.linear(token_BND, self.qkv.weight, bias)
        query, key, value = qkv.reshape(batch, num, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        return query, key, value


class CosineAttention(Attention):
    """Attention whose scores are cosine similarities times a scale per head, at most 100."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__(width, num_heads)
        self.scale = nn.Parameter(torch.full((num_heads, 1, 1), 10.0).log())

    def forward(self, token_BND: Tensor, num_queries: int | None = None) -> Tensor:
        query, key, value = self._heads(token_BND)
        query = query[:, :, -(num_queries or token_BND.shape[1]) :]
        query = F.normalize(query, dim=-1) * self.scale.clamp(max=MAX_LOG_SCALE).exp()
        mixed = F.scaled_dot_product_attention(query, F.normalize(key, dim=-1), value, scale=1.0)
        return self.proj(mixed.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """Two linear layers with an exact GELU between them; the hidden layer is 4 times as wide unless it is given."""

    def __init__(self, width: int, hidden_width: int | None = None) -> None:
        super().__init__()
        hidden_width = hidden_width or 4 * width
        self.fc1 = nn.Linear(width, hidden_width)
        self.fc2 = nn.Linear(hidden_width, width)

    def forward(self, token_BND: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(token_BND)))


class Block(nn.Module):
    """Pre-norm transformer block with optional layer scale (``gamma_1``, ``gamma_2``) and drop path."""

    def __init__(
        self,
        width: int,
        num_heads: int,
        drop_path: float = 0.0,
        layer_scale: float = 0.0,
        options: VitOptions = NO_OPTIONS,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=options.layer_norm_eps)
        self.attn = (CosineAttention if options.cosine_attention else Attention)(width, num_heads)
        self.norm2 = nn.LayerNorm(width, eps=options.layer_norm_eps)
        self.mlp = Mlp(width, options.mlp_width)
        self.drop_path = DropPath(drop_path)
        scaled = layer_scale > 0
        self.gamma_1 = nn.Parameter(torch.full((width,), layer_scale)) if scaled else None
        self.gamma_2 = nn.Parameter(torch.full((width,), layer_scale)) if scaled else None

    def forward(self, token_BND: Tensor, num_queries: int | None = None) -> Tensor:
        mixed = self.attn(self.norm1(token_BND), num_queries)
        token_BND = token_BND[:, -mixed.shape[1] :] + self.drop_path(
            mixed if self.gamma_1 is None else self.gamma_1 * mixed
        )
        refined = self.mlp(self.norm2(token_BND))
        return token_BND + self.drop_path(refined if self.gamma_2 is None else self.gamma_2 * refined)


class Blocks(nn.ModuleList):
    """A sequence of blocks; with ``checkpoints_activations``, only their inputs are stored for the backward pass."""

    checkpoints_activations = False

    def forward(self, token_BND: Tensor, num_queries: int | None = None) -> Tensor:
        """Output tokens (B, N, D), or only the last ``num_queries`` of them if this number is given."""
        for depth, block in enumerate(self, start=1):
            wanted = num_queries if depth == len(self) else None
            token_BND = (
                checkpoint(block, token_BND, wanted, use_reentrant=False)
                if self.checkpoints_activations and self.training
                else block(token_BND, wanted)
            )
        return token_BND


def checkpoint_activations(model: nn.Module) -> bool:
    """Switch on activation checkpointing in all ``Blocks`` of a model; returns whether there are any."""
    stacks = [module for module in model.modules() if isinstance(module, Blocks)]
    for stack in stacks:
        stack.checkpoints_activations = True
    return bool(stacks)


class VideoViT(nn.Module):
    """The encoder; position codes are computed for any clip length and image size."""

    def __init__(self, spec: EncoderSpec, options: VitOptions = NO_OPTIONS) -> None:
        super().__init__()
        self.spec, self.options = spec, options
        self.patch_embed = TubeEmbedding(spec.tubelet_frames, spec.patch_size, spec.width)
        rates = drop_path_rates(spec.drop_path, spec.depth)
        self.blocks = Blocks(Block(spec.width, spec.num_heads, rate, spec.layer_scale, options) for rate in rates)
        self.norm = nn.LayerNorm(spec.width, eps=options.layer_norm_eps)
        initialise_linears(self.blocks)

    def forward(self, clip_BCTHW: Tensor, visible_BN: Tensor | None = None) -> Tensor:
        """Features (B, V, D) of the visible tubes of clips (B, C, T, H, W), or of all tubes if there is no mask."""
        frames, height, width = clip_BCTHW.shape[2:]
        slots, rows, _ = self.spec.grid(frames, height)
        columns = self.spec.grid(frames, width)[2]
        token_BND = self.patch_embed(clip_BCTHW, visible_BN)
        like = (token_BND.device, token_BND.dtype)
        if self.options.positions == "mvd":
            position_ND = mvd_codes((slots, rows, columns), self.spec.width, like)
        else:
            position_ND = position_codes(slots * rows * columns, self.spec.width, like)
        if visible_BN is None:
            token_BND = token_BND + position_ND
        else:
            token_BND = token_BND + take(position_ND.expand(len(clip_BCTHW), -1, -1), visible_BN)
        return self.norm(self.blocks(token_BND))


def drop_path_rates(last: float, depth: int) -> list[float]:
    """Drop path rates of the blocks, which grow linearly from 0 to ``last``."""
    return torch.linspace(0, last, depth, device="cpu").tolist()


def initialise_linears(module: nn.Module) -> None:
    """Initialise every ``Linear`` inside with Xavier-uniform weights and zero biases."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
