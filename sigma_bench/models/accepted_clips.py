"""Which clips an encoder takes, how many blocks and heads it has, and whether it can be fine-tuned, in words."""

from typing import Any

from torch import nn

from sigma_bench.models.encoder import Encoder, NetworkEncoder
from sigma_bench.models.frame_encoder import FrameEncoder, image_sizes
from sigma_bench.models.jepa_vit import JepaViT
from sigma_bench.models.transformers_families import FAMILIES
from sigma_bench.models.transformers_tokens import patch_side
from sigma_bench.models.video_vit import VideoViT


def accepted_frames(encoder: Encoder) -> str:
    """The numbers of frames that clips of an encoder may have; unknown for custom encoders and controls."""
    card = encoder.card
    if not isinstance(encoder, NetworkEncoder):
        return "unknown"
    if card.min_frames == card.num_frames:
        return f"{card.num_frames} only"
    return "any number" if card.tubelet_frames == 1 else f"multiples of {card.tubelet_frames}"


def accepted_sizes(encoder: Encoder) -> str:
    """The heights and widths that clips of an encoder may have; unknown for custom encoders and controls."""
    network: Any = getattr(encoder, "network", None)
    own = f"{encoder.card.image_size} px only"
    if isinstance(encoder, FrameEncoder):
        sizes = image_sizes(network, encoder.card.image_size)
        if sizes.only is not None:
            return f"{own}, unless it is loaded for another size"
        return f"multiples of {sizes.multiple} px" if sizes.multiple > 1 else "any"
    if hasattr(network, "embedder") or _is_fixed(network):  # PE-video, and models with one table of positions
        return own
    patch = patch_px(encoder)
    return "unknown" if patch is None else f"multiples of {patch} px"


def patch_px(encoder: Encoder) -> int | None:
    """Side of the square of pixels of one token; None if there is no such square or it is unknown."""
    network: Any = getattr(encoder, "network", None)
    if isinstance(network, VideoViT | JepaViT):
        return network.spec.patch_size
    if isinstance(encoder, FrameEncoder):
        return int(network.feature_info[-1]["reduction"])
    if hasattr(network, "config") and not hasattr(network, "embedder"):
        return patch_side(network.config)
    return None


def geometry(encoder: Encoder) -> str:
    """Numbers of blocks, channels and heads, and the size of the tubes or patches, as far as they are known."""
    patch, tubelet = patch_px(encoder), encoder.card.tubelet_frames
    known = [f"{encoder.card.feature_width} wide"]
    if isinstance(encoder, NetworkEncoder) and encoder.parts is not None:
        blocks = list(encoder.network.get_submodule(encoder.parts.blocks).children())
        known.insert(0, f"{len(blocks)} blocks")
        if heads := _num_heads(encoder.network, blocks):
            known.append(f"{heads} heads")
    if patch is not None:
        known.append(f"patches of {patch} px" if tubelet == 1 else f"tubes of {tubelet} frames x {patch} px")
    return ", ".join(known)


def fine_tuning(encoder: Encoder) -> str:
    """Whether an encoder can be fine-tuned, and the reason if it cannot."""
    if isinstance(encoder, NetworkEncoder):
        return "yes" if encoder.parts is not None else "no: its network is not one list of blocks"
    return "yes" if hasattr(encoder, "backbone") else "no: it has no network that can be trained"


def _is_fixed(network: Any) -> bool:
    """Whether a model of transformers takes clips of its own geometry only."""
    family = FAMILIES.get(getattr(getattr(network, "config", None), "model_type", ""))
    return family is not None and family.is_fixed


def _num_heads(network: Any, blocks: list[nn.Module]) -> int | None:
    """The number of attention heads if it is the same in all blocks and known."""
    if isinstance(network, VideoViT | JepaViT):
        return network.spec.num_heads
    if hasattr(network, "config"):
        return getattr(network.config, "num_attention_heads", None)
    counts = {getattr(getattr(block, "attn", None), "num_heads", None) for block in blocks}
    return counts.pop() if len(counts) == 1 else None
