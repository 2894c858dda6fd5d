"""Clips under a condition (``specs/condition.py``): the frames in another order, or fewer, or each of them made worse.

What is random is drawn from the sample's name, once for all clips of a sample, and is the same at every severity: what
a lower one drops or hides, a higher one does too.

Shapes: V clips of one video, T frames, C colours, S x S pixels; uint8.
"""

import io
import zlib
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from sigma_bench.specs.condition import Condition, Reversal

KEPT_SHARE = (3 / 4, 1 / 2, 3 / 8, 1 / 4, 1 / 8)
"""Frame rate as a share of the clip's own; every frame is shown until the next one comes."""
SHUFFLE_REACH = (1 / 4, 1 / 2, 1, 2, np.inf)
"""How much later than its neighbours a frame may come, as a share of the clip; at last any order is as likely."""
DROPPED_SHARE = (1 / 8, 1 / 4, 3 / 8, 1 / 2, 3 / 4)
"""Probability that a frame, but for the first, does not arrive; the one before it stays."""
BLUR_SIGMA = (1, 2, 3, 4, 6)
"""Standard deviation of the Gaussian, in pixels of an image 224 wide."""
BLUR_REFERENCE = 224
NOISE_STD = (0.08, 0.12, 0.18, 0.26, 0.38)
"""Of values from 0 to 1, independent for every value of every frame."""
JPEG_QUALITY = (25, 18, 15, 10, 7)
"""Every frame by itself."""
HIDDEN_SHARE = (0.1, 0.2, 0.3, 0.4, 0.5)
"""Of the area: a grey square at one place in all frames, which may be anywhere inside."""
GREY = 127


def under_condition(clip_VTCSS: Tensor, condition: Condition, name: str) -> Tensor:
    """The clips of one sample as the condition leaves them; ``name`` is the sample's id, which seeds what is random."""
    if isinstance(condition, Reversal):
        return clip_VTCSS.flip(1)
    rng = np.random.default_rng(zlib.crc32(f"{condition.kind}/{name}".encode()))
    if condition.kind in ORDERS:
        order_T = ORDERS[condition.kind](clip_VTCSS.shape[1], condition.severity - 1, rng)
        return clip_VTCSS[:, torch.from_numpy(order_T)]
    return PICTURES[condition.kind](clip_VTCSS, condition.severity - 1, rng)


def lower_rate(num_frames: int, level: int, rng: np.random.Generator) -> np.ndarray:
    """Which frame is shown at every moment at a lower frame rate, (T,)."""
    del rng
    kept = max(1, round(num_frames * KEPT_SHARE[level]))
    shown_T = np.arange(num_frames) * kept // num_frames
    return -(-shown_T * num_frames // kept)


def shuffled(num_frames: int, level: int, rng: np.random.Generator) -> np.ndarray:
    """A permutation of the frames in which nobody comes much later than he should, (T,)."""
    delay_T = rng.random(num_frames)
    reach = SHUFFLE_REACH[level] * num_frames
    return np.argsort(delay_T if np.isinf(reach) else np.arange(num_frames) + reach * delay_T, kind="stable")


def with_drops(num_frames: int, level: int, rng: np.random.Generator) -> np.ndarray:
    """Which frame is shown at every moment when some are lost, (T,)."""
    arrived_T = rng.random(num_frames) >= DROPPED_SHARE[level]
    arrived_T[0] = True
    return np.maximum.accumulate(np.where(arrived_T, np.arange(num_frames), 0))


def blurred(clip_VTCSS: Tensor, level: int, rng: np.random.Generator) -> Tensor:
    """Every frame out of focus."""
    del rng
    sigma = BLUR_SIGMA[level] * clip_VTCSS.shape[-1] / BLUR_REFERENCE
    return F.gaussian_blur(clip_VTCSS, [2 * int(np.ceil(3 * sigma)) + 1] * 2, [sigma] * 2)


def noisy(clip_VTCSS: Tensor, level: int, rng: np.random.Generator) -> Tensor:
    """Gaussian noise."""
    noise = torch.from_numpy(rng.standard_normal(clip_VTCSS.shape, np.float32))
    return (clip_VTCSS + 255 * NOISE_STD[level] * noise).round().clamp(0, 255).to(torch.uint8)


def compressed(clip_VTCSS: Tensor, level: int, rng: np.random.Generator) -> Tensor:
    """Every frame through JPEG."""
    del rng
    frame_FSSC = clip_VTCSS.flatten(0, 1).permute(0, 2, 3, 1).numpy()
    seen = np.stack([_through_jpeg(frame_SSC, JPEG_QUALITY[level]) for frame_SSC in frame_FSSC])
    return torch.from_numpy(seen).permute(0, 3, 1, 2).reshape(clip_VTCSS.shape)


def occluded(clip_VTCSS: Tensor, level: int, rng: np.random.Generator) -> Tensor:
    """A grey square hides a part of all frames."""
    side = clip_VTCSS.shape[-1]
    hidden = round(side * HIDDEN_SHARE[level] ** 0.5)
    top, left = (rng.random(2) * (side - hidden + 1)).astype(int).tolist()
    return F.erase(clip_VTCSS, top, left, hidden, hidden, torch.tensor(GREY, dtype=torch.uint8))


def _through_jpeg(frame_SSC: np.ndarray, quality: int) -> np.ndarray:
    stream = io.BytesIO()
    Image.fromarray(frame_SSC).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))


ORDERS: dict[str, Callable[[int, int, np.random.Generator], np.ndarray]] = {
    "frame_rate": lower_rate,
    "shuffle": shuffled,
    "frame_drops": with_drops,
}
PICTURES: dict[str, Callable[[Tensor, int, np.random.Generator], Tensor]] = {
    "blur": blurred,
    "noise": noisy,
    "compression": compressed,
    "occlusion": occluded,
}
