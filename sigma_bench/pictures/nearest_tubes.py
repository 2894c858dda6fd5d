"""The tubes of clips that are nearest to each prototype, as in a figure of the SIGMA paper.

Every tube of a clip is projected as in pretraining (the projector's view of its pixels, or the teacher's token) and
compared with the prototypes by cosine similarity.  A tube is assigned to its nearest prototype without Sinkhorn, which
would balance the assignments, so that the shares show how much each prototype is used.

Shapes: S clips, B clips of a batch, T frames, H W pixels, C colours, N tubes, D target width, K prototypes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sigma_bench.models.checkpoints import Checkpoint
from sigma_bench.pictures.sheets import Box, Picture, PictureRow
from sigma_bench.specs.masked_video import MaskedVideoRecipe
from sigma_bench.specs.recipe import EncoderSpec
from sigma_bench.training.masked_video import MaskedVideoMethod
from sigma_bench.training.method import restored_method

BATCH_CLIPS = 8
SEAM = 1
"""Width of the white gap between the frames of a tube, pixels."""


@dataclass(frozen=True)
class NearestTubes:
    """Number of tubes that are assigned to each prototype, and its nearest tube in each clip with their cosine."""

    usage_K: np.ndarray
    cosine_SK: np.ndarray
    tube_SK: np.ndarray

    def ranked(self, prototype: int, number: int) -> list[tuple[int, int, float]]:
        """The nearest tubes as (clip, tube, cosine), at most one per clip, the nearest first."""
        order = np.argsort(-self.cosine_SK[:, prototype], kind="stable")[:number]
        return [(int(s), int(self.tube_SK[s, prototype]), float(self.cosine_SK[s, prototype])) for s in order]


def load_prototypes(
    checkpoint: Checkpoint, *, teacher: str | None, device: torch.device | str
) -> MaskedVideoMethod | None:
    """The method of a checkpoint, complete and in evaluation mode; None for a method without prototypes.

    Raises:
        ValueError: the teacher of the checkpoint's recipe cannot be found, or the file does not fit its recipe.
    """
    recipe = checkpoint.recipe
    if not (isinstance(recipe, MaskedVideoRecipe) and recipe.has_prototypes):
        return None
    method = restored_method(checkpoint, teacher=teacher, device=device)
    assert isinstance(method, MaskedVideoMethod)
    return method


def nearest_tubes(method: MaskedVideoMethod, frame_STCHW: Sequence[Tensor]) -> NearestTubes:
    """Compare every tube of uint8 clips (T, C, H, W) of the model's geometry with every prototype."""
    device = next(method.parameters()).device
    usage, cosines, places = [], [], []
    for start in range(0, len(frame_STCHW), BATCH_CLIPS):
        frame_BTCHW = torch.stack(list(frame_STCHW[start : start + BATCH_CLIPS])).to(device)
        cosine_BNK = method.prototype_cosines(frame_BTCHW)
        usage.append(torch.bincount(cosine_BNK.argmax(2).flatten(), minlength=cosine_BNK.shape[2]).cpu())
        best = cosine_BNK.max(1)
        cosines.append(best.values.cpu())
        places.append(best.indices.cpu())
    return NearestTubes(torch.stack(usage).sum(0).numpy(), torch.cat(cosines).numpy(), torch.cat(places).numpy())


def prototype_rows(
    found: NearestTubes, frame_STCHW: Sequence[Tensor], encoder: EncoderSpec, *, num_prototypes: int, num_tubes: int
) -> list[PictureRow]:
    """The most used prototypes with their nearest tubes."""
    share_K = found.usage_K / found.usage_K.sum()
    most = np.argsort(-found.usage_K, kind="stable")[:num_prototypes]
    return [
        PictureRow(
            (f"prototype {prototype}", f"{100 * share_K[prototype]:.1f} % of tubes"),
            tuple(
                _cell(frame_STCHW[clip], tube, cosine, encoder)
                for clip, tube, cosine in found.ranked(int(prototype), num_tubes)
            ),
        )
        for prototype in most
    ]


def _cell(frame_TCHW: Tensor, tube: int, cosine: float, encoder: EncoderSpec) -> Picture:
    picture_HW3, boxes = tube_in_context(frame_TCHW, tube, encoder)
    return Picture(picture_HW3, (f"cosine {cosine:.2f}",), boxes)


def tube_in_context(frame_TCHW: Tensor, tube: int, encoder: EncoderSpec) -> tuple[np.ndarray, tuple[Box, ...]]:
    """The frames of a tube side by side in windows of three by three patches, and the boxes of the tube.

    Windows at the border of the picture are shifted inside, so that the tube is not in their centre.
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
