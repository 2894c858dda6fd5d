"""The two networks of DINO (arXiv 2104.14294, section 3): a student, and a teacher that is its running mean.

Each network is an image ViT with a projection head: an MLP, a bottleneck of unit length, and a last layer whose rows
have unit length, so that scores are cosine similarities.  The weight-normalised last layer of the released code, whose
gain is fixed at 1, is the same function.  Differs from the release: the last layer is not frozen in the first epoch.

Shapes: B frames, V crops of a frame, C colours, H W pixels, D width, K outputs.
"""

import math
from copy import deepcopy
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sigma_bench.dino.spec import DinoObjective, DinoRecipe
from sigma_bench.models.frame_encoder import image_vit
from sigma_bench.training.step import unit_features


class ProjectionHead(nn.Module):
    """Class features (B, D) -> cosine scores (B, K); the last of ``head_widths`` is the bottleneck."""

    def __init__(self, width: int, head_widths: tuple[int, ...], num_outputs: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for narrow, wide in pairwise((width, *head_widths)):
            layers += [nn.Linear(narrow, wide), nn.GELU()]
        self.mlp = nn.Sequential(*layers[:-1])
        self.last = nn.Linear(head_widths[-1], num_outputs, bias=False)
        for layer in self.mlp:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)

    def forward(self, class_BD: Tensor) -> Tensor:
        bottleneck = self.mlp(class_BD)
        with torch.autocast(class_BD.device.type, enabled=False):  # temperatures magnify the error of half precision
            return F.linear(unit_features(bottleneck), F.normalize(self.last.weight, dim=1))


class Branch(nn.Module):
    """One network: crops -> class features (B, V, D) and scores (B, V, K)."""

    def __init__(self, recipe: DinoRecipe) -> None:
        super().__init__()
        objective = recipe.objective
        self.backbone = image_vit(recipe.encoder)
        self.head = ProjectionHead(recipe.encoder.width, objective.head_widths, objective.num_outputs)

    def forward(self, crop_BVCHW: Tensor) -> tuple[Tensor, Tensor]:
        crops = crop_BVCHW.shape[:2]
        class_BD = self.backbone(crop_BVCHW.flatten(0, 1))
        return class_BD.unflatten(0, crops), self.head(class_BD).unflatten(0, crops)


class DinoModel(nn.Module):
    """Student, teacher (initially a copy, without gradients) and the centre of the teacher's scores.

    Initial weights come from torch's current random state.
    """

    centre: Tensor

    def __init__(self, recipe: DinoRecipe) -> None:
        super().__init__()
        self.student = Branch(recipe)
        self.teacher = deepcopy(self.student).requires_grad_(False)
        self.register_buffer("centre", torch.zeros(recipe.objective.num_outputs))


@torch.no_grad()
def update_teacher(model: DinoModel, momentum: float) -> None:
    """Move every weight of the teacher to ``momentum * teacher + (1 - momentum) * student``."""
    for teacher, student in zip(model.teacher.parameters(), model.student.parameters(), strict=True):
        teacher.lerp_(student, 1 - momentum)


def teacher_momentum(objective: DinoObjective, step: int, num_steps: int) -> float:
    """Momentum after an optimiser step (0-based): half a cosine from the recipe's value to 1 at the last step."""
    progress = step / max(1, num_steps - 1)
    return 1 - (1 - objective.teacher_momentum) * 0.5 * (1 + math.cos(math.pi * progress))
