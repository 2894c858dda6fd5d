"""Indices of the frames of a clip, as in the released code of SIGMA and VideoMAE and in TSN (arXiv 1608.00859).

Shapes: T frames of a clip.
"""

import numpy as np

from sigma_bench.specs.clip import (
    ClampedViews,
    ClampedWindow,
    ClipSpec,
    DenseSampling,
    RandomSegments,
    ReleasedSegments,
    SegmentViews,
    SegmentWindows,
    ShortVideo,
    StridedViews,
    TrainingSampling,
    UniformSampling,
)


def clip_indices(clip: ClipSpec, video_frames: int, num_frames: int) -> np.ndarray:
    """Frame indices of every temporal view of a video, (views, T); the result is deterministic."""
    sampling = clip.sampling
    match sampling:
        case UniformSampling():
            return uniform_indices(video_frames, num_frames)[None]
        case DenseSampling():
            return dense_indices(video_frames, num_frames, sampling.stride_frames, sampling.num_clips)
        case SegmentViews():
            return segment_views(video_frames, num_frames)
        case StridedViews():
            return strided_views(video_frames, num_frames, sampling)
        case ClampedViews():
            return clamped_views(video_frames, num_frames, sampling.stride_frames, sampling.num_clips)
        case SegmentWindows():
            return segment_windows(video_frames, num_frames, sampling)


def training_indices(
    sampling: TrainingSampling, video_frames: int, num_frames: int, rng: np.random.Generator
) -> np.ndarray:
    """Frame indices of one training clip, (T,)."""
    match sampling:
        case RandomSegments():
            return random_segment_indices(video_frames, num_frames, rng)
        case ReleasedSegments():
            return released_segment_indices(video_frames, num_frames, rng)
        case ClampedWindow():
            return clamped_window_indices(video_frames, num_frames, sampling.stride_frames, rng)
    if video_frames > num_frames * sampling.stride_frames:
        return random_window_indices(video_frames, num_frames, sampling.stride_frames, rng)
    if sampling.short_video == "shrink_stride":
        return shrunk_window_indices(video_frames, num_frames, rng)
    return short_video_indices(video_frames, num_frames, sampling.stride_frames, sampling.short_video)


def uniform_indices(video_frames: int, num_frames: int) -> np.ndarray:
    """Midpoints of ``num_frames`` equal segments, (T,), as in TSN; a shorter video repeats frames in order."""
    midpoint = (np.arange(num_frames) + 0.5) * video_frames / num_frames
    return midpoint.astype(np.int64)


