"""The masked autoencoder of clips (VideoMAE, arXiv 2203.12602): encoder, small decoder, and pixel targets.

Shapes: B clips, N tubes, V visible and M masked tubes of a clip, P pixels of a tube, C colours, D encoder width,
E decoder width, W target width.
"""

import torch
from torch import Tensor, nn

from sigma_bench.models.video_vit import (
    LAYER_NORM_EPS,
    Block,
    Blocks,
    VideoViT,
    initialise_linears,
    position_codes,
    take,
    tubes,
)
from sigma_bench.specs.masked_video import DecoderSpec
from sigma_bench.specs.recipe import IMAGENET_STD, EncoderSpec

NORMALISATION_EPS = 1e-6


class TubeDecoder(nn.Module):
    """Transformer over visible and mask tokens that returns predictions for the masked tubes, (B, M, W)."""

    def __init__(self, spec: DecoderSpec, target_width: int) -> None:
        super().__init__()
        self.blocks = Blocks(Block(spec.width, spec.num_heads) for _ in range(spec.depth))
        self.norm = nn.LayerNorm(spec.width, eps=LAYER_NORM_EPS)
        self.head = nn.Linear(spec.width, target_width)
        initialise_linears(self)

    def forward(self, token_BNE: Tensor, num_masked: int) -> Tensor:
        return self.head(self.norm(self.blocks(token_BNE, num_masked)))


class MaskedAutoencoder(nn.Module):
    """Asymmetric autoencoder: the encoder processes the visible tubes, and the decoder predicts the masked ones."""

    pixel_std: Tensor

    def __init__(self, encoder: EncoderSpec, decoder: DecoderSpec, target_width: int) -> None:
        super().__init__()
        self.encoder = VideoViT(encoder)
        self.encoder_to_decoder = nn.Linear(encoder.width, decoder.width, bias=False)
        self.mask_token = nn.Parameter(torch.empty(1, 1, decoder.width))
        nn.init.trunc_normal_(self.mask_token, std=0.02, a=-0.02, b=0.02)
        self.decoder = TubeDecoder(decoder, target_width)
        self.register_buffer("pixel_std", torch.tensor(IMAGENET_STD), persistent=False)

    def encode(self, clip_BCTHW: Tensor, visible_BN: Tensor) -> Tensor:
        """Features of the visible tubes, (B, V, D)."""
        return self.encoder(clip_BCTHW, visible_BN)

    def decode(self, visible_BVD: Tensor, mask_BN: Tensor) -> Tensor:
        """Predictions for the masked tubes, (B, M, W), in token order."""
        seen_BVE = self.encoder_to_decoder(visible_BVD)
        batch, num = mask_BN.shape
        position = position_codes(num, seen_BVE.shape[-1], (seen_BVE.device, seen_BVE.dtype)).expand(batch, -1, -1)
        hidden_BME = self.mask_token + take(position, mask_BN)
        token_BNE = torch.cat([seen_BVE + take(position, ~mask_BN), hidden_BME.to(seen_BVE)], dim=1)
        return self.decoder(token_BNE, hidden_BME.shape[1])

    def masked_pixels(self, clip_BCTHW: Tensor, mask_BN: Tensor) -> Tensor:
        """Normalised pixels of the masked tubes, (B, M, P * C)."""
        spec = self.encoder.spec
        return normalised_tubes(
            clip_BCTHW,
            mask_BN,
            tubelet_frames=spec.tubelet_frames,
            patch_size=spec.patch_size,
            std=self.pixel_std,
        )


@torch.no_grad()
def normalised_tubes(
    clip_BCTHW: Tensor, mask_BN: Tensor, *, tubelet_frames: int, patch_size: int, std: Tensor
) -> Tensor:
    """Pixels of the masked tubes, (B, M, P * C), by pixel and then colour, standardised over each tube and colour.

    As in the released code, the standard deviation is the unbiased one plus 1e-6.  The released code first undoes the
    normalisation of the clip, pixel by pixel.  Here it is undone in the standardisation, with the same result: the
    shift cancels, and the scale ``std`` remains only in the epsilon.
    """
    tube_BMCP = take(tubes(clip_BCTHW, tubelet_frames, patch_size), mask_BN).flatten(3)
    variance, centre = torch.var_mean(tube_BMCP, dim=-1, keepdim=True)
    scale = 1 / (variance.sqrt() + NORMALISATION_EPS / std.view(-1, 1))
    return (tube_BMCP - centre).mul_(scale).transpose(2, 3).flatten(2)


def tube_width(encoder: EncoderSpec) -> int:
    """Number of values in one tube: frames x patch x patch x 3 colours."""
    return encoder.tubelet_frames * encoder.patch_size**2 * 3
