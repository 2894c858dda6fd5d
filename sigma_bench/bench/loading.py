"""How fast clips come off the disk: our loader, a plain loop over decord, and the decoding that neither can avoid.

The access pattern is pretraining's: of every video in turn one clip at a random place, its frames some apart, cropped
and resized.  All sides draw the same clips by the same code; only who opens and decodes the files differs.

Shapes: T frames, H W pixels, C colours.
"""

import os
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from sigma_bench.bench.loading_result import LoadingBenchmark, LoadingSide
from sigma_bench.bench.result import Spread, circumstances
from sigma_bench.data.crops import multi_scale_crop
from sigma_bench.data.decoder import DecodeError, Decoder
from sigma_bench.data.decoding import open_media
from sigma_bench.data.manifest import Manifest, Sample
from sigma_bench.data.sampling import random_start_indices
from sigma_bench.data.transforms import channels_first
from sigma_bench.data.video import PyAvDecoder, decord
from sigma_bench.data.video_facts import forget_facts, video_facts

CLIPS_AT_ONCE = 2
"""What a worker hands over; small, so that no worker waits for the last one."""
REDUCED_SIDE = 1.15
"""Short side of reduced frames over the clip's; crops take 0.66 to 1 of it."""
SAME_COLOURS = 0.5
"""Mean difference of two decoders' clips (0 to 255); neighbouring frames differ by more."""
PLAIN = "plain loop over decord"

Report = Callable[[str, int, int], None]
Times = tuple[float, float]
"""Wall-clock and processor seconds."""


@dataclass(frozen=True)
class Pattern:
    """What is drawn of every video."""

    num_frames: int = 16
    stride_frames: int = 4
    image_size: int = 224

    def indices(self, length: int, number: int) -> list[int]:
        """Frames of the clip with this number, which do not depend on the caller."""
        return random_start_indices(
            length, self.num_frames, self.stride_frames, np.random.default_rng([0, number])
        ).tolist()


@dataclass(frozen=True)
class Side:
    """Who reads."""

    name: str
    open: Callable[[Sample], Decoder]
    num_workers: int = 0
    has_equal_pixels: bool = True


class PlainDecord:
    """What loaders that are not ours do: open, read the batch of frames."""

    def __init__(self, sample: Sample, num_threads: int = 1, **size: int) -> None:
        self._reader = decord.VideoReader(str(sample.path), num_threads=num_threads, **size)

    def __len__(self) -> int:
        return len(self._reader)

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        """Frames (T, H, W, C)."""
        return self._reader.get_batch(list(indices)).asnumpy()


class DecodeOnly:
    """The floor: decode from the key frame before the first frame wanted to the last; no colours, no crop."""

    def __init__(self, sample: Sample) -> None:
        self._reader = PyAvDecoder(sample.path, video_facts(sample.path), keeps_pictures=False)

    def __len__(self) -> int:
        return len(self._reader)

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        """Black frames, one pixel each."""
        return self._reader.frames(indices)


def sides(workers: Sequence[int], pattern: Pattern) -> Iterator[Side]:
    """The plain loop first; then ours, both with workers, the decoders one by one, and the floor."""
    yield Side(PLAIN, PlainDecord)
    yield Side("ours", _ours)
    for number in workers:
        yield Side("plain, in workers", PlainDecord, number)
        yield Side("ours", _ours, number)
    yield Side("decord on all processors", partial(PlainDecord, num_threads=0))
    yield Side("ours, as in evaluation", open_media)
    yield Side("decord at reduced size", partial(_reduced, pattern.image_size), has_equal_pixels=False)
    yield Side("decoding only (floor)", DecodeOnly, has_equal_pixels=False)


