"""Predicted time of an evaluation, from short measured samples of decoding, encoding and the training of heads.

Each part is measured after a warm-up: a few samples of the dataset are decoded as a pass needs them, a batch of clips
is encoded several times, and heads are trained for a few steps on random features.  The range of a part is that of its
measurements; the range of a sum is the sum of the ranges, widened by ``MARGIN`` for other work on the machine.  Making
intervals and writing the record take one or two seconds per task, which are not predicted.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch

from sigma_bench.data.decoder import DecodeError
from sigma_bench.data.evaluation_clips import EvaluationClips
from sigma_bench.data.manifest import Sample, Split
from sigma_bench.data.media_opening import open_media
from sigma_bench.data.sequences import MaskedSequence
from sigma_bench.data.workers import NumWorkers, available_cores, resolved_workers
from sigma_bench.evaluation.session import Session
from sigma_bench.models.encoder import Encoder
from sigma_bench.models.encoder_output import encoded
from sigma_bench.protocols.clip_batches import BatchEncoder, BatchSize
from sigma_bench.protocols.interface import HeadSizes
from sigma_bench.specs.clip import ClipSpec
from sigma_bench.specs.passes import Pass, Precision
from sigma_bench.specs.protocol import KINDS

MEASURED_SAMPLES = 6
MEASURED_CLIPS = 4
ROUNDS = 5
MARGIN = 1.25
"""Factor by which a range is widened at both ends."""
TRAINING_FACTOR = 3
"""Cost of a training step in forward passes; a backward pass costs about two of them."""
TRAINING_FACTORS = (2.5 / TRAINING_FACTOR, 4.0 / TRAINING_FACTOR)
"""Least and greatest cost relative to ``TRAINING_FACTOR``."""


class Range(NamedTuple):
    """Least and greatest time in seconds."""

    low: float = 0.0
    high: float = 0.0

    def plus(self, other: "Range") -> "Range":
        return Range(self.low + other.low, self.high + other.high)

    def times(self, low: float, high: float | None = None) -> "Range":
        """The range multiplied by a factor, or by a range of factors."""
        return Range(self.low * low, self.high * (low if high is None else high))


class Predicted(NamedTuple):
    """Predicted time of a task."""

    seconds: Range
    decoding: Range
    """Time of one process that decodes alone; other processes share it."""
    encoding: Range
    head: Range | None
    """Training and scoring on features; None if the protocol does not predict it."""


class CostModel:
    """Predictions for the tasks of one encoder; measurements are made once and shared by the tasks."""

    def __init__(self, encoder: Encoder, device: torch.device, num_workers: NumWorkers, batch_size: BatchSize) -> None:
        self._encoder, self._device = encoder, device
        self._num_workers, self._batch_size = num_workers, batch_size
        self._per_clip: dict[Precision, Range] = {}
        self._per_sample: dict[tuple[str, str], Range] = {}

    def predict(self, session: Session, to_do: Mapping[int, int]) -> Predicted:
        """The predicted time of a task.

        Args:
            to_do: number of a pass -> number of clips that are still to be encoded; a training clip counts
                ``TRAINING_FACTOR`` times.
        """
        decoding, encoding = Range(), Range()
        for number, clips in to_do.items():
            pass_ = session.passes[number]
            views = pass_.num_clips(1) if pass_.clip is not None else 1
            repeats = TRAINING_FACTOR if pass_.network == "training" else 1
            decoding = decoding.plus(self._decoding(session, pass_).times(clips / views / repeats))
            factors = TRAINING_FACTORS if pass_.network == "training" else (1.0, 1.0)
            size = clips * self._relative_size(pass_)
            encoding = encoding.plus(self._encoding(pass_.precision).times(size * factors[0], size * factors[1]))
        head = self._head(session)
        seconds = self._overlapped(decoding, encoding, sum(to_do.values())).plus(head or Range())
        return Predicted(seconds.times(1 / MARGIN, MARGIN), decoding, encoding, head)

    def _overlapped(self, decoding: Range, encoding: Range, clips: int) -> Range:
        """The time of decoding and encoding together.

        Workers decode while a GPU encodes, so the slower one counts.  On the CPU both use the same cores.
        """
        workers = resolved_workers(self._num_workers, clips)
        if workers == 0:
            return decoding.plus(encoding)
        if self._device.type == "cuda":
            shared = decoding.times(1 / workers)
            return Range(max(shared.low, encoding.low), max(shared.high, encoding.high))
        return encoding.plus(decoding.times(1 / min(workers + 1, available_cores())))

    def _relative_size(self, pass_: Pass) -> float:
        """Number of pixels of a clip of a pass, relative to a clip of the encoder's card."""
        card = self._encoder.card
        frames, side = pass_.num_frames or card.num_frames, pass_.image_size or card.image_size
        return frames / card.num_frames * (side / card.image_size) ** 2

    def _encoding(self, precision: Precision) -> Range:
        """Seconds per clip of the encoder's card."""
        if precision not in self._per_clip:
            card, batches = self._encoder.card, BatchEncoder(self._encoder, precision, self._batch_size)
            noise = np.random.default_rng(0).integers(
                0, 256, (MEASURED_CLIPS, card.num_frames, 3, card.image_size, card.image_size), dtype=np.uint8
            )
            frame_BTCHW = torch.from_numpy(noise)

            def encode() -> None:
                for token_BND in batches.tokens(frame_BTCHW):
                    token_BND.mean(1).cpu()

            self._per_clip[precision] = _timed(encode).times(1 / MEASURED_CLIPS)
        return self._per_clip[precision]

    @cached_property
    def _token_grid(self) -> tuple[int, int, int]:
        """Time slots, rows and columns of the tokens of a clip."""
        card = self._encoder.card
        clip_BCTHW = torch.zeros(1, 3, card.num_frames, card.image_size, card.image_size, device=self._device)
        return encoded(self._encoder, clip_BCTHW).grid

    def _decoding(self, session: Session, pass_: Pass) -> Range:
        """Seconds per sample."""
        split = session.split(pass_)
        key = (split.sha256, str(pass_.clip))
        if key not in self._per_sample:
            present = [sample for sample in split.samples if sample.path.exists()]
            order = np.random.default_rng(0).permutation(len(present))[: MEASURED_SAMPLES + 1]
            read = self._reader(split, pass_)
            times = [_seconds(lambda sample=sample: read(sample)) for sample in (present[i] for i in order)]  # type: ignore[misc]
            warm = np.array(times[1:] or times or [0.0])
            mean, error = float(warm.mean()), 2 * float(warm.std()) / len(warm) ** 0.5
            self._per_sample[key] = Range(max(mean - error, float(warm.min())), mean + error)
        return self._per_sample[key]

    def _reader(self, split: Split, pass_: Pass) -> Callable[[Sample], None]:
        card = self._encoder.card
        if isinstance(pass_.clip, ClipSpec):
            clips = EvaluationClips(split.samples, pass_.clip, num_frames=card.num_frames, image_size=card.image_size)
            place = {sample.id: index for index, sample in enumerate(split.samples)}
            return lambda sample: _ignored(clips[place[sample.id]])

        def read(sample: Sample) -> None:
            try:
                if sample.mask_folder is not None:
                    sequence = MaskedSequence(sample)
                    sequence.squashed_frames(range(min(card.num_frames, len(sequence))), card.image_size)
                else:
                    video = open_media(sample)
                    video.frames(list(range(min(card.num_frames, len(video)))))
            except DecodeError:
                return

        return read

    def _head(self, session: Session) -> Range | None:
        predict = getattr(KINDS.load(session.task.protocol.kind, "run"), "head_seconds", None)
        if predict is None:
            return None
        splits, card = session.splits, self._encoder.card
        sizes = HeadSizes(
            len(splits[0].samples),
            len(splits[-1].samples),
            len(session.manifest.classes or ()),
            card.feature_width,
            self._device,
            self._token_grid,
            card.num_frames,
            card.image_size,
        )
        seconds = predict(session.task.protocol, sizes)
        return None if seconds is None else Range(seconds, seconds)


def _ignored(found: object) -> None:
    """Nothing; clips and reasons of failures are both measured."""


def _timed(work: Callable[[], None]) -> Range:
    """Least and median time of some rounds after a warm-up; a single interruption does not change the median."""
    work()
    times = [_seconds(work) for _ in range(ROUNDS)]
    return Range(min(times), statistics.median(times))


def _seconds(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
