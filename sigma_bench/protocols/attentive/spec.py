"""attentive: a grid of attentive probes on all tokens of all clips of a sample (V-JEPA, arXiv 2404.08471)."""

from typing import ClassVar, Literal

from sigma_bench.specs.frozen import HeadGridProtocol
from sigma_bench.specs.recipe import Count


class AttentiveProtocol(HeadGridProtocol):
    """A cross-attention block with one learned query, then a linear layer, trained by AdamW."""

    reads_tokens: ClassVar[bool] = True
    kind: Literal["attentive"]
    attention_heads: Count
    """At most; the largest divisor of the feature width is taken."""
    mlp_ratio: Count
