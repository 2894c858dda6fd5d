"""A custom encoder as a user writes one, whose tokens a test may change before they are returned."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from sigma_bench.models.custom_encoder import as_encoder
from sigma_bench.models.encoder import Encoder

SHAPE: dict[str, Any] = {
    **{"num_frames": 8, "image_size": 32, "tubelet_frames": 2, "grid": (4, 4, 4), "feature_width": 16},
    **{"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)},
}


class Tubes(nn.Module):
    """One token of every tube of 2 frames x 8 x 8 pixels, in order time, row, column; nothing is mixed."""

    def __init__(self, change: Callable[[Tensor, Tensor], Any] = lambda token, clip: token) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.embed = nn.Conv3d(3, 16, (2, 8, 8), (2, 8, 8))
        self.change = change

    def forward(self, clip_BCTHW: Tensor) -> Any:
        return self.change(self.embed(clip_BCTHW).flatten(2).transpose(1, 2), clip_BCTHW)


def tubes_encoder(change: Callable[[Tensor, Tensor], Any] = lambda token, clip: token, **changed: Any) -> Encoder:
    """The encoder of ``Tubes``; ``change`` maps tokens and clip to what forward returns."""
    return as_encoder(Tubes(change), name="tubes", **(SHAPE | changed))
