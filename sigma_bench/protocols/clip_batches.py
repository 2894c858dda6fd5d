"""Decoding and encoding of clips in batches: workers decode ahead, and the memory of activations is bounded.

Shapes: B clips, C colours, T frames, H W pixels, N tokens, D width; decoded frames are uint8.
"""

import logging
import math
import time
from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from sigma_bench.data.evaluation_clips import ClipMemory, EvaluationClips
from sigma_bench.data.transforms import normalised_clip
from sigma_bench.data.workers import NumWorkers, resolved_workers
from sigma_bench.models.encoder import Encoder
from sigma_bench.models.encoder_output import encoded
from sigma_bench.specs.passes import Precision
from sigma_bench.training.termination import end_with_parent

BatchSize = int | Literal["auto"]
MAX_CLIPS = 64
"""Greatest number of clips that are encoded at once unless another number is asked for."""
BYTES_PER_FEATURE = 64
"""Memory of activations per value of a token: about sixteen float32 tensors of the width live at once in a ViT block
(queries, keys, values, the four times wider hidden layer of the MLP, and temporary copies)."""
CPU_BYTES = 256 << 20
"""Memory of activations that a batch may take on the CPU, where larger batches of large clips are not faster."""
SMALLEST_PATCH = 8
"""Side in pixels of the smallest patches of common encoders."""
DECODED_BYTES = 16 << 20
"""Memory of the decoded clips that a worker returns together."""
GPU_SHARE = 0.5
"""Share of the free memory of a GPU that a batch may take."""
logger = logging.getLogger(__name__)


class BatchEncoder:
    """Encodes any number of clips in batches that fit into memory.

    The size of the batches changes tokens by rounding only.

    Args:
        batch_size: greatest number of clips at once.  ``auto`` derives it from the number of tokens of a clip and the
            memory of the device: for the first batch from the most tokens that the clips can have, then from those that
            the encoder gives.  If a batch does not fit, its size is halved, which is logged.
    """

    def __init__(self, encoder: Encoder, precision: Precision, batch_size: BatchSize) -> None:
        card = encoder.card
        self._encoder, self._precision, self._is_automatic = encoder, precision, batch_size == "auto"
        most_tokens = card.num_frames / card.tubelet_frames * (card.image_size / SMALLEST_PATCH) ** 2
        self.num_clips = _fitting(most_tokens * card.feature_width, CPU_BYTES) if batch_size == "auto" else batch_size

    def tokens(self, frame_BTCHW: Tensor) -> Iterator[Tensor]:
        """Float32 tokens (B, N, D) of decoded clips, batch by batch.

        Raises:
            ValueError: one clip alone does not fit into memory, or as ``encoded``.
        """
        card, done = self._encoder.card, 0
        while done < len(frame_BTCHW):
            part = frame_BTCHW[done : done + self.num_clips]
            clip_BCTHW = normalised_clip(part, card.mean, card.std)
            try:
                token_BND = encoded(self._encoder, clip_BCTHW, self._precision).token_BND
            except torch.OutOfMemoryError as error:
                self._halve(len(part), error)
                continue
            if self._is_automatic:
                room = GPU_SHARE * torch.cuda.mem_get_info(token_BND.device)[0] if token_BND.is_cuda else CPU_BYTES
                self.num_clips, self._is_automatic = _fitting(token_BND[0].numel(), room), False
            yield token_BND
            done += len(part)

    def _halve(self, tried: int, error: Exception) -> None:
        card = self._encoder.card
        if tried == 1:
            raise ValueError(
                f"model '{card.model}': one clip of {card.num_frames} frames x {card.image_size} px does not fit into "
                f"the memory of the device ({' '.join(str(error).split())[:80]}); choose fewer frames or a smaller "
                "size, as in name@16x224, or bfloat16"
            ) from error
        self.num_clips, self._is_automatic = math.ceil(tried / 2), False
        torch.cuda.empty_cache()
        logger.warning(
            "model '%s': %d clips do not fit into memory; %d at once from now on", card.model, tried, self.num_clips
        )


def _fitting(values_per_clip: float, room_bytes: float) -> int:
    """Number of clips whose activations fit into memory, from the values of the tokens of one clip."""
    return min(MAX_CLIPS, max(1, int(room_bytes // (values_per_clip * BYTES_PER_FEATURE))))


class Waiting:
    """Share of the time of a pass that is spent waiting for decoded clips."""

    def __init__(self) -> None:
        self._started, self._waited = time.monotonic(), 0.0

    def timed(self, batches: Iterator[list[Tensor | str]]) -> Iterator[list[Tensor | str]]:
        """The batches, with the time until each of them arrives counted."""
        while True:
            before = time.monotonic()
            batch = next(batches, None)
            self._waited += time.monotonic() - before
            if batch is None:
                return
            yield batch

    @property
    def share(self) -> float:
        """The share so far, from 0 to 1."""
        return self._waited / max(time.monotonic() - self._started, 1e-9)


def decoded_batches(
    clips: EvaluationClips,
    batches: Sequence[Sequence[int]],
    *,
    num_workers: NumWorkers,
    memory: ClipMemory,
    pin_memory: bool,
) -> Iterator[list[Tensor | str]]:
    """Decoded clips (V, T, C, H, W), or the reason why a sample does not decode, for every index of every batch.

    Args:
        memory: clips that are kept in this process; used if no workers decode.
    """
    workers = resolved_workers(num_workers, len(batches))
    if workers == 0:
        yield from ([memory.item(clips, index) for index in batch] for batch in batches)
        return
    yield from DataLoader(
        clips,
        batch_sampler=[list(batch) for batch in batches],
        collate_fn=list,
        num_workers=workers,
        worker_init_fn=end_with_parent,
        pin_memory=pin_memory,
    )