def dense_indices(video_frames: int, num_frames: int, stride_frames: int, num_clips: int) -> np.ndarray:
    """Windows of ``num_frames`` strided frames with evenly spaced centres, (clips, T); one clip is in the middle.

    The stride is smaller for a video that does not contain a window of the given stride.
    """
    stride = max(1, min(stride_frames, video_frames // num_frames))
    room = max(0, video_frames - ((num_frames - 1) * stride + 1))
    start = ((np.arange(num_clips) + 0.5) * (room + 1) / num_clips).astype(np.int64)
    return np.minimum(start[:, None] + stride * np.arange(num_frames), video_frames - 1)


def random_start_indices(
    video_frames: int, num_frames: int, stride_frames: int, rng: np.random.Generator
) -> np.ndarray:
    """Frame indices of a pretraining clip, (T,), as in VideoMAE and SIGMA.

    For a video of n frames, the start is uniform over 0, ..., n - T x stride.  The clip of a video shorter than
    T x stride starts at frame 0 and advances by the stride as long as it stays before the last frame; the frame reached
    is then repeated.  With stride 4, a video of 17 frames gives 0, 4, 8, 12, 12, ...
    """
    room = video_frames - num_frames * stride_frames
    start = int(rng.integers(0, max(0, room) + 1))
    last_step = num_frames - 1 if room >= 0 else max(0, video_frames - 2) // stride_frames
    return start + stride_frames * np.minimum(np.arange(num_frames), last_step)


def random_sorted_indices(video_frames: int, num_frames: int, rng: np.random.Generator) -> np.ndarray:
    """Distinct random frames in order, (T,), as in TimeTuning (arXiv 2308.11796).

    Frames of a video shorter than T are drawn with replacement.
    """
    return np.sort(rng.choice(video_frames, num_frames, replace=video_frames < num_frames))


def random_segment_indices(video_frames: int, num_frames: int, rng: np.random.Generator) -> np.ndarray:
    """A random frame of each of ``num_frames`` equal segments of the whole video, (T,).

    For a shorter video, frames are repeated in order.
    """
    place = (np.arange(num_frames) + rng.random(num_frames)) * video_frames / num_frames
    return np.minimum(place.astype(np.int64), video_frames - 1)


def released_segment_indices(video_frames: int, num_frames: int, rng: np.random.Generator) -> np.ndarray:
    """A random frame of each of T segments of n // T frames, (T,), as in the released code for Something-Something v2.

    The first segment starts at frame 0, so the last n % T of the n frames are never drawn.  A video of fewer than T
    frames gives T times frame 0.
    """
    length = video_frames // num_frames
    if length == 0:
        return np.zeros(num_frames, dtype=np.int64)
    return length * np.arange(num_frames) + rng.integers(length, size=num_frames)


def random_window_indices(
    video_frames: int, num_frames: int, stride_frames: int, rng: np.random.Generator
) -> np.ndarray:
    """Evenly spaced frames of a random window of T x stride frames, (T,), as in the released code.

    The video must be longer than the window.
    """
    span = num_frames * stride_frames
    end = int(rng.integers(span, video_frames))
    return np.clip(np.linspace(end - span, end, num_frames), end - span, end - 1).astype(np.int64)


def shrunk_window_indices(video_frames: int, num_frames: int, rng: np.random.Generator) -> np.ndarray:
    """A random window with the largest stride that fits, at least 1, (T,).

    The last frame of a video shorter than T is repeated.
    """
    stride = max(1, video_frames // num_frames)
    start = int(rng.integers(0, max(0, video_frames - num_frames * stride) + 1))
    return np.minimum(start + stride * np.arange(num_frames), video_frames - 1)


def short_video_indices(video_frames: int, num_frames: int, stride_frames: int, rule: ShortVideo) -> np.ndarray:
    """The training clip of a video of at most T x stride frames, (T,); it is deterministic.

    Args:
        rule: ``loop`` continues from the first frame at the end of the video.  ``repeat_last`` spreads n // stride
            frames over the whole video and then repeats the last frame, as in the released code.
    """
    if rule == "loop":
        return np.arange(num_frames) * stride_frames % video_frames
    spread = np.linspace(0, video_frames, video_frames // stride_frames)
    rest = np.full(num_frames - len(spread), video_frames)
    return np.clip(np.concatenate([spread, rest]), 0, video_frames - 1).astype(np.int64)


def clamped_window_indices(
    video_frames: int, num_frames: int, stride_frames: int, rng: np.random.Generator
) -> np.ndarray:
    """A random window of T strided frames, (T,), with indices limited to the frames of the video.

    The start is uniform over the places where the window fits; for a shorter video, over those where the window
    contains the whole video.
    """
    room = video_frames - ((num_frames - 1) * stride_frames + 1)
    start = int(rng.integers(min(0, room), max(0, room) + 1))
    return np.clip(start + stride_frames * np.arange(num_frames), 0, video_frames - 1)


def segment_views(video_frames: int, num_frames: int) -> np.ndarray:
    """Starts and midpoints of T equal segments, sorted and assigned to two clips in turn, (2, T)."""
    place_T2 = (np.arange(num_frames)[:, None] + [0.0, 0.5]) * video_frames / num_frames
    return np.sort(place_T2.astype(np.int64).ravel()).reshape(num_frames, 2).T


def strided_views(video_frames: int, num_frames: int, views: StridedViews) -> np.ndarray:
    """Windows of T strided frames, with starts spaced evenly from the first possible to the last, (views, T)."""
    stride = views.stride_frames
    if views.short_video == "shrink_stride":
        stride = max(1, min(stride, video_frames // num_frames))
    kept = np.arange(0, video_frames, stride)
    if views.short_video == "loop" and len(kept) < num_frames:
        return np.tile(np.arange(num_frames) * stride % video_frames, (views.num_clips, 1))
    start = _spread(max(0, len(kept) - num_frames), views.num_clips).astype(np.int64)
    return kept[np.minimum(start[:, None] + np.arange(num_frames), len(kept) - 1)]


def clamped_views(video_frames: int, num_frames: int, stride_frames: int, num_clips: int) -> np.ndarray:
    """Windows of T strided frames, with evenly spaced and rounded starts, (views, T).

    The last frame of a video shorter than a window is repeated.
    """
    room = max(0, video_frames - ((num_frames - 1) * stride_frames + 1))
    start = np.rint(_spread(room, num_clips)).astype(np.int64)
    return np.minimum(start[:, None] + stride_frames * np.arange(num_frames), video_frames - 1)


def segment_windows(
    video_frames: int, num_frames: int, windows: SegmentWindows, rng: np.random.Generator | None = None
) -> np.ndarray:
    """A window of T frames in each segment of the video, (segments, T), as in the released code of V-JEPA.

    Args:
        rng: draws the places of the windows; without it, windows are in the middle of their segments, where the release
            draws them at random in validation too.
    """
    span, length = num_frames * windows.stride_frames, video_frames // windows.num_segments
    number_S1 = np.arange(windows.num_segments)[:, None]
    if length > span:
        end_S1 = (
            rng.integers(span, length, size=number_S1.shape) if rng else np.full_like(number_S1, (span + length) // 2)
        )
        place_T = np.minimum(np.linspace(0, span, num_frames), span - 1)
        return (end_S1 - span + place_T).astype(np.int64) + number_S1 * length
    last = min(span, video_frames) - 1
    spread = np.linspace(0, last, last // windows.stride_frames)
    index_T = np.concatenate([spread, np.full(num_frames - len(spread), last)])
    step = max(0, video_frames - span) // max(1, windows.num_segments - 1)
    return np.clip(index_T, 0, max(0, last - 1)).astype(np.int64) + number_S1 * step


def _spread(room: int, num: int) -> np.ndarray:
    """``num`` equally spaced values from 0 to ``room``; the middle if ``num`` is 1."""
    return np.linspace(0, room, num) if num > 1 else np.array([room / 2])
