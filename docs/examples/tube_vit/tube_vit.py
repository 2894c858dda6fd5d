"""A small video ViT as an encoder for sigma-bench.

Shapes: B clips, C colours, T frames, H W pixels, N = T' x H' x W' tokens, D width.
"""

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn

import sigma_bench as sb

FRAMES, SIZE, TUBELET, PATCH, WIDTH = 8, 48, 2, 8, 96


class TubeViT(nn.Module):
    """Clips (B, C, T, H, W) -> tokens (B, N, D) in order time, row, column."""

    def __init__(self, depth: int = 2) -> None:
        super().__init__()
        tube = (TUBELET, PATCH, PATCH)
        self.tubes = nn.Conv3d(3, WIDTH, tube, tube)
        self.positions = nn.Parameter(0.02 * torch.randn(1, (SIZE // PATCH) ** 2, WIDTH))
        self.blocks = nn.ModuleList(Block(WIDTH, num_heads=3) for _ in range(depth))
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, clip_BCTHW: Tensor) -> Tensor:
        token_BTND = self.tubes(clip_BCTHW).flatten(3).permute(0, 2, 3, 1) + self.positions[:, None]
        token_BND = token_BTND.flatten(1, 2)
        for block in self.blocks:
            token_BND = block(token_BND)
        return self.norm(token_BND)


def build() -> sb.Encoder:
    """The encoder; it has random weights in place of those of a file."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = TubeViT()
    # network.load_state_dict(torch.load("tube_vit.pt", weights_only=True))
    return sb.as_encoder(
        network,
        name="small_tubes",
        num_frames=FRAMES,
        image_size=SIZE,
        tubelet_frames=TUBELET,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        blocks="blocks",
        embed=("tubes", "positions"),
        norm="norm",
    )
