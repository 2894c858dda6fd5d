"""VideoMAE as a method of the training loop; its network is ``models/masked_autoencoder.py`` as it is.

Shapes: B clips, C colours, T frames, H W pixels, N tubes.
"""

import torch.distributed as dist
from torch import Tensor

from sigma_bench.models.masked_autoencoder import MaskedAutoencoder, tube_width
from sigma_bench.training.masked_video import MaskedVideoMethod
from sigma_bench.training.method import FrozenTeacher
from sigma_bench.training.step import StepOutput
from sigma_bench.videomae.objective import videomae_step
from sigma_bench.videomae.spec import VideoMaeRecipe


class VideoMaeMethod(MaskedVideoMethod):
    """Regression of the masked pixels."""

    def __init__(
        self, recipe: VideoMaeRecipe, *, teacher: FrozenTeacher | None = None, group: dist.ProcessGroup | None = None
    ) -> None:
        super().__init__(recipe, teacher=teacher, group=group)
        self.model = MaskedAutoencoder(recipe.encoder, recipe.decoder, tube_width(recipe.encoder))

    def step(self, clip_BCTHW: Tensor, mask_BN: Tensor) -> StepOutput:
        return videomae_step(self.model, clip_BCTHW, mask_BN)


METHOD = VideoMaeMethod
