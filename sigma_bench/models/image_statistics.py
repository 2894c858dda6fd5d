"""Mean colours as an encoder: a control that shows how far a task can be solved without a network.

Fine-tuning trains only the head.  The control of pretraining, a network with initial weights, is in
``recipe_encoder.py``.

Shapes: B clips, C colours, T frames, N = T x R x R cells, R cells per side.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from sigma_bench.models.encoder import Backbone, Features
from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.specs.fingerprint import digest
from sigma_bench.specs.recipe import EncoderSpec, ImageEncoderSpec

CELLS_PER_SIDE = 3
"""Number of rows and of columns of cells; few, so that they contain colours and no structure."""


class MeanColours(Backbone):
    """Mean colour per frame and cell; nothing in it can be trained.

    The token of a cell is its own colour followed by the colours of the whole clip, so that the mean over tokens, which
    most protocols use, contains every cell of every frame.  The width does not depend on the length of a clip: for
    clips with fewer than ``num_frames`` frames it is filled with zeros, and colours of longer clips are averaged in
    time.
    """

    def __init__(self, num_frames: int) -> None:
        super().__init__()
        self._num_frames = num_frames
        self.width = 3 + 3 * num_frames * CELLS_PER_SIDE**2

    def forward(self, clip_BCTHW: Tensor) -> Tensor:
        frames = clip_BCTHW.shape[2]
        own_BNC = _cells(clip_BCTHW, frames)
        whole_BC = _cells(clip_BCTHW, min(frames, self._num_frames)).flatten(1)
        token_BND = torch.cat([own_BNC, whole_BC[:, None].expand(-1, own_BNC.shape[1], -1)], dim=2)
        return F.pad(token_BND, (0, self.width - token_BND.shape[2]))


def _cells(clip_BCTHW: Tensor, slots: int) -> Tensor:
    """Mean colours (B, N, C) in order time, row, column."""
    return F.adaptive_avg_pool3d(clip_BCTHW, (slots, CELLS_PER_SIDE, CELLS_PER_SIDE)).flatten(2).transpose(1, 2)


class ImageStatistics:
    """The encoder of mean colours."""

    def __init__(self, spec: EncoderSpec | ImageEncoderSpec) -> None:
        self._colours = MeanColours(spec.num_frames)
        self.card = EncoderCard(
            model="image_statistics",
            family="image statistics",
            num_frames=spec.num_frames,
            image_size=spec.image_size,
            tubelet_frames=1,
            mean=(0.5, 0.5, 0.5),
            std=(0.5, 0.5, 0.5),
            feature_width=self._colours.width,
            num_parameters=0,
            checkpoint_sha256=digest(["image_statistics", 1, CELLS_PER_SIDE, spec.num_frames, spec.image_size]),
            code_sha256=digest(["mean_colours", CELLS_PER_SIDE]),
        )

    @torch.inference_mode()
    def encode(self, clip_BCTHW: Tensor) -> Features:
        return Features(self._colours(clip_BCTHW), (clip_BCTHW.shape[2], CELLS_PER_SIDE, CELLS_PER_SIDE))

    def backbone(self, drop_path: float) -> Backbone:
        return MeanColours(self.card.num_frames)
