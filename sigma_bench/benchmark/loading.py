"""Clips per second from video files: the loader of pretraining, compared with a plain loop over decord.

Both read, of every video in turn, one clip at a random place, and crop and resize it.  The clips are the same.

Shapes: T frames, H W pixels, C colours.
"""

import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from sigma_bench.benchmark.result_table import BenchmarkResult, circumstances
from sigma_bench.data.decoder import DecodeError, Decoder
from sigma_bench.data.manifest import Manifest, Sample
from sigma_bench.data.media_opening import open_media
from sigma_bench.data.random_crops import multi_scale_crop
from sigma_bench.data.sampling import random_start_indices
from sigma_bench.data.transforms import channels_first
from sigma_bench.data.video import decord
from sigma_bench.data.video_facts import forget_facts

CLIPS_AT_ONCE = 2
"""Clips that a worker returns together; few, so that no worker is idle at the end."""
SAME_COLOURS = 0.5
"""Mean difference of two decoders' clips (0 to 255); neighbouring frames differ by more."""


@dataclass(frozen=True)
class ClipShape:
    """Frames, stride and size of a clip."""

    num_frames: int = 16
    stride_frames: int = 4
    image_size: int = 224


class PlainDecord:
    """A video opened by decord, of which a batch of frames is read."""

    def __init__(self, sample: Sample) -> None:
        self._reader = decord.VideoReader(str(sample.path), num_threads=1)

    def __len__(self) -> int:
        return len(self._reader)

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        """Frames (T, H, W, C)."""
        return self._reader.get_batch(list(indices)).asnumpy()


def open_sparsely(sample: Sample) -> Decoder:
    """A video as pretraining opens it."""
    return open_media(sample, is_sparse=True)


OPENERS: dict[str, Callable[[Sample], Decoder]] = {"plain loop over decord": PlainDecord, "ours": open_sparsely}


class Clips(Dataset[torch.Tensor]):
    """One random clip (T, C, size, size) of every sample; its place depends on the number of the clip only."""

    def __init__(self, reader: str, samples: Sequence[Sample], geometry: ClipShape, *, first: int = 0) -> None:
        self._reader, self._samples, self._geometry, self._first = reader, samples, geometry, first

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> torch.Tensor:
        geometry, rng = self._geometry, np.random.default_rng([0, self._first + index])
        video = OPENERS[self._reader](self._samples[index])
        places = random_start_indices(len(video), geometry.num_frames, geometry.stride_frames, rng)
        return multi_scale_crop(channels_first(video.frames(places.tolist())), geometry.image_size, rng)


def measure_loading(
    manifest: Manifest,
    samples: Sequence[Sample],
    *,
    workers: Sequence[int],
    clips: int,
    rounds: int,
    geometry: ClipShape = ClipShape(),
    report: Callable[[int], None] = lambda rounds: None,
) -> BenchmarkResult:
    """Measure both loaders without worker processes and with each number of workers, in alternation.

    Videos of which decord gives other frames than ours are left out.

    Args:
        clips: number of clips of a round.
        report: is called with the number of finished rounds.

    Raises:
        ValueError: all videos are left out.
    """
    before = circumstances()
    kept = [sample for sample in samples if _agree(sample, geometry)]
    if not kept:
        raise ValueError(f"{manifest.dataset}: decord and PyAV read none of {len(samples)} videos alike")
    drawn = [kept[number % len(kept)] for number in range(clips)]
    sides = [(reader, number) for number in (0, *workers) for reader in OPENERS]
    spent: dict[tuple[str, int], list[tuple[float, float]]] = {side: [] for side in sides}
    for index in range(rounds):
        for reader, number in sides if index % 2 else reversed(sides):
            dataset = Clips(reader, drawn, geometry, first=index * clips)
            spent[reader, number].append(_seconds(dataset, number))
        report(index + 1)
    left_out = f"{len(samples) - len(kept)} videos are left out, of which decord gives other frames or none"
    source = "" if manifest.data_source == "official" else f"_{manifest.data_source}"
    return BenchmarkResult(
        name=f"loading_{manifest.dataset}{source}",
        title=f"Loading clips: {manifest.dataset} ({manifest.data_source}), {len(kept)} videos",
        method=(
            f"One clip of a video: {geometry.num_frames} frames, {geometry.stride_frames} apart, at a random place; "
            f"one random crop, resized to {geometry.image_size} pixels. Both loaders draw the same {clips} clips in "
            f"each of {rounds} rounds. Values are medians; ratios are medians of the ratios of each round to the plain "
            "loop without workers. Files are in the cache of the system, and the start of workers is included."
        ),
        rows=tuple(_row(*side, spent[side], spent[sides[0]], clips) for side in sides),
        remarks=(left_out,) if len(kept) < len(samples) else (),
        num_threads=torch.get_num_threads(),
        **before,
    )


def _row(
    reader: str, workers: int, times: list[tuple[float, float]], base: list[tuple[float, float]], clips: int
) -> dict[str, str | float | None]:
    return {
        "loader": reader,
        "workers": str(workers),
        "clips/s": median(clips / wall for wall, _ in times),
        "x plain": median(plain / wall for (plain, _), (wall, _) in zip(base, times, strict=True)),
        "CPU ms/clip": median(1000 * cpu / clips for _, cpu in times),
        "x plain (CPU)": median(plain / cpu for (_, plain), (_, cpu) in zip(base, times, strict=True)),
    }


def _seconds(clips: Clips, num_workers: int) -> tuple[float, float]:
    """Wall-clock and processor seconds for all clips; every file is opened as if for the first time."""
    forget_facts()
    loader = DataLoader(clips, batch_size=CLIPS_AT_ONCE, num_workers=num_workers, collate_fn=list)
    used, clock = processor_seconds(), time.perf_counter()
    for _ in loader:
        pass
    return time.perf_counter() - clock, processor_seconds() - used


def processor_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _agree(sample: Sample, geometry: ClipShape) -> bool:
    """Whether both loaders give the same clip, up to the rounding of colours."""
    try:
        plain, ours = (Clips(reader, [sample], geometry)[0].int() for reader in OPENERS)
    except (DecodeError, decord.DECORDError, RuntimeError):
        return False
    return float((ours - plain).abs().float().mean()) < SAME_COLOURS
