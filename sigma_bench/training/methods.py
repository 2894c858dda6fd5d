"""The methods a recipe can ask for, each as one module the loop can train: an example, a step, and what follows it.

Shapes: B clips, T frames, C colours, H W pixels, N tubes, L local crops.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from sigma_bench.data.crops import multi_crop, multi_scale_crop
from sigma_bench.data.decoder import Decoder
from sigma_bench.data.examples import Example, Origin, torch_generator
from sigma_bench.data.sampling import random_start_indices
from sigma_bench.data.transforms import centre_crop, channels_first, normalised_clip, normalised_image
from sigma_bench.dino.model import DinoModel, build_dino, teacher_momentum, update_teacher
from sigma_bench.dino.objective import dino_step
from sigma_bench.models.video_vit import recompute_blocks
from sigma_bench.sigma.masking import draw_mask
from sigma_bench.sigma.model import MaskedVideoModel, SigmaModel, build_model
from sigma_bench.sigma.objective import balance_pieces, pretraining_step
from sigma_bench.sigma.step import StepOutput
from sigma_bench.sigma.swapped import Potentials
from sigma_bench.sigma.teacher import Teacher
from sigma_bench.specs.recipe import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    ClusterObjective,
    DinoRecipe,
    MaskedVideoRecipe,
    Recipe,
)
from sigma_bench.training.optimiser import build_optimiser


class Method(nn.Module, ABC):
    """What the loop needs of a method; forward takes a batch of examples and gives a StepOutput."""

    model: nn.Module

    def prepare(self, frame_THWC: np.ndarray) -> np.ndarray:
        """What can be done to a whole video once, where videos are held in memory."""
        return frame_THWC

    @abstractmethod
    def draw(self, video: Decoder, rng: np.random.Generator, origin: Origin) -> Example:
        """One example."""

    def cuts(self, batch: Example, num_pieces: int) -> list[int]:
        """Rows at which a batch is cut into pieces, as equal as can be."""
        pieces = torch.arange(len(batch[0])).tensor_split(num_pieces)
        return [int(piece[0]) for piece in pieces[1:] if len(piece)]

    @abstractmethod
    def share(self, pieces: Sequence[Example]) -> Potentials | None:
        """What the pieces of one batch must know of each other."""

    @abstractmethod
    def build_optimiser(self) -> torch.optim.Optimizer:
        """Of the parameters that learn; every group says its share of the learning rate, ``lr_scale``."""

    def after_update(self, step: int, num_steps: int) -> None:
        """What follows an optimiser step."""


class MaskedVideoMethod(Method):
    """SIGMA or VideoMAE."""

    def __init__(
        self, recipe: MaskedVideoRecipe, teacher: Teacher | None, group: dist.ProcessGroup | None, recompute: bool
    ) -> None:
        super().__init__()
        self.recipe, self.group = recipe, group
        self.model: MaskedVideoModel = build_model(recipe, teacher)
        if recompute:
            recompute_blocks(self.model)

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

    def forward(self, frame_BTCHW: Tensor, mask_BN: Tensor, potentials: Potentials | None = None) -> StepOutput:
        clip_BCTHW = normalised_clip(frame_BTCHW, IMAGENET_MEAN, IMAGENET_STD)
        return pretraining_step(self.model, clip_BCTHW, mask_BN, self.recipe.objective, self.group, potentials)

    def build_optimiser(self) -> torch.optim.Optimizer:
        return build_optimiser(self.model, self.recipe.optim)

    def share(self, pieces: Sequence[Example]) -> Potentials | None:
        objective = self.recipe.objective
        if not (isinstance(self.model, SigmaModel) and isinstance(objective, ClusterObjective)):
            return None
        clips = [(normalised_clip(frames, IMAGENET_MEAN, IMAGENET_STD), mask) for frames, mask in pieces]
        return balance_pieces(self.model, clips, objective, self.group)


class DinoMethod(Method):
    """DINO on single frames."""

    def __init__(self, recipe: DinoRecipe, group: dist.ProcessGroup | None) -> None:
        super().__init__()
        self.recipe, self.group = recipe, group
        self.model: DinoModel = build_dino(recipe)

    def draw(self, video: Decoder, rng: np.random.Generator, origin: Origin) -> Example:
        """Global crops (2, C, H, W) and local crops (L, C, h, w), uint8, of one random frame."""
        frame_CHW = channels_first(video.frames([int(rng.integers(len(video)))]))[0]
        return multi_crop(frame_CHW, self.recipe.data, self.recipe.encoder.image_size, rng)

    def forward(self, global_B2CHW: Tensor, local_BLCHW: Tensor, potentials: None = None) -> StepOutput:
        wide, small = (normalised_image(crop, IMAGENET_MEAN, IMAGENET_STD) for crop in (global_B2CHW, local_BLCHW))
        return dino_step(self.model, wide, small, self.recipe.objective, self.group)

    def build_optimiser(self) -> torch.optim.Optimizer:
        return build_optimiser(self.model, self.recipe.optim)

    def share(self, pieces: Sequence[Example]) -> None:
        raise ValueError(
            f"recipe '{self.recipe.recipe}': DINO's centre moves once per batch, so its batch cannot be computed in "
            "pieces; leave --pieces out"
        )

    def after_update(self, step: int, num_steps: int) -> None:
        update_teacher(self.model, teacher_momentum(self.recipe.objective, step, num_steps))


def build_method(
    recipe: Recipe,
    *,
    seed: int,
    teacher: Teacher | None = None,
    group: dist.ProcessGroup | None = None,
    recompute: bool = False,
) -> Method:
    """The method of a recipe with initial weights drawn from ``seed``; torch's own random state is left alone.

    Args:
        recompute: keep only the blocks' inputs for the backward pass and compute the rest again.

    Raises:
        ValueError: ``recompute`` for an image ViT, which does not know it.
    """
    if recompute and isinstance(recipe, DinoRecipe):
        raise ValueError(f"recipe '{recipe.recipe}': DINO's image ViT has no --recompute; leave it out")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if isinstance(recipe, DinoRecipe):
            return DinoMethod(recipe, group)
        return MaskedVideoMethod(recipe, teacher, group, recompute)
