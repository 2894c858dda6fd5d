"""The method: a masked autoencoder that predicts the mean colour of every masked tube.

Shapes: B clips, C colours, T frames, H W pixels, N tubes, M masked and V visible tubes, E encoder width.
"""

import torch.nn.functional as F
from torch import Tensor

from mean_colour.spec import MeanColourRecipe
from sigma_bench.extend import FrozenTeacher, MaskedAutoencoder, MaskedVideoMethod, StepOutput, feature_std

COLOURS = 3


class MeanColourMethod(MaskedVideoMethod):
    """Regression of the mean colours of the masked tubes."""

    recipe: MeanColourRecipe

    def build_model(self, teacher: FrozenTeacher | None) -> MaskedAutoencoder:
        """A masked autoencoder that predicts one value for each colour."""
        return MaskedAutoencoder(self.recipe.encoder, self.recipe.decoder, COLOURS)

    def step(self, clip_BCTHW: Tensor, mask_BN: Tensor) -> StepOutput:
        """Loss and monitors for normalised clips and masks (True means masked)."""
        colour_BNC = F.adaptive_avg_pool3d(clip_BCTHW, self.recipe.encoder.grid()).flatten(2).transpose(1, 2)
        target_BMC = colour_BNC[mask_BN].unflatten(0, (len(clip_BCTHW), -1))
        visible_BVE = self.model.encode(clip_BCTHW, ~mask_BN)
        guess_BMC = self.model.decode(visible_BVE, mask_BN)
        loss = F.smooth_l1_loss(guess_BMC.to(target_BMC.dtype), target_BMC, beta=self.recipe.objective.beta)
        return StepOutput(loss, {"feature_std": feature_std(visible_BVE)})


METHOD = MeanColourMethod
