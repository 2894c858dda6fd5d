"""Weight files of well-known models that the readers of video ViTs do not take, and what to do with them."""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from sigma_bench.models.weights_file import CONTAINERS, MAX_DEPTH

WRAP = "write a function that returns it by sigma_bench.as_encoder, and name it as module:function"


def advice(content: Mapping[str, Any]) -> str | None:
    """What a file holds and how it can be evaluated; None if it is no model that is known here.

    Args:
        content: tensors by name, or containers of tensors.
    """
    return next(filter(None, map(_advice, levels(content))), None)


def levels(content: Mapping[str, Any], depth: int = MAX_DEPTH) -> Iterator[Mapping[str, Any]]:
    """A mapping and the containers of weights in it."""
    yield content
    for key in CONTAINERS if depth else ():
        if isinstance(inner := content.get(key), Mapping):
            yield from levels(inner, depth - 1)


def _advice(tensors: Mapping[str, Any]) -> str | None:
    names = {name: value for name, value in tensors.items() if isinstance(name, str) and isinstance(value, Tensor)}
    patches = next((value.ndim for name, value in names.items() if name.endswith("patch_embed.proj.weight")), None)

    def has(part: str) -> bool:
        return any(part in name for name in names)

    if patches == 4 and has("blocks.0."):
        return (
            "holds an image ViT (names of timm and DINO); use timm:<name>:<file>, with the name that timm has for its "
            "architecture, such as timm:vit_small_patch16_224.dino:<file>"
        )
    if patches == 5 and (has("attn.q_norm.") or has("ls1.gamma")):
        return (
            "holds an InternVideo2 encoder, whose blocks (RMS norm, norms of queries and keys) are not built in; "
            + WRAP
        )
    if patches == 5 and has("pos_embed_spatial"):
        return "holds a spatiotemporal MAE with separate positions for space and time, which is not built in; " + WRAP
    return None
