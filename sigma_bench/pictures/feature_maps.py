"""Feature maps over time: the first three principal components of a model's tokens as red, green and blue.

The components are computed from all tokens of one clip.  The sign of a component is arbitrary; it is chosen so that
the component increases with the brightness of the token's patch.  Each component is
stretched from its 2nd to its 98th percentile.

Shapes: T frames, H W pixels, C colours, grid T' x H' x W', N tokens, D width.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from sigma_bench.data.transforms import normalised_clip
from sigma_bench.models.encoder import Encoder
from sigma_bench.models.encoder_output import encoded
from sigma_bench.pictures.sheets import Picture, PictureRow

PERCENTILES = (2, 98)


class ClipMap(NamedTuple):
    """Frames (T, H, W, 3) uint8 of a clip, its map of colours (T', H', W', 3) uint8, and the variance shown."""

    frame_THW3: np.ndarray
    colour_THW3: np.ndarray
    share: float


def feature_map(encoder: Encoder, frame_TCHW: Tensor) -> ClipMap:
    """The map of a uint8 clip (T, C, H, W) of the encoder's geometry."""
    card = encoder.card
    features = encoded(encoder, normalised_clip(frame_TCHW[None], card.mean, card.std))
    brightness_N = F.adaptive_avg_pool3d(frame_TCHW.double().mean(1)[None, None], features.grid).flatten().numpy()
    value_N3, share = principal_components(features.token_BND[0].double().cpu().numpy(), brightness_N)
    low, high = np.percentile(value_N3, PERCENTILES, axis=0)
    scaled_N3 = np.clip((value_N3 - low) / np.maximum(high - low, 1e-12), 0, 1)
    colour_THW3 = np.rint(255 * scaled_N3).astype(np.uint8).reshape(*features.grid, 3)
    return ClipMap(frame_TCHW.permute(0, 2, 3, 1).numpy(), colour_THW3, share)


def principal_components(token_ND: np.ndarray, brightness_N: np.ndarray) -> tuple[np.ndarray, float]:
    """The first three components (N, 3), signed so that they increase with brightness, and their share of variance.

    Raises:
        ValueError: there are fewer than three dimensions, or all tokens are equal.
    """
    if token_ND.shape[1] < 3:
        raise ValueError(f"three components need features of width 3 or more, got {token_ND.shape[1]}")
    centred_ND = token_ND - token_ND.mean(0)
    variance_D, axis_DD = np.linalg.eigh(centred_ND.T @ centred_ND)
    if variance_D.sum() <= 0:
        raise ValueError("all tokens of the clip are the same: there is nothing to show")
    value_N3 = centred_ND @ axis_DD[:, :-4:-1]
    sign_3 = np.where((brightness_N - brightness_N.mean()) @ value_N3 < 0, -1.0, 1.0)
    return value_N3 * sign_3, float(variance_D[-3:].sum() / variance_D.sum())


def map_rows(maps: Mapping[str, Sequence[ClipMap]], num_moments: int) -> list[PictureRow]:
    """A row of frames and a row of maps per model; columns are moments of the first clip, then of the next one."""
    first = next(iter(maps.values()))
    frames = [picture for clip in first for picture in moments(clip.frame_THW3, num_moments)]
    rows = [PictureRow(("frames",), tuple(map(Picture, frames)))]
    for name, clips in maps.items():
        colours = [picture for clip in clips for picture in moments(clip.colour_THW3, num_moments)]
        shares = " and ".join(f"{100 * clip.share:.0f}" for clip in clips)
        rows.append(PictureRow((name, f"{shares} % of", "variance"), tuple(map(Picture, colours)), is_smooth=False))
    return rows


def moments(picture_THW3: np.ndarray, number: int) -> np.ndarray:
    """A number of pictures, evenly spaced, beginning with the first one."""
    return picture_THW3[np.arange(number) * len(picture_THW3) // number]
