"""Common parts of masked video methods: clips, masks, and a masked autoencoder that predicts the masked tubes.

Shapes: B clips, T frames, C colours, H W pixels, N tubes, K prototypes.
"""

from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sigma_bench.data.decoder import Decoder
from sigma_bench.data.examples import Example, Origin, torch_generator
from sigma_bench.data.random_crops import multi_scale_crop
from sigma_bench.data.sampling import random_start_indices
from sigma_bench.data.transforms import centre_crop, channels_first, normalised_clip
from sigma_bench.data.tube_masking import draw_mask
from sigma_bench.models.masked_autoencoder import MaskedAutoencoder, tube_width
from sigma_bench.specs.masked_video import MaskedVideoRecipe
from sigma_bench.specs.recipe import IMAGENET_MEAN, IMAGENET_STD
from sigma_bench.training.method import FrozenTeacher, PretrainingMethod
from sigma_bench.training.optimiser import build_optimiser
from sigma_bench.training.step import StepOutput

NEVER_DECAYED = ("mask_token",)
"""Parameters without weight decay, in addition to biases and norms."""


class MaskedVideoMethod(PretrainingMethod):
    """A method on clips and masks; a subclass defines ``step``, and ``build_model`` if it has another network."""

    recipe: MaskedVideoRecipe
    model: MaskedAutoencoder

    def build_model(self, teacher: FrozenTeacher | None) -> MaskedAutoencoder:
        """A masked autoencoder that predicts pixels."""
        return MaskedAutoencoder(self.recipe.encoder, self.recipe.decoder, tube_width(self.recipe.encoder))

    def prepare(self, frame_THWC: np.ndarray) -> np.ndarray:
        if self.recipe.data.crop == "multi_scale":
            return frame_THWC
        return centre_crop(frame_THWC, self.recipe.encoder.image_size).permute(0, 2, 3, 1).numpy()

    def draw(self, video: Decoder, rng: np.random.Generator, origin: Origin) -> Example:
        """Frames (T, C, H, W) uint8 and mask (N,)."""
        encoder, data = self.recipe.encoder, self.recipe.data
        indices = random_start_indices(len(video), encoder.num_frames, data.stride_frames, rng)
        frame_THWC = video.frames(indices.tolist())
        if data.crop == "multi_scale":
            frame_TCHW = multi_scale_crop(channels_first(frame_THWC), encoder.image_size, rng)
        else:
            frame_TCHW = centre_crop(frame_THWC, encoder.image_size)
        return frame_TCHW, draw_mask(self.recipe.mask, frame_TCHW, encoder.grid(), torch_generator(rng))

    def forward(self, frame_BTCHW: Tensor, mask_BN: Tensor, *more: Any) -> StepOutput:
        """The step of one micro-batch; ``more`` are the arguments that ``micro_batches`` of a subclass adds."""
        return self.step(normalised(frame_BTCHW), mask_BN, *more)

    @abstractmethod
    def step(self, clip_BCTHW: Tensor, mask_BN: Tensor) -> StepOutput:
        """Loss and monitors for normalised clips and masks (True means masked)."""

    def build_optimiser(self) -> torch.optim.AdamW:
        return build_optimiser(self.model, self.recipe.optim, never_decayed=NEVER_DECAYED)

    def prototype_cosines(self, frame_BTCHW: Tensor) -> Tensor:
        """Cosine similarity of the tubes of uint8 frames and the prototypes, (B, N, K), if the recipe
        ``has_prototypes``."""
        raise NotImplementedError


def normalised(frame_BTCHW: Tensor) -> Tensor:
    """Clips (B, C, T, H, W) of uint8 frames, normalised by mean and deviation of ImageNet."""
    return normalised_clip(frame_BTCHW, IMAGENET_MEAN, IMAGENET_STD)