def measure_loading(
    manifest: Manifest,
    samples: Sequence[Sample],
    *,
    workers: Sequence[int],
    clips: int,
    rounds: int,
    pattern: Pattern = Pattern(),
    report: Report = lambda name, done, total: None,
) -> LoadingBenchmark:
    """Time every side on the same clips, round by round, in an order that turns.

    Videos of which decord gives other frames than ours are left out: there the plain loop does other work.

    Raises:
        ValueError: nothing is left to measure on.
    """
    before, load = circumstances(), os.getloadavg()[0]
    kept = [sample for sample in samples if _agree(sample, pattern)]
    if not kept:
        raise ValueError(f"{manifest.dataset}: of {len(samples)} videos there is none that decord and PyAV read alike")
    all_sides = list(sides(workers, pattern))
    drawn = [kept[number % len(kept)] for number in range(clips)]
    spent = _spent(all_sides, drawn, pattern, rounds, report)
    return LoadingBenchmark(
        dataset=manifest.dataset,
        world=manifest.data_source,
        num_videos=len(kept),
        num_left_out=len(samples) - len(kept),
        clips_per_round=clips,
        rounds=rounds,
        num_frames=pattern.num_frames,
        stride_frames=pattern.stride_frames,
        image_size=pattern.image_size,
        sides=tuple(_side(side, spent[side], spent[all_sides[0]], clips) for side in all_sides),
        load_average=load,
        **before,
    )


class Clips(Dataset[torch.Tensor]):
    """One clip (T, C, size, size) of every sample, drawn as pretraining draws them."""

    def __init__(
        self, opener: Callable[[Sample], Decoder], samples: Sequence[Sample], pattern: Pattern, *, first: int = 0
    ) -> None:
        self._open, self._samples, self._pattern, self._first = opener, samples, pattern, first

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> torch.Tensor:
        number = self._first + index
        decoder = self._open(self._samples[index])
        frame_THWC = decoder.frames(self._pattern.indices(len(decoder), number))
        if frame_THWC.shape[1] == 1:  # the floor, which has no pictures
            return torch.zeros(1)
        rng = np.random.default_rng([1, number])
        return multi_scale_crop(channels_first(frame_THWC), self._pattern.image_size, rng)


def _spent(
    all_sides: Sequence[Side], samples: Sequence[Sample], pattern: Pattern, rounds: int, report: Report
) -> dict[Side, list[Times]]:
    """What every side took in each round; another side begins every time."""
    spent: dict[Side, list[Times]] = {side: [] for side in all_sides}
    for index in range(rounds):
        turned = index * len(all_sides) // rounds
        for side in (*all_sides[turned:], *all_sides[:turned]):
            report(f"{side.name}, {side.num_workers} workers", index, rounds)
            clips = Clips(side.open, samples, pattern, first=index * len(samples))
            spent[side].append(_seconds(clips, side.num_workers))
    report("", rounds, rounds)
    return spent


def _seconds(clips: Clips, num_workers: int) -> Times:
    """For all clips; the start of workers counts, and every file is met anew."""
    forget_facts()
    loader = DataLoader(clips, batch_size=CLIPS_AT_ONCE, num_workers=num_workers, collate_fn=list)
    used, clock = _processor_seconds(), time.perf_counter()
    for _ in loader:
        pass
    return time.perf_counter() - clock, _processor_seconds() - used


def _processor_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _agree(sample: Sample, pattern: Pattern) -> bool:
    """Whether the plain loop's clip is ours, pixel by pixel up to the decoders' rounding of colours."""
    try:
        ours, plain = (Clips(opener, [sample], pattern)[0].int() for opener in (_ours, PlainDecord))
    except (DecodeError, decord.DECORDError, RuntimeError):
        return False
    return float((ours - plain).abs().float().mean()) < SAME_COLOURS


def _ours(sample: Sample) -> Decoder:
    return open_media(sample, is_sparse=True)


def _reduced(image_size: int, sample: Sample) -> Decoder:
    """decord scales while it converts; sides are even."""
    facts = video_facts(sample.path)
    scale = min(1.0, REDUCED_SIDE * image_size / min(facts.height, facts.width))
    height, width = (2 * round(side * scale / 2) for side in (facts.height, facts.width))
    return PlainDecord(sample, height=height, width=width)


def _side(side: Side, times: list[Times], base: list[Times], clips: int) -> LoadingSide:
    return LoadingSide(
        name=side.name,
        num_workers=side.num_workers,
        has_equal_pixels=side.has_equal_pixels,
        clips_per_second=Spread.of([clips / wall for wall, _ in times]),
        cpu_ms_per_clip=Spread.of([1000 * cpu / clips for _, cpu in times]),
        times_plain=Spread.of([plain / wall for (plain, _), (wall, _) in zip(base, times, strict=True)]),
        cpu_times_plain=Spread.of([plain / cpu for (_, plain), (_, cpu) in zip(base, times, strict=True)]),
    )
