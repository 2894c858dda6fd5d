"""A small video ViT of a user, with other names of parts and with blocks of timm."""

from typing import Any

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from sigma_bench.models.custom_encoder import CustomEncoder, as_encoder

CLIP: dict[str, Any] = {
    **{"num_frames": 4, "image_size": 24, "tubelet_frames": 2},
    **{"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)},
}
PARTS: dict[str, Any] = {"blocks": "encoder.layers", "embed": ("tubes", "positions"), "norm": "encoder.final"}
WIDTH = 16


class Stack(nn.Module):
    """Blocks and a final norm."""

    def __init__(self, depth: int, block: type[nn.Module], **options: Any) -> None:
        super().__init__()
        self.layers = nn.ModuleList(block(WIDTH, **options) for _ in range(depth))
        self.final = nn.LayerNorm(WIDTH)

    def forward(self, token_BND: Tensor) -> Tensor:
        for layer in self.layers:
            token_BND = layer(token_BND)
        return self.final(token_BND)


class CustomViT(nn.Module):
    """Clips (B, 3, T, 24, 24) to tokens (B, T/2 x 9, 16); positions repeat over time."""

    def __init__(self, depth: int = 3, block: type[nn.Module] = Block, **options: Any) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.tubes = nn.Conv3d(3, WIDTH, (2, 8, 8), (2, 8, 8))
            self.positions = nn.Parameter(0.02 * torch.randn(1, 9, WIDTH))
            self.encoder = Stack(depth, block, **({"num_heads": 2} if block is Block else {}) | options)

    def embedded(self, clip_BCTHW: Tensor) -> Tensor:
        token_BDTN = self.tubes(clip_BCTHW).flatten(3)
        return (token_BDTN.permute(0, 2, 3, 1) + self.positions[:, None]).flatten(1, 2)

    def forward(self, clip_BCTHW: Tensor) -> Any:
        return self.encoder(self.embedded(clip_BCTHW))


def custom_vit(network: nn.Module | None = None, **changed: Any) -> CustomEncoder:
    """The encoder of ``CustomViT``, which can be fine-tuned."""
    return as_encoder(network or CustomViT(), **({"name": "custom_vit"} | CLIP | PARTS | changed))
