"""Which frames of a video make a clip (facts of the released samplers; TSN, arXiv 1608.00859, for ``uniform``)."""

import numpy as np

from sigma_bench.specs.clip import DenseSampling, UniformSampling


def clip_indices(sampling: UniformSampling | DenseSampling, video_frames: int, num_frames: int) -> np.ndarray:
    """Frame indices of every clip of a video, (clips, T), the same at every call."""
    if isinstance(sampling, UniformSampling):
        return uniform_indices(video_frames, num_frames)[None]
    return dense_indices(video_frames, num_frames, sampling.stride_frames, sampling.num_clips)


def uniform_indices(video_frames: int, num_frames: int) -> np.ndarray:
    """Midpoints of ``num_frames`` equal segments, (T,); a shorter video repeats frames in order."""
    midpoint = (np.arange(num_frames) + 0.5) * video_frames / num_frames
    return midpoint.astype(np.int64)


def dense_indices(video_frames: int, num_frames: int, stride_frames: int, num_clips: int) -> np.ndarray:
    """Windows of ``num_frames`` with one stride, (clips, T); centres spread evenly, one clip sits in the middle."""
    stride = max(1, min(stride_frames, video_frames // num_frames))
    room = max(0, video_frames - ((num_frames - 1) * stride + 1))
    start = ((np.arange(num_clips) + 0.5) * (room + 1) / num_clips).astype(np.int64)
    return np.minimum(start[:, None] + stride * np.arange(num_frames), video_frames - 1)


def random_start_indices(
    video_frames: int, num_frames: int, stride_frames: int, rng: np.random.Generator
) -> np.ndarray:
    """Pretraining clip, (T,): start uniform over 0..n - T * stride; past the end the last index repeats."""
    start = int(rng.integers(0, max(0, video_frames - num_frames * stride_frames) + 1))
    return np.minimum(start + stride_frames * np.arange(num_frames), video_frames - 1)


def random_sorted_indices(video_frames: int, num_frames: int, rng: np.random.Generator) -> np.ndarray:
    """Distinct random frames in order, (T,); with replacement when the video is shorter (TimeTuning)."""
    return np.sort(rng.choice(video_frames, num_frames, replace=video_frames < num_frames))
