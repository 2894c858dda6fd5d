"""What a task will ask of the encoder, counted before anything runs.

A clip that is trained on counts three times (forward, and backward for twice the work); decoding is not counted.
"""

import time

import torch

from sigma_bench.data.manifest import Manifest
from sigma_bench.models.encoder import Encoder
from sigma_bench.protocols.features import FeatureCache
from sigma_bench.protocols.job import runner
from sigma_bench.specs.frozen import KnnProtocol, LinearProtocol
from sigma_bench.specs.segmentation import SegmentationProtocol
from sigma_bench.specs.task import ResolvedTask

TIMED_CLIPS = 2


Passes = dict[str, int]
"""Clips by name of the pass over them: tasks that name the same pass share it."""


def passes_of(task: ResolvedTask, manifest: Manifest, encoder: Encoder, cache: FeatureCache) -> Passes:
    """What a task sends through the encoder; nothing where its features are all there."""
    protocol, used = task.protocol, runner(task).splits(manifest, task)
    if isinstance(protocol, KnnProtocol | LinearProtocol):
        views = protocol.clip.sampling.num_views
        return {
            cache.key(encoder.card, split, protocol.clip): len(split.samples) * views
            for split in used
            if not cache.is_complete(encoder.card, split, protocol.clip)
        }
    assert isinstance(protocol, SegmentationProtocol)
    windows = -(-protocol.num_frames // encoder.card.num_frames)
    return {task.task: len(used[-1].samples) * protocol.num_draws * windows}


def seconds_per_clip(encoder: Encoder) -> float:
    """Time for one clip on this machine, from a few after one to warm up."""
    card = encoder.card
    clip_BCTHW = torch.zeros(TIMED_CLIPS, 3, card.num_frames, card.image_size, card.image_size)
    encoder.encode(clip_BCTHW)
    started = time.monotonic()
    encoder.encode(clip_BCTHW).token_BND.cpu()
    return (time.monotonic() - started) / TIMED_CLIPS
