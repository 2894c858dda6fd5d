"""Clips per second of a frozen pass: the features of this project, compared with a plain loop over decord.

The plain loop decodes one video after the other in the main process, and encodes batches in float32.  Two more rows
state what decoding alone and encoding alone take.

Shapes: B clips, C colours, T frames, H W pixels.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch.utils.data import DataLoader

from sigma_bench.benchmark.loading import PlainDecord, processor_seconds
from sigma_bench.benchmark.result_table import BenchmarkResult, circumstances
from sigma_bench.data.evaluation_clips import EvaluationClips
from sigma_bench.data.identity import identified
from sigma_bench.data.manifest import Manifest, Sample, Split
from sigma_bench.data.sampling import clip_indices
from sigma_bench.data.transforms import centre_crop, normalised_clip
from sigma_bench.data.video import decord
from sigma_bench.data.video_facts import forget_facts
from sigma_bench.data.workers import resolved_workers
from sigma_bench.models.encoder import Encoder
from sigma_bench.protocols.clip_batches import BatchEncoder
from sigma_bench.protocols.feature_cache import FeatureCache
from sigma_bench.specs.clip import ClipSpec, UniformSampling
from sigma_bench.specs.passes import Pass, Precision
from sigma_bench.training.distribution import Processes

PLAIN_BATCH = 8
CLIP = ClipSpec(sampling=UniformSampling(sampler="uniform"), crop="centre")


def videos_of(manifest: Manifest, number: int) -> Split:
    """Up to ``number`` random videos of a manifest that decord opens, with their identity.

    Raises:
        ValueError: there are none.
    """
    samples = [sample for split in manifest.splits.values() for sample in split.samples if sample.media == "video"]
    order = np.random.default_rng(0).permutation(len(samples))
    chosen = list(islice((samples[index] for index in order if _opens(samples[index])), number))
    if not chosen:
        raise ValueError(f"{manifest.dataset}: there is no video here that decord opens; nothing to measure")
    split = Split("test", tuple(chosen), len(chosen))
    return identified(replace(manifest, splits={"test": split}), [split]).splits["test"]


def _opens(sample: Sample) -> bool:
    try:
        return len(PlainDecord(sample)) > 0
    except (decord.DECORDError, RuntimeError):
        return False


def measure_frozen_pass(
    encoder: Encoder,
    split: Split,
    processes: Processes,
    *,
    rounds: int,
    report: Callable[[int], None] = lambda rounds: None,
) -> BenchmarkResult:
    """Measure the plain loop, our pass in both precisions, and the floors, in alternation.

    Args:
        split: videos that decord can open; one clip of each is encoded.
        report: is called with the number of finished rounds.
    """
    before, card = circumstances(), encoder.card
    clips = EvaluationClips(split.samples, CLIP, num_frames=card.num_frames, image_size=card.image_size)
    sides: dict[str, Callable[[], None]] = {
        "plain loop over decord, float32": lambda: _plain(encoder, split.samples),
        "ours, float32": lambda: _ours(encoder, split, processes, "float32"),
        "ours, bfloat16": lambda: _ours(encoder, split, processes, "bfloat16"),
        "decoding alone": lambda: _decoding(clips),
        "encoding alone, float32": lambda: _encoding(encoder, len(clips), "float32"),
        "encoding alone, bfloat16": lambda: _encoding(encoder, len(clips), "bfloat16"),
    }
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for index in range(rounds):
        for name in sides if index % 2 else reversed(sides):
            spent[name].append(_seconds(sides[name]))
        report(index + 1)
    plain = spent["plain loop over decord, float32"]
    return BenchmarkResult(
        name="frozen_pass",
        title=f"Frozen pass: {card.num_parameters / 1e6:.0f} M parameters, {card.num_frames} x {card.image_size} px",
        method=(
            f"One clip of each of {len(clips)} videos, {card.num_frames} uniform frames, in {rounds} rounds in "
            "alternating order. Values are medians; ratios are medians of the ratios of each round to the plain loop. "
            f"The plain loop encodes {PLAIN_BATCH} clips at once. Starting workers and writing features is included."
        ),
        rows=tuple(
            {
                "pass": name,
                "clips/s": median(len(clips) / wall for wall, _ in times),
                "x plain": median(base / wall for (base, _), (wall, _) in zip(plain, times, strict=True)),
                "CPU ms/clip": median(1000 * cpu / len(clips) for _, cpu in times),
            }
            for name, times in spent.items()
        ),
        num_threads=torch.get_num_threads(),
        **before,
    )


@torch.inference_mode()
def _plain(encoder: Encoder, samples: Sequence[Sample]) -> None:
    card, waiting = encoder.card, []
    for number, sample in enumerate(samples, start=1):
        video = PlainDecord(sample)
        (index_T,) = clip_indices(CLIP, len(video), card.num_frames)
        waiting.append(centre_crop(video.frames(index_T.tolist()), card.image_size))
        if len(waiting) == PLAIN_BATCH or number == len(samples):
            encoder.encode(normalised_clip(torch.stack(waiting), card.mean, card.std)).token_BND.mean(1).cpu()
            waiting.clear()


def _ours(encoder: Encoder, split: Split, processes: Processes, precision: Precision) -> None:
    forget_facts()
    with tempfile.TemporaryDirectory() as folder:
        cache = FeatureCache(Path(folder), num_workers="auto")
        pass_ = Pass("test", CLIP, precision=precision)
        cache.features(encoder, split, pass_, processes, report=lambda done, total, waiting: None)


def _decoding(clips: EvaluationClips) -> None:
    forget_facts()
    for _ in DataLoader(clips, batch_size=1, collate_fn=list, num_workers=resolved_workers("auto", len(clips))):
        pass


def _encoding(encoder: Encoder, num_clips: int, precision: Precision) -> None:
    card, batches = encoder.card, BatchEncoder(encoder, precision, "auto")
    frame_BTCHW = torch.zeros(num_clips, card.num_frames, 3, card.image_size, card.image_size, dtype=torch.uint8)
    frame_BTCHW[:, 1:] = 1  # a clip of equal frames is encoded once by image models
    for token_BND in batches.tokens(frame_BTCHW):
        token_BND.mean(1).cpu()


def _seconds(side: Callable[[], None]) -> tuple[float, float]:
    """Wall-clock and processor seconds, with those of worker processes."""
    used, clock = processor_seconds(), time.perf_counter()
    side()
    return time.perf_counter() - clock, processor_seconds() - used
