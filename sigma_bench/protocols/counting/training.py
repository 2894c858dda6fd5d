"""Training of a cycle detector, which can be resumed at any batch.

A batch is trained by a roll-out: the detector corrects cycle lengths step by step, from its own results of the step
before (``rollout.py``).

The random numbers of a batch are drawn from a generator that is seeded by the seed of the evaluation and the number of
the batch, so the state consists of the weights, the optimiser and that number.

Shapes: B segments of a batch, N frames of a segment, C H W a frame.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from sigma_bench.data.workers import NumWorkers, resolved_workers
from sigma_bench.protocols.counting.anchors import anchor_targets, counting_loss, cycle_lengths
from sigma_bench.protocols.counting.frames import AnnotatedFrames, clips_of, frame_slots
from sigma_bench.protocols.counting.inference import Prediction, scale_change
from sigma_bench.protocols.counting.network import CycleDetector, frames_per_half
from sigma_bench.protocols.counting.rollout import advanced, initial_states
from sigma_bench.protocols.counting.segments import Segment
from sigma_bench.protocols.counting.spec import CountingProtocol
from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.training.resume import Done, load_state, save_state
from sigma_bench.training.termination import end_with_parent

SECONDS_BETWEEN_STATES = 60.0
"""Least time between two saved states."""


class SegmentFrames(Dataset[Tensor]):
    """The frames of each segment."""

    def __init__(self, segments: Sequence[Segment], frames: AnnotatedFrames) -> None:
        self._segments, self._frames = segments, frames

    def __len__(self) -> int:
        return len(self._segments)

    def __getitem__(self, index: int) -> Tensor:
        """(N, C, H, W) uint8."""
        segment = self._segments[index]
        return self._frames[segment.video][segment.first : segment.first + segment.num_frames]


class DetectorTraining:
    """Training of a detector, resumed from its state file if there is one.

    Args:
        path: the state file.
        identity: digest of everything that the state depends on.
    """

    def __init__(
        self,
        detector: CycleDetector,
        card: EncoderCard,
        protocol: CountingProtocol,
        path: Path,
        *,
        identity: str,
        seed: int,
    ) -> None:
        self.detector = detector
        self._card, self._protocol, self._seed = card, protocol, seed
        self._path, self._identity = path, identity
        rate, decay = protocol.training.learning_rate, protocol.training.weight_decay
        self._optimiser = torch.optim.Adam(detector.parameters(), lr=rate, weight_decay=decay)
        self.load()

    def load(self) -> None:
        """Load the state file, if there is one."""
        self._done = load_state(self._path, self.detector, self._optimiser, identity=self._identity)

    def run(
        self,
        segments: Sequence[Segment],
        frames: AnnotatedFrames,
        *,
        num_workers: NumWorkers = 0,
        seconds_between_states: float = SECONDS_BETWEEN_STATES,
    ) -> Iterator[tuple[int, int]]:
        """Train to the end and yield the numbers of finished and of all batches; the last state is saved.

        Raises:
            ValueError: a loss that is not finite.
        """
        batches = self._batches(len(segments))
        left = batches[self._done.steps :]
        loader = DataLoader(
            SegmentFrames(segments, frames),
            batch_sampler=left,
            collate_fn=list,
            num_workers=resolved_workers(num_workers, len(left)),
            worker_init_fn=end_with_parent,
        )
        self.detector.train()
        saved = time.monotonic()
        for indices, frame_NCHW in zip(left, loader, strict=True):
            self._roll_out([segments[index] for index in indices], frame_NCHW, self._stream(self._done.steps))
            self._done = Done(self._done.steps + 1)
            if self._done.steps == len(batches) or time.monotonic() - saved >= seconds_between_states:
                save_state(self._path, self.detector, self._optimiser, identity=self._identity, done=self._done)
                saved = time.monotonic()
            yield self._done.steps, len(batches)

    def _batches(self, num_segments: int) -> list[list[int]]:
        size = self._protocol.training.batch
        batches = []
        for epoch in range(self._protocol.training.epochs):
            order = np.random.default_rng([self._seed, 1, epoch]).permutation(num_segments).tolist()
            batches += [order[start : start + size] for start in range(0, num_segments, size)]
        return batches

    def _stream(self, batch: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, 2, batch])

    def _roll_out(self, segments: Sequence[Segment], frame_NCHW: list[Tensor], rng: np.random.Generator) -> None:
        """Up to ``rollout_steps`` optimiser steps on one batch."""
        flipped = rng.random(len(segments)) < self._protocol.training.flip_probability
        device = self.detector.norm.weight.device
        shown = [
            (frames.flip(-1) if flip else frames).to(device) for frames, flip in zip(frame_NCHW, flipped, strict=True)
        ]
        state_B3 = initial_states(segments, self._protocol, rng)
        is_through_B = np.zeros(len(segments), bool)
        for _ in range(self._protocol.training.rollout_steps):
            heads = self._step(segments, shown, state_B3)
            change_B2 = scale_change(heads, self._protocol.anchors, self._protocol.box_limit)
            state_B3, now_B = advanced(state_B3, change_B2, segments, self._protocol, rng)
            is_through_B |= now_B
            if is_through_B.all():
                return

    def _step(self, segments: Sequence[Segment], shown: list[Tensor], state_B3: np.ndarray) -> Prediction:
        """Take one optimiser step on these states; returns the outputs of the heads before the step."""
        protocol = self._protocol
        slot_BF = frame_slots(state_B3, frames_per_half(self._card, protocol), protocol.context_cycles)
        logit_B2A2, box_B2A = self.detector(clips_of(shown, slot_BF, self._card, protocol.padding))
        length_B2 = cycle_lengths(state_B3, [segment.offsets for segment in segments])
        targets = anchor_targets(length_B2, state_B3, protocol.anchors, protocol.positive_overlap)
        loss = counting_loss(logit_B2A2, box_B2A, *targets, protocol.box_weight)
        if not bool(torch.isfinite(loss)):
            raise ValueError(f"{protocol.protocol}: the loss is not finite; try a lower training.learning_rate")
        self._optimiser.zero_grad()
        loss.backward()
        self._optimiser.step()
        return probabilities(logit_B2A2, box_B2A)


def probabilities(logit_B2A2: Tensor, box_B2A: Tensor) -> Prediction:
    """Outputs of the heads as probabilities and boxes, in CPU memory."""
    foreground = logit_B2A2.detach().softmax(-1)[..., 1]
    return Prediction(foreground.double().cpu().numpy(), box_B2A.detach().double().cpu().numpy())
