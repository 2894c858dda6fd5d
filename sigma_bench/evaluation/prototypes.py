"""The prototype gallery: the tubes of real clips that lie nearest to a prototype (as in a figure of SIGMA's paper).

Every tube of a clip is projected as in pretraining (the projector's view of its pixels, or the teacher's token) and
compared with the prototypes by cosine.  A tube belongs to its nearest prototype: Sinkhorn, which spreads tubes over the
prototypes whatever they look like, has no part in it, so that the shares show what is used.

Shapes: S clips, B clips of a batch, T frames, H W pixels, C colours, N tubes, D target width, K prototypes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sigma_bench.data.transforms import normalised_clip
from sigma_bench.evaluation.pretrain import open_teacher
from sigma_bench.leaderboard.sheets import Box, Cell, Row
from sigma_bench.models.checkpoints import Checkpoint, load_strictly, require_shapes
from sigma_bench.sigma.model import SigmaModel, build_model
from sigma_bench.sigma.swapped import unit_features
from sigma_bench.specs.recipe import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    ClusterObjective,
    DinoRecipe,
    EncoderSpec,
    MaskedVideoRecipe,
)

BATCH_CLIPS = 8
SEAM = 1
"""White between the frames of a tube, pixels."""


@dataclass(frozen=True)
class NearestTubes:
    """Of every prototype: how many tubes have it as their nearest, and its nearest tube in each clip."""

    usage_K: np.ndarray
    cosine_SK: np.ndarray
    tube_SK: np.ndarray

    def ranked(self, prototype: int, number: int) -> list[tuple[int, int, float]]:
        """The nearest tubes as (clip, tube, cosine), one of a clip, the nearest first."""
        order = np.argsort(-self.cosine_SK[:, prototype], kind="stable")[:number]
        return [(int(s), int(self.tube_SK[s, prototype]), float(self.cosine_SK[s, prototype])) for s in order]


def load_sigma(
    checkpoint: Checkpoint, *, teacher: str | None, device: torch.device | str
) -> tuple[SigmaModel, MaskedVideoRecipe] | None:
    """Projection and prototypes of a checkpoint, complete and in evaluation mode; None for one that has none.

    Raises:
        ValueError: the teacher of a SIGMA-DINO checkpoint is not there, or the file does not fit its recipe.
    """
    recipe = checkpoint.recipe
    if isinstance(recipe, DinoRecipe) or not isinstance(recipe.objective, ClusterObjective):
        return None
    frozen = open_teacher(recipe, checkpoint.path.parent, seed=checkpoint.seed, name=teacher)
    require_shapes(lambda: build_model(recipe, frozen), checkpoint.tensors, where=str(checkpoint.path))
    model = build_model(recipe, frozen.to(device) if frozen else None)
    assert isinstance(model, SigmaModel)
    load_strictly(model, checkpoint.tensors, where=str(checkpoint.path))
    return model.to(device).eval(), recipe


@torch.no_grad()
def nearest_tubes(model: SigmaModel, frame_STCHW: Sequence[Tensor]) -> NearestTubes:
    """Compare every tube of uint8 clips (T, C, H, W) of the model's geometry with every prototype."""
    prototype_KD = F.normalize(model.prototypes.weight, dim=1)
    usage_K = torch.zeros(len(prototype_KD), dtype=torch.long)
    cosines, places = [], []
    for start in range(0, len(frame_STCHW), BATCH_CLIPS):
        frame_BTCHW = torch.stack(list(frame_STCHW[start : start + BATCH_CLIPS])).to(prototype_KD.device)
        clip_BCTHW = normalised_clip(frame_BTCHW, IMAGENET_MEAN, IMAGENET_STD)
        everywhere_BN = torch.ones(
            len(clip_BCTHW), int(np.prod(model.encoder.spec.grid())), dtype=torch.bool, device=clip_BCTHW.device
        )
        target_BND = unit_features(model.project(clip_BCTHW, everywhere_BN)).unflatten(0, everywhere_BN.shape)
        cosine_BNK = target_BND @ prototype_KD.T
        usage_K += torch.bincount(cosine_BNK.argmax(2).flatten(), minlength=len(usage_K)).cpu()
        best = cosine_BNK.max(1)
        cosines.append(best.values.cpu())
        places.append(best.indices.cpu())
    return NearestTubes(usage_K.numpy(), torch.cat(cosines).numpy(), torch.cat(places).numpy())


def prototype_rows(
    found: NearestTubes, frame_STCHW: Sequence[Tensor], encoder: EncoderSpec, *, num_prototypes: int, num_tubes: int
) -> list[Row]:
    """The most used prototypes with their nearest tubes."""
    share_K = found.usage_K / found.usage_K.sum()
    most = np.argsort(-found.usage_K, kind="stable")[:num_prototypes]
    return [
        Row(
            (f"prototype {prototype}", f"{100 * share_K[prototype]:.1f} % of tubes"),
            tuple(
                _cell(frame_STCHW[clip], tube, cosine, encoder)
                for clip, tube, cosine in found.ranked(int(prototype), num_tubes)
            ),
        )
        for prototype in most
    ]


def _cell(frame_TCHW: Tensor, tube: int, cosine: float, encoder: EncoderSpec) -> Cell:
    picture_HW3, boxes = tube_in_context(frame_TCHW, tube, encoder)
    return Cell(picture_HW3, (f"cosine {cosine:.2f}",), boxes)


def tube_in_context(frame_TCHW: Tensor, tube: int, encoder: EncoderSpec) -> tuple[np.ndarray, tuple[Box, ...]]:
    """The frames of a tube beside each other, each a window of three patches a side, and where the tube is in them.

    At the border of the picture the window stays inside, and the tube is off its middle.
    """
    patch, (_, rows, columns) = encoder.patch_size, encoder.grid()
    slot, row, column = np.unravel_index(tube, encoder.grid())
    top, left = (
        int(np.clip(place - 1, 0, max(0, last - 3))) * patch for place, last in ((row, rows), (column, columns))
    )
    first = int(slot) * encoder.tubelet_frames
    frames = frame_TCHW[first : first + encoder.tubelet_frames, :, top : top + 3 * patch, left : left + 3 * patch]
    y, x = int(row) * patch - top, int(column) * patch - left
    step = frames.shape[-1] + SEAM
    boxes = tuple((x + number * step, y, x + number * step + patch, y + patch) for number in range(len(frames)))
    padded = F.pad(frames, (0, SEAM), value=255).permute(2, 0, 3, 1).flatten(1, 2)
    return padded[:, :-SEAM].numpy(), boxes
