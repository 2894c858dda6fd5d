"""SIGMA as a method of the training loop.

Shapes: B clips, C colours, T frames, H W pixels, N tubes, K prototypes.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from sigma_bench.data.examples import Example
from sigma_bench.sigma.model import SigmaModel, build_model
from sigma_bench.sigma.objective import Codes, batch_codes, sigma_step
from sigma_bench.sigma.spec import SigmaDinoObjective, SigmaRecipe
from sigma_bench.sigma.teacher import Teacher, open_teacher
from sigma_bench.specs.recipe import Recipe
from sigma_bench.training.masked_video import NEVER_DECAYED, MaskedVideoMethod, normalised
from sigma_bench.training.method import FrozenTeacher
from sigma_bench.training.optimiser import build_optimiser
from sigma_bench.training.step import StepOutput, unit_features

PROJECTOR = ("projector.", "prototypes.")
"""Prefixes of the parameters with their own learning-rate factor."""


class SigmaMethod(MaskedVideoMethod):
    """SIGMA-MLP or SIGMA-DINO; the second needs its teacher."""

    recipe: SigmaRecipe
    model: SigmaModel
    collapsed_below: ClassVar[Mapping[str, float]] = {**MaskedVideoMethod.collapsed_below, "usage_entropy": 0.5}

    @classmethod
    def open_teacher(cls, recipe: Recipe, folder: Path, *, seed: int, name: str | None) -> FrozenTeacher | None:
        assert isinstance(recipe, SigmaRecipe)
        if isinstance(recipe.objective, SigmaDinoObjective):
            return open_teacher(recipe, recipe.objective, folder, seed=seed, name=name)
        return super().open_teacher(recipe, folder, seed=seed, name=name)

    def build_model(self, teacher: FrozenTeacher | None) -> SigmaModel:
        assert teacher is None or isinstance(teacher, Teacher)
        return build_model(self.recipe, teacher)

    def step(self, clip_BCTHW: Tensor, mask_BN: Tensor, codes: Codes | None = None) -> StepOutput:
        return sigma_step(self.model, clip_BCTHW, mask_BN, self.recipe.objective, self.group, codes)

    def micro_batches(self, batch: Example, number: int) -> list[tuple[Any, ...]]:
        """As in ``Method``, with the codes of each part as an additional argument.

        Codes are balanced over the whole batch, so a first pass without gradients computes them for all parts together.
        This costs a third more computation.
        """
        parts = super().micro_batches(batch, number)
        if number == 1:
            return parts
        clips = [(normalised(frame_BTCHW), mask_BN) for frame_BTCHW, mask_BN in parts]
        codes = batch_codes(self.model, clips, self.recipe.objective, self.group)
        return [(*part, code) for part, code in zip(parts, codes, strict=True)]

    def build_optimiser(self) -> torch.optim.AdamW:
        return build_optimiser(self.model, self.recipe.optim, projector=PROJECTOR, never_decayed=NEVER_DECAYED)

    @torch.no_grad()
    def prototype_cosines(self, frame_BTCHW: Tensor) -> Tensor:
        clip_BCTHW = normalised(frame_BTCHW)
        size = (len(clip_BCTHW), math.prod(self.recipe.encoder.grid()))
        everywhere_BN = torch.ones(size, dtype=torch.bool, device=clip_BCTHW.device)
        target_BND = unit_features(self.model.project(clip_BCTHW, everywhere_BN)).unflatten(0, size)
        return target_BND @ F.normalize(self.model.prototypes.weight, dim=1).T


METHOD = SigmaMethod
