"""Clips under a condition (``specs/condition.py``): with frames reordered or dropped, or with degraded frames.

Random numbers depend on the id of the sample only, so they are the same for all clips of a sample and at all
severities: a higher severity drops or hides all that a lower one does.

Shapes: V clips of one video, T frames, C colours, S x S pixels; uint8.
"""

import io
import zlib
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from sigma_bench.specs.condition import (
    Blur,
    Compression,
    Condition,
    FrameDrops,
    FrameRate,
    Noise,
    Occlusion,
    Reversal,
    Shuffle,
)


def under_condition(clip_VTCSS: Tensor, condition: Condition, name: str) -> Tensor:
    """The clips of one sample under a condition; ``name`` is the id of the sample, which seeds the random numbers."""
    rng = np.random.default_rng(zlib.crc32(f"{condition.kind}/{name}".encode()))
    num_frames = clip_VTCSS.shape[1]
    match condition:
        case Reversal():
            return clip_VTCSS.flip(1)
        case FrameRate():
            return clip_VTCSS[:, torch.from_numpy(lower_rate(num_frames, condition.kept_share))]
        case Shuffle():
            return clip_VTCSS[:, torch.from_numpy(shuffled(num_frames, condition.reach_share, rng))]
        case FrameDrops():
            return clip_VTCSS[:, torch.from_numpy(with_drops(num_frames, condition.dropped_share, rng))]
        case Blur():
            return blurred(clip_VTCSS, condition.sigma_share)
        case Noise():
            return noisy(clip_VTCSS, condition.std, rng)
        case Compression():
            return compressed(clip_VTCSS, condition.jpeg_quality)
        case Occlusion():
            return occluded(clip_VTCSS, condition.hidden_share, condition.grey, rng)


def lower_rate(num_frames: int, kept_share: float) -> np.ndarray:
    """Index of the frame that is shown at each position at a lower frame rate, (T,)."""
    kept = max(1, round(num_frames * kept_share))
    shown_T = np.arange(num_frames) * kept // num_frames
    return -(-shown_T * num_frames // kept)


def shuffled(num_frames: int, reach_share: float | Literal["anywhere"], rng: np.random.Generator) -> np.ndarray:
    """A permutation of the frames with a bounded delay, (T,).

    Args:
        reach_share: bound on the delay in lengths of the clip; ``anywhere``: no bound.
    """
    delay_T = rng.random(num_frames)
    if reach_share == "anywhere":
        return np.argsort(delay_T, kind="stable")
    return np.argsort(np.arange(num_frames) + reach_share * num_frames * delay_T, kind="stable")


def with_drops(num_frames: int, dropped_share: float, rng: np.random.Generator) -> np.ndarray:
    """Index of the frame that is shown at each position when some are dropped, (T,)."""
    arrived_T = rng.random(num_frames) >= dropped_share
    arrived_T[0] = True
    return np.maximum.accumulate(np.where(arrived_T, np.arange(num_frames), 0))


def blurred(clip_VTCSS: Tensor, sigma_share: float) -> Tensor:
    """Frames after a Gaussian blur."""
    sigma = sigma_share * clip_VTCSS.shape[-1]
    return F.gaussian_blur(clip_VTCSS, [2 * int(np.ceil(3 * sigma)) + 1] * 2, [sigma] * 2)


def noisy(clip_VTCSS: Tensor, std: float, rng: np.random.Generator) -> Tensor:
    """Frames with Gaussian noise."""
    noise = torch.from_numpy(rng.standard_normal(clip_VTCSS.shape, np.float32))
    return (clip_VTCSS + 255 * std * noise).round().clamp(0, 255).to(torch.uint8)


def compressed(clip_VTCSS: Tensor, quality: int) -> Tensor:
    """Frames after JPEG compression."""
    frame_FSSC = clip_VTCSS.flatten(0, 1).permute(0, 2, 3, 1).numpy()
    seen = np.stack([_through_jpeg(frame_SSC, quality) for frame_SSC in frame_FSSC])
    return torch.from_numpy(seen).permute(0, 3, 1, 2).reshape(clip_VTCSS.shape)


def occluded(clip_VTCSS: Tensor, hidden_share: float, grey: int, rng: np.random.Generator) -> Tensor:
    """Frames with a grey square at the same random position."""
    side = clip_VTCSS.shape[-1]
    hidden = round(side * hidden_share**0.5)
    top, left = (rng.random(2) * (side - hidden + 1)).astype(int).tolist()
    return F.erase(clip_VTCSS, top, left, hidden, hidden, torch.tensor(grey, dtype=torch.uint8))


def _through_jpeg(frame_SSC: np.ndarray, quality: int) -> np.ndarray:
    stream = io.BytesIO()
    Image.fromarray(frame_SSC).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))
