"""attentive: a grid of attentive probes on all tokens of all clips of a sample (V-JEPA, arXiv 2404.08471)."""

from typing import ClassVar, Literal

from sigma_bench.specs.frozen_protocol import HeadGridProtocol
from sigma_bench.specs.recipe import Count


class AttentiveProtocol(HeadGridProtocol):
    """A cross-attention block with one learned query, then a linear layer, trained by AdamW."""

    reads_tokens: ClassVar[bool] = True
    without_cache: ClassVar[str | None] = "attentive@2"
    kind: Literal["attentive"]
    attention_heads: Count
    """Most attention heads; the largest divisor of the feature width up to this number is used."""
    mlp_ratio: Count
