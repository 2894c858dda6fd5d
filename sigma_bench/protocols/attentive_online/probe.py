"""The attentive probe of V-JEPA 2 (arXiv 2506.09985, appendix C): self-attention, then one cross-attention block.

With depth 1, there are no self-attention blocks, which is the probe of V-JEPA (arXiv 2404.08471).  Tensors have the
names of the released code, so a released probe can be loaded.  (Files of V-JEPA also have ``xattn.proj``, which that
code never uses.)

Shapes: B clips, N tokens, Q queries, A attention heads, E width of a head, D = A x E width, L classes.
"""

import torch
import torch.nn.functional as F
from timm.layers import Mlp
from timm.models.vision_transformer import Block
from torch import Tensor, nn

INITIAL_STD = 0.02


class CrossAttention(nn.Module):
    """Attention of queries to tokens, with biases and without a projection of the output."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(width, 2 * width)

    def forward(self, query_BQD: Tensor, token_BND: Tensor) -> Tensor:
        query_BAQE, key_BANE, value_BANE = (
            part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for part in (self.q(query_BQD), *self.kv(token_BND).chunk(2, -1))
        )
        return F.scaled_dot_product_attention(query_BAQE, key_BANE, value_BANE).transpose(1, 2).flatten(2)


class CrossAttentionBlock(nn.Module):
    """Queries that attend to normalised tokens, then an MLP; the queries themselves are not normalised."""

    def __init__(self, width: int, num_heads: int, mlp_ratio: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.xattn = CrossAttention(width, num_heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, int(mlp_ratio * width))

    def forward(self, query_BQD: Tensor, token_BND: Tensor) -> Tensor:
        query_BQD = query_BQD + self.xattn(query_BQD, self.norm1(token_BND))
        return query_BQD + self.mlp(self.norm2(query_BQD))


class AttentivePooler(nn.Module):
    """Tokens (B, N, D) to one vector per learned query, (B, Q, D).

    The initial weights are drawn from torch's current random state.

    Args:
        depth: number of blocks, of which the last one is the cross-attention block.
    """

    def __init__(
        self, width: int, num_heads: int, *, depth: int = 4, mlp_ratio: float = 4.0, num_queries: int = 1
    ) -> None:
        super().__init__()
        self.query_tokens = nn.Parameter(torch.empty(1, num_queries, width))
        self.cross_attention_block = CrossAttentionBlock(width, num_heads, mlp_ratio)
        blocks = [Block(width, num_heads, mlp_ratio, qkv_bias=True, norm_layer=nn.LayerNorm) for _ in range(depth - 1)]
        self.blocks = nn.ModuleList(blocks)
        nn.init.trunc_normal_(self.query_tokens, std=INITIAL_STD)
        self.apply(_initialise)
        with torch.no_grad():
            for number, block in enumerate(blocks, start=1):
                for name in ("attn.proj.weight", "mlp.fc2.weight"):
                    block.get_parameter(name).div_((2 * number) ** 0.5)
            self.cross_attention_block.mlp.fc2.weight /= (2 * max(1, depth - 1)) ** 0.5  # as released

    def forward(self, token_BND: Tensor) -> Tensor:
        for block in self.blocks:
            token_BND = block(token_BND)
        return self.cross_attention_block(self.query_tokens.expand(len(token_BND), -1, -1), token_BND)


class AttentiveClassifier(nn.Module):
    """Tokens (B, N, D) to logits (B, L): a pooler with one query, then a linear layer with torch's initial weights."""

    def __init__(self, width: int, num_heads: int, num_classes: int, *, depth: int = 4, mlp_ratio: float = 4.0) -> None:
        super().__init__()
        self.pooler = AttentivePooler(width, num_heads, depth=depth, mlp_ratio=mlp_ratio)
        self.linear = nn.Linear(width, num_classes)

    def forward(self, token_BND: Tensor) -> Tensor:
        return self.linear(self.pooler(token_BND).squeeze(1))


def num_attention_heads(width: int, most: int) -> int:
    """The largest number of heads up to ``most`` into which the width divides."""
    return max(number for number in range(1, most + 1) if width % number == 0)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=INITIAL_STD)
        nn.init.zeros_(module.bias)
