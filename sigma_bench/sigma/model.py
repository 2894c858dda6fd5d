"""The networks trained together: encoder and decoder (VideoMAE), plus projector and prototypes (SIGMA).

Shapes: B clips, N tubes, V visible, M masked, D encoder width, E decoder width, W target width.
"""

import torch
from torch import Tensor, nn

from sigma_bench.models.video_vit import LAYER_NORM_EPS, Block, VideoViT, initialise_linears, sinusoid_table, take
from sigma_bench.sigma.projector import MlpProjector
from sigma_bench.sigma.prototypes import Prototypes
from sigma_bench.sigma.targets import normalised_tubes
from sigma_bench.specs.recipe import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    DecoderSpec,
    EncoderSpec,
    Recipe,
    SigmaMlpObjective,
)


class Decoder(nn.Module):
    """Transformer over visible and mask tokens; keeps the guesses for the masked ones, (B, M, W)."""

    def __init__(self, spec: DecoderSpec, target_width: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(spec.width, spec.num_heads) for _ in range(spec.depth))
        self.norm = nn.LayerNorm(spec.width, eps=LAYER_NORM_EPS)
        self.head = nn.Linear(spec.width, target_width)
        initialise_linears(self)

    def forward(self, token_BNE: Tensor, num_masked: int) -> Tensor:
        for block in self.blocks:
            token_BNE = block(token_BNE)
        return self.head(self.norm(token_BNE[:, -num_masked:]))


class MaskedVideoModel(nn.Module):
    """Asymmetric masked autoencoder: the encoder sees visible tubes, the decoder guesses the masked ones."""

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, encoder: EncoderSpec, decoder: DecoderSpec, target_width: int) -> None:
        super().__init__()
        self.encoder = VideoViT(encoder)
        self.encoder_to_decoder = nn.Linear(encoder.width, decoder.width, bias=False)
        self.mask_token = nn.Parameter(torch.empty(1, 1, decoder.width))
        nn.init.trunc_normal_(self.mask_token, std=0.02, a=-0.02, b=0.02)
        self.decoder = Decoder(decoder, target_width)
        self.register_buffer("pixel_mean", torch.tensor(IMAGENET_MEAN), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(IMAGENET_STD), persistent=False)

    def encode(self, clip_BCTHW: Tensor, visible_BN: Tensor) -> Tensor:
        """Features of the visible tubes, (B, V, D)."""
        return self.encoder(clip_BCTHW, visible_BN)

    def decode(self, visible_BVD: Tensor, mask_BN: Tensor) -> Tensor:
        """Guesses for the masked tubes, (B, M, W), in token order."""
        seen_BVE = self.encoder_to_decoder(visible_BVD)
        batch, num = mask_BN.shape
        position = sinusoid_table(num, seen_BVE.shape[-1]).to(seen_BVE).expand(batch, -1, -1)
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
            mean=self.pixel_mean,
            std=self.pixel_std,
        )


class SigmaModel(MaskedVideoModel):
    """SIGMA-MLP: guesses live in the space of a learned projection and are scored against prototypes."""

    def __init__(self, encoder: EncoderSpec, decoder: DecoderSpec, objective: SigmaMlpObjective) -> None:
        super().__init__(encoder, decoder, objective.projector_widths[-1])
        self.projector = MlpProjector(tube_width(encoder), objective.projector_widths)
        self.prototypes = Prototypes(objective.num_prototypes, objective.projector_widths[-1])

    def project(self, clip_BCTHW: Tensor, mask_BN: Tensor) -> Tensor:
        """Projected features of the masked tubes, (B, M, W)."""
        return self.projector(self.masked_pixels(clip_BCTHW, mask_BN))


def tube_width(encoder: EncoderSpec) -> int:
    """Numbers in one tube: frames x patch x patch x 3 colours."""
    return encoder.tubelet_frames * encoder.patch_size**2 * 3


def build_model(recipe: Recipe) -> MaskedVideoModel:
    """The freshly initialised model of a recipe, from torch's current random state."""
    if isinstance(recipe.objective, SigmaMlpObjective):
        return SigmaModel(recipe.encoder, recipe.decoder, recipe.objective)
    return MaskedVideoModel(recipe.encoder, recipe.decoder, tube_width(recipe.encoder))
