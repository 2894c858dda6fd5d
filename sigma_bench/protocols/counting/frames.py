"""Letterboxed frames of annotated videos, and the clip of a state.

A state (lp, mp, rp) is a hypothesis of two neighbouring cycles: the left cycle is lp..mp and the right one mp+1..rp.
Each half of the clip shows one cycle and some context outside it.

Shapes: N frames of a video, C colours, H W pixels; S states, F frames of a clip (T of the encoder).
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sigma_bench.data.annotations import CycleBounds
from sigma_bench.data.decoder import DecodeError
from sigma_bench.data.manifest import Sample
from sigma_bench.data.media_opening import open_media
from sigma_bench.data.transforms import channels_first, normalised_clip, resize
from sigma_bench.specs.encoder_card import EncoderCard

MEMORY_BYTES = 4 * 2**30
"""Greatest size of the frames that are kept in memory."""


def letterboxed(frame_NHWC: np.ndarray, size: int) -> Tensor:
    """Frames resized to a long side of ``size`` and padded with black bars to a square, (N, C, size, size) uint8."""
    frame_NCHW = channels_first(frame_NHWC)
    height, width = frame_NCHW.shape[-2:]
    scale = size / max(height, width)
    frame_NCHW = resize(frame_NCHW, [max(1, round(height * scale)), max(1, round(width * scale))])
    rest = [size - side for side in frame_NCHW.shape[-2:]]
    bars = [rest[1] // 2, rest[1] - rest[1] // 2, rest[0] // 2, rest[0] - rest[0] // 2]
    return F.pad(frame_NCHW, bars)


class AnnotatedFrames:
    """Frames of each sample from its first cycle bound to its last; as many as fit are kept in memory."""

    def __init__(self, samples: Sequence[Sample], size: int, memory_bytes: int = MEMORY_BYTES) -> None:
        self._samples, self._size, self._room = samples, size, memory_bytes
        self._kept: dict[int, Tensor] = {}

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, video: int) -> Tensor:
        """All annotated frames of a video, (N, C, H, W) uint8; DecodeError if the video has fewer."""
        if video in self._kept:
            return self._kept[video]
        sample = self._samples[video]
        assert isinstance(sample.annotation, CycleBounds)
        bounds = sample.annotation.bounds
        frame_NCHW = letterboxed(open_media(sample).frames(range(bounds[0], bounds[-1] + 1)), self._size)
        if frame_NCHW.nbytes <= self._room:
            self._room -= frame_NCHW.nbytes
            self._kept[video] = frame_NCHW
        return frame_NCHW

    def failures(self) -> dict[int, str]:
        """Index -> reason for the videos that cannot be read; this reads all videos."""
        found = {}
        for video in range(len(self)):
            try:
                self[video]
            except DecodeError as error:
                found[video] = str(error)
        return found


def frame_slots(state_S3: np.ndarray, frames_per_half: int, context_cycles: float) -> np.ndarray:
    """Frame numbers of every clip, (S, F); numbers outside the video stand for padding."""
    left, middle, right = state_S3.astype(float).T
    left_SH = _spread(left - (middle - left + 1) * context_cycles, middle, frames_per_half)
    right_SH = _spread(middle + 1, right + (right - middle) * context_cycles, frames_per_half)
    return np.concatenate([left_SH, right_SH], axis=1)


def half_lengths(state_S3: np.ndarray) -> np.ndarray:
    """Number of frames of the left and of the right cycle, (S, 2)."""
    left, middle, right = state_S3.T
    return np.stack([middle - left + 1, right - middle], axis=1)


def clips_of(
    frame_NCHW: Sequence[Tensor], slot_SF: np.ndarray, card: EncoderCard, padding: tuple[float, float, float]
) -> Tensor:
    """The normalised clip of each state, (S, C, F, H, W); a frame outside the video has the colour ``padding``."""
    last_S = np.array([len(frames) - 1 for frames in frame_NCHW])[:, None]
    inside_SF = np.clip(slot_SF, 0, last_S)
    picture = torch.stack([frames[torch.from_numpy(row)] for frames, row in zip(frame_NCHW, inside_SF, strict=True)])
    clip = normalised_clip(picture, card.mean, card.std)
    outside = torch.from_numpy(inside_SF != slot_SF).to(clip.device)[:, None, :, None, None]
    return torch.where(outside, torch.tensor(padding, device=clip.device).view(1, 3, 1, 1, 1), clip)


def _spread(first_S: np.ndarray, last_S: np.ndarray, count: int) -> np.ndarray:
    """Evenly spaced frames from the first to the last, (S, count).

    As in the released code, bounds are truncated to whole numbers, and positions are shifted by half a frame towards
    the start and then rounded.
    """
    first_S1, last_S1 = np.trunc(first_S)[:, None], np.trunc(last_S)[:, None]
    step_S1 = (last_S1 - first_S1 + 1) / (count - 1)
    place = np.round(first_S1 - 0.5 + np.arange(count) * step_S1)
    return np.clip(place, first_S1, last_S1).astype(np.int64)
