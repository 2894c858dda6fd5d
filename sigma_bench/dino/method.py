"""DINO as a method of the training loop.

Shapes: B frames, C colours, H W pixels, L local crops.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from sigma_bench.data.decoder import Decoder
from sigma_bench.data.examples import Example, Origin
from sigma_bench.data.transforms import channels_first, normalised_image
from sigma_bench.dino.crops import multi_crop
from sigma_bench.dino.model import DinoModel, teacher_momentum, update_teacher
from sigma_bench.dino.objective import dino_step
from sigma_bench.dino.spec import DinoRecipe
from sigma_bench.specs.recipe import IMAGENET_MEAN, IMAGENET_STD
from sigma_bench.training.method import FrozenTeacher, PretrainingMethod
from sigma_bench.training.optimiser import build_optimiser
from sigma_bench.training.step import StepOutput


class DinoMethod(PretrainingMethod):
    """DINO on single frames."""

    recipe: DinoRecipe
    model: DinoModel
    collapsed_below: ClassVar[Mapping[str, float]] = {**PretrainingMethod.collapsed_below, "teacher_entropy": 0.02}

    def build_model(self, teacher: FrozenTeacher | None) -> DinoModel:
        """Student and teacher; a frozen teacher, which other methods have, is not used."""
        return DinoModel(self.recipe)

    def draw(self, video: Decoder, rng: np.random.Generator, origin: Origin) -> Example:
        """Global crops (2, C, H, W) and local crops (L, C, h, w), uint8, of one random frame."""
        frame_CHW = channels_first(video.frames([int(rng.integers(len(video)))]))[0]
        return multi_crop(frame_CHW, self.recipe.data, self.recipe.encoder.image_size, rng)

    def forward(self, global_B2CHW: Tensor, local_BLCHW: Tensor) -> StepOutput:
        global_crops, local_crops = (
            normalised_image(crop, IMAGENET_MEAN, IMAGENET_STD) for crop in (global_B2CHW, local_BLCHW)
        )
        return dino_step(self.model, global_crops, local_crops, self.recipe.objective, self.group)

    def micro_batches(self, batch: Example, number: int) -> list[tuple[Any, ...]]:
        """The batch as a whole; ValueError if ``number`` is more than 1."""
        if number > 1:
            raise ValueError(
                f"recipe '{self.recipe.recipe}': DINO's centre moves once per batch, so its batch cannot be divided "
                "into micro-batches; leave --accumulate out"
            )
        return super().micro_batches(batch, number)

    def build_optimiser(self) -> torch.optim.Optimizer:
        return build_optimiser(self.model, self.recipe.optim)

    def after_update(self, step: int, num_steps: int) -> None:
        update_teacher(self.model, teacher_momentum(self.recipe.objective, step, num_steps))


METHOD = DinoMethod
