"""One pass of a frozen encoder over a split, shared by every frozen protocol through a cache.

The cache key holds everything that changes a feature: encoder digest, manifest digest, clip sampling and crop,
pooling, precision.  Entries are written whole or not at all.

Shapes: S samples, V clips of a sample, B clips of a batch, N tokens, D width.
"""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sigma_bench.data.clips import ClipMemory, EvaluationClips
from sigma_bench.data.manifest import Split
from sigma_bench.data.transforms import normalised_clip
from sigma_bench.models.encoder import Encoder
from sigma_bench.records.store import write_atomically
from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.specs.fingerprint import digest
from sigma_bench.specs.protocol import ClipSpec

BATCH_CLIPS = 64
PRECISION = "float32"


@dataclass(frozen=True)
class SplitFeatures:
    """Pooled features of a split in sample order; rows of failed samples are zero and must not be used."""

    feature_SD: np.ndarray
    failures: dict[int, str]
    """Sample index -> why it could not be decoded."""

    @property
    def usable(self) -> np.ndarray:
        """Indices of the samples that have a feature."""
        return np.setdiff1d(np.arange(len(self.feature_SD)), list(self.failures))


class FeatureCache:
    """Pooled features on disk, below one folder.

    Args:
        clips: decoded clips that several encoders of one process share.
    """

    def __init__(self, root: Path, clips: ClipMemory | None = None) -> None:
        self.root, self.clips = root, clips or ClipMemory(0)

    def pooled(
        self, encoder: Encoder, split: Split, clip: ClipSpec, *, report: Callable[[int, int], None]
    ) -> SplitFeatures:
        """Features of a split, from the cache or by one pass of the encoder; ``report(done, all)`` counts samples."""
        path = self.root / f"{self.key(encoder.card, split, clip)}.npz"
        if path.is_file():
            with np.load(path, allow_pickle=False) as stored:
                failures = dict(zip(stored["failed"].tolist(), stored["reason"].tolist(), strict=True))
                return SplitFeatures(stored["feature_SD"], failures)
        features = extract(encoder, split, clip, self.clips, report=report)
        buffer = io.BytesIO()
        np.savez(
            buffer,
            allow_pickle=False,
            feature_SD=features.feature_SD,
            failed=np.array(list(features.failures), np.int64),
            reason=np.array(list(features.failures.values()), np.str_),
        )
        write_atomically(path, buffer.getvalue())
        return features

    @staticmethod
    def key(card: EncoderCard, split: Split, clip: ClipSpec) -> str:
        """Name of a cache entry."""
        return digest(
            [
                card.checkpoint_sha256,
                card.num_frames,
                card.image_size,
                card.mean,
                card.std,
                split.sha256,
                clip.model_dump(mode="json"),
                PRECISION,
            ]
        )


def extract(
    encoder: Encoder, split: Split, clip: ClipSpec, memory: ClipMemory, *, report: Callable[[int, int], None]
) -> SplitFeatures:
    """Mean over tokens, then over the clips of a sample: (S, D) float32."""
    card = encoder.card
    dataset = EvaluationClips(split.samples, clip, num_frames=card.num_frames, image_size=card.image_size)
    feature_SD = np.zeros((len(dataset), card.feature_width), np.float32)
    failures: dict[int, str] = {}
    for index_B, frame_BVTCHW in _batches(memory.items(dataset), failures):
        batch, views = frame_BVTCHW.shape[:2]
        clip_BCTHW = normalised_clip(frame_BVTCHW.flatten(0, 1), card.mean, card.std)
        pooled = encoder.encode(clip_BCTHW).token_BND.mean(1).reshape(batch, views, -1).mean(1)
        feature_SD[index_B] = pooled.float().numpy()
        report(max(index_B) + 1, len(dataset))
    return SplitFeatures(feature_SD, failures)


def _batches(items: Iterator[tuple[int, Tensor | str]], failures: dict[int, str]) -> Iterator[tuple[list[int], Tensor]]:
    """Decoded samples in groups of equal size; failures are noted, never replaced."""
    indices: list[int] = []
    clips: list[Tensor] = []
    for index, result in items:
        if isinstance(result, str):
            failures[index] = result
        else:
            indices.append(index)
            clips.append(result)
        if indices and len(indices) * len(clips[0]) >= BATCH_CLIPS:
            yield indices, torch.stack(clips)
            indices, clips = [], []
    if indices:
        yield indices, torch.stack(clips)
