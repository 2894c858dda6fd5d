"""The networks of SIGMA (section 3): a masked autoencoder with prototypes, and the target branch.

The targets of SIGMA-MLP are a learned projection of the masked pixels, those of SIGMA-DINO are tokens of a frozen
teacher.

Shapes: B clips, N tubes, M masked tubes of a clip, W target width, K prototypes.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sigma_bench.models.masked_autoencoder import MaskedAutoencoder, tube_width
from sigma_bench.models.video_vit import take
from sigma_bench.sigma.spec import SigmaDinoObjective, SigmaMlpObjective, SigmaRecipe
from sigma_bench.sigma.teacher import Teacher
from sigma_bench.specs.masked_video import DecoderSpec
from sigma_bench.specs.recipe import EncoderSpec
from sigma_bench.training.step import unit_features


class MlpProjector(nn.Sequential):
    """Linear layers with GELU between them, with default initialisation; released widths are 1024, 1024, 512, 256."""

    def __init__(self, input_width: int, widths: Sequence[int]) -> None:
        layers: list[nn.Module] = []
        for index, width in enumerate(widths):
            layers += [nn.GELU()] if index else []
            layers.append(nn.Linear(input_width, width))
            input_width = width
        super().__init__(*layers)


class Prototypes(nn.Module):
    """K unit vectors, which are trained through the scores of the targets only."""

    def __init__(self, num_prototypes: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(num_prototypes, width))

    def scores(self, target_BMW: Tensor, guess_BMW: Tensor) -> tuple[Tensor, Tensor]:
        """Cosine similarities of targets and of predictions with the prototypes, each (B * M, K).

        The prototypes are first normalised in place, as in the release.  Scores are float32 (or float64) even under
        autocast: rounded to bfloat16, 2 % of the codes would differ.
        """
        with torch.no_grad():
            self.weight.copy_(F.normalize(self.weight, dim=1))
        with torch.autocast(self.weight.device.type, enabled=False):
            target_score_MK = unit_features(target_BMW) @ self.weight.T
            guess_score_MK = unit_features(guess_BMW) @ self.weight.detach().T
        return target_score_MK, guess_score_MK


class SigmaModel(MaskedAutoencoder, ABC):
    """A masked autoencoder whose predictions and targets are compared with prototypes."""

    def __init__(self, encoder: EncoderSpec, decoder: DecoderSpec, num_prototypes: int, target_width: int) -> None:
        super().__init__(encoder, decoder, target_width)
        self.prototypes = Prototypes(num_prototypes, target_width)

    @abstractmethod
    def project(self, clip_BCTHW: Tensor, mask_BN: Tensor) -> Tensor:
        """Targets of the masked tubes, (B, M, W)."""


class SigmaMlpModel(SigmaModel):
    """SIGMA-MLP: targets are a learned projection of the masked pixels."""

    def __init__(self, encoder: EncoderSpec, decoder: DecoderSpec, objective: SigmaMlpObjective) -> None:
        width = objective.projector_widths[-1]
        super().__init__(encoder, decoder, objective.num_prototypes, width)
        self.projector = MlpProjector(tube_width(encoder), objective.projector_widths)

    def project(self, clip_BCTHW: Tensor, mask_BN: Tensor) -> Tensor:
        return self.projector(self.masked_pixels(clip_BCTHW, mask_BN))


class SigmaDinoModel(SigmaModel):
    """SIGMA-DINO: targets are the patch tokens of a frozen image model, without a projector."""

    def __init__(
        self, encoder: EncoderSpec, decoder: DecoderSpec, objective: SigmaDinoObjective, teacher: Teacher
    ) -> None:
        super().__init__(encoder, decoder, objective.num_prototypes, objective.teacher.width)
        self.teacher = teacher  # not a module: its weights are neither trained nor saved

    def project(self, clip_BCTHW: Tensor, mask_BN: Tensor) -> Tensor:
        return take(self.teacher.tokens(clip_BCTHW), mask_BN)


def build_model(recipe: SigmaRecipe, teacher: Teacher | None) -> SigmaModel:
    """The model of a recipe, with initial weights from torch's current random state; SIGMA-DINO needs its teacher."""
    objective = recipe.objective
    if isinstance(objective, SigmaMlpObjective):
        return SigmaMlpModel(recipe.encoder, recipe.decoder, objective)
    assert teacher is not None
    return SigmaDinoModel(recipe.encoder, recipe.decoder, objective, teacher)
