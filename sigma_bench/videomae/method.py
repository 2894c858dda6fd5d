"""VideoMAE as a method of the training loop; its network is that of ``models/masked_autoencoder.py``.

Shapes: B clips, C colours, T frames, H W pixels, N tubes.
"""

from torch import Tensor

from sigma_bench.training.masked_video import MaskedVideoMethod
from sigma_bench.training.step import StepOutput
from sigma_bench.videomae.objective import videomae_step


class VideoMaeMethod(MaskedVideoMethod):
    """Regression of the masked pixels."""

    def step(self, clip_BCTHW: Tensor, mask_BN: Tensor) -> StepOutput:
        return videomae_step(self.model, clip_BCTHW, mask_BN)


METHOD = VideoMaeMethod
