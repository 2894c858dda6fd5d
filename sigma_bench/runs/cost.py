"""What a task will ask of the encoder, counted before anything runs.

Decoding is not counted, nor what a protocol does with features.
"""

import time

import torch

from sigma_bench.data.images import FrameFolderDecoder
from sigma_bench.data.manifest import Manifest, Split
from sigma_bench.models.encoder import Encoder
from sigma_bench.protocols.features import FeatureCache
from sigma_bench.protocols.job import runner
from sigma_bench.protocols.token_maps import missing_maps
from sigma_bench.specs.counting import CountingInference, CountingProtocol
from sigma_bench.specs.frozen import (
    AttentiveProtocol,
    ClusteringProtocol,
    HeadGridProtocol,
    NeighbourProtocol,
    TaughtProtocol,
)
from sigma_bench.specs.propagation import PropagationProtocol
from sigma_bench.specs.segmentation import SegmentationProtocol
from sigma_bench.specs.supervised import SupervisedProtocol
from sigma_bench.specs.task import ResolvedTask

TRAINED = 3
"""Forward passes that a training step on a clip is worth: backward is twice forward."""
TIMED_CLIPS = 2
Passes = dict[str, int]
"""Clips by name of the pass over them: tasks that name the same pass share it."""


def passes_of(task: ResolvedTask, manifest: Manifest, encoder: Encoder, cache: FeatureCache, *, seed: int) -> Passes:
    """What a task sends through the encoder; nothing where its features are all there."""
    protocol, used = task.protocol, runner(task).splits(manifest, task)
    scored = used[-1].samples
    if isinstance(protocol, NeighbourProtocol | HeadGridProtocol | ClusteringProtocol):
        tokens = isinstance(protocol, AttentiveProtocol)
        asked = protocol.asked_clip if isinstance(protocol, TaughtProtocol) else protocol.clip
        passes = [*((split, protocol.clip) for split in used[:-1] or used), (used[-1], asked)]
        return {
            cache.key(encoder.card, split, clip): _num_found(split) * clip.num_views
            for split, clip in passes
            if not cache.is_complete(encoder, split, clip, tokens=tokens)
        }
    if isinstance(protocol, SegmentationProtocol):
        windows = -(-protocol.num_frames // encoder.card.num_frames)
        draws = [
            missing_maps(cache, encoder, used[-1], protocol, draw=draw, seed=seed) for draw in range(protocol.num_draws)
        ]
        return {name: missing * windows for name, missing in draws if missing}
    if isinstance(protocol, PropagationProtocol):
        return {task.task: sum(len(FrameFolderDecoder(sample.path)) for sample in scored)}
    if isinstance(protocol, CountingProtocol):
        training, learned = protocol.training, _num_found(used[0])
        steps = learned * training.segments_per_video * training.epochs * training.rollout_steps
        return {task.task: TRAINED * steps + looks(protocol.inference) * _num_found(used[-1])}
    assert isinstance(protocol, SupervisedProtocol)
    optim, folds = protocol.optim, len({sample.group for sample in scored}) if len(used) == 1 else 1
    examples = _num_found(used[0]) * optim.epochs * protocol.augmentation.repeats * folds
    tests = 1 + len(protocol.earlier_tests)
    return {task.task: TRAINED * examples + _num_found(used[-1]) * protocol.views.num_views * tests}


def _num_found(split: Split) -> int:
    """Samples whose files exist."""
    return len(split.samples) - len(split.missing)


def looks(inference: CountingInference) -> int:
    """Clips that counting shows the network per video."""
    levels = sum(passes * 2 ** (level + 1) for level, passes in enumerate(inference.passes_per_level))
    return inference.num_scales + inference.refinements + levels


def seconds_per_clip(encoder: Encoder) -> float:
    """Time for one clip on this machine, from a few after one to warm up."""
    card = encoder.card
    clip_BCTHW = torch.zeros(TIMED_CLIPS, 3, card.num_frames, card.image_size, card.image_size)
    encoder.encode(clip_BCTHW).token_BND.cpu()
    started = time.monotonic()
    encoder.encode(clip_BCTHW).token_BND.cpu()
    return (time.monotonic() - started) / TIMED_CLIPS
