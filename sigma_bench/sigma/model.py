"""The networks trained together: encoder and decoder (VideoMAE), plus projector and prototypes (SIGMA).

Shapes: B clips, N tubes, V visible, M masked, D encoder width, E decoder width, W target width.
"""

from abc import ABC, abstractmethod

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
)
from sigma_bench.sigma.projector import MlpProjector
from sigma_bench.sigma.prototypes import Prototypes
from sigma_bench.sigma.targets import normalised_tubes
from sigma_bench.sigma.teacher import Teacher
from sigma_bench.specs.recipe import (
    IMAGENET_STD,
    DecoderSpec,
    EncoderSpec,
    MaskedVideoRecipe,
    SigmaDinoObjective,
    SigmaMlpObjective,
)


class Decoder(nn.Module):
    """Transformer over visible and mask tokens; keeps the guesses for the masked ones, (B, M, W)."""

    def __init__(self, spec: DecoderSpec, target_width: int) -> None:
        super().__init__()
        self.blocks = Blocks(Block(spec.width, spec.num_heads) for _ in range(spec.depth))
        self.norm = nn.LayerNorm(spec.width, eps=LAYER_NORM_EPS)
        self.head = nn.Linear(spec.width, target_width)
        initialise_linears(self)

    def forward(self, token_BNE: Tensor, num_masked: int) -> Tensor:
        return self.head(self.norm(self.blocks(token_BNE, num_masked)))


class MaskedVideoModel(nn.Module):
    """Asymmetric masked autoencoder: the encoder sees visible tubes, the decoder guesses the masked ones."""

    pixel_std: Tensor

    def __init__(self, encoder: EncoderSpec, decoder: DecoderSpec, target_width: int) -> None:
        super().__init__()
        self.encoder = VideoViT(encoder)
        self.encoder_to_decoder = nn.Linear(encoder.width, decoder.width, bias=False)
        self.mask_token = nn.Parameter(torch.empty(1, 1, decoder.width))
        nn.init.trunc_normal_(self.mask_token, std=0.02, a=-0.02, b=0.02)
        self.decoder = Decoder(decoder, target_width)
        self.register_buffer("pixel_std", torch.tensor(IMAGENET_STD), persistent=False)

    def encode(self, clip_BCTHW: Tensor, visible_BN: Tensor) -> Tensor:
        """Features of the visible tubes, (B, V, D)."""
        return self.encoder(clip_BCTHW, visible_BN)

    def decode(self, visible_BVD: Tensor, mask_BN: Tensor) -> Tensor:
        """Guesses for the masked tubes, (B, M, W), in token order."""
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


class SigmaModel(MaskedVideoModel, ABC):
    """Guesses live in the space of projected targets and are compared with them through prototypes."""

    def __init__(self, encoder: EncoderSpec, decoder: DecoderSpec, num_prototypes: int, target_width: int) -> None:
        super().__init__(encoder, decoder, target_width)
        self.prototypes = Prototypes(num_prototypes, target_width)

    @abstractmethod
    def project(self, clip_BCTHW: Tensor, mask_BN: Tensor) -> Tensor:
        """What the masked tubes should be recognised as, (B, M, W)."""


class SigmaMlpModel(SigmaModel):
    """SIGMA-MLP: targets are a learned projection of the masked pixels."""

    def __init__(self, encoder: EncoderSpec, decoder: DecoderSpec, objective: SigmaMlpObjective) -> None:
        width = objective.projector_widths[-1]
        super().__init__(encoder, decoder, objective.num_prototypes, width)
        self.projector = MlpProjector(tube_width(encoder), objective.projector_widths)

    def project(self, clip_BCTHW: Tensor, mask_BN: Tensor) -> Tensor:
        return self.projector(self.masked_pixels(clip_BCTHW, mask_BN))


class SigmaDinoModel(SigmaModel):
    """SIGMA-DINO: targets are the patch tokens of a frozen image model; there is no projector to learn."""

    def __init__(
        self, encoder: EncoderSpec, decoder: DecoderSpec, objective: SigmaDinoObjective, teacher: Teacher
    ) -> None:
        super().__init__(encoder, decoder, objective.num_prototypes, objective.teacher.width)
        self.teacher = teacher  # not a module: its weights are neither trained nor saved

    def project(self, clip_BCTHW: Tensor, mask_BN: Tensor) -> Tensor:
        return take(self.teacher.tokens(clip_BCTHW), mask_BN)


def tube_width(encoder: EncoderSpec) -> int:
    """Numbers in one tube: frames x patch x patch x 3 colours."""
    return encoder.tubelet_frames * encoder.patch_size**2 * 3


def build_model(recipe: MaskedVideoRecipe, teacher: Teacher | None = None) -> MaskedVideoModel:
    """The freshly initialised model of a recipe, from torch's current random state; SIGMA-DINO needs its teacher."""
    objective = recipe.objective
    if isinstance(objective, SigmaMlpObjective):
        return SigmaMlpModel(recipe.encoder, recipe.decoder, objective)
    if isinstance(objective, SigmaDinoObjective):
        assert teacher is not None
        return SigmaDinoModel(recipe.encoder, recipe.decoder, objective, teacher)
    return MaskedVideoModel(recipe.encoder, recipe.decoder, tube_width(recipe.encoder))
