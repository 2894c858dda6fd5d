"""Token maps of masked sequences: one frozen pass per split and draw of frames, kept in the feature cache.

The clustering and the overclustering of one dataset want the same maps, so they share a pass; so do frame-wise and
clip-wise pools, other numbers of clusters, and any other key that does not change a feature.

Shapes: S sequences, T frames, T' tubelets, h w token rows and columns, D width.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sigma_bench.data.manifest import Sample, Split
from sigma_bench.data.sequences import MaskedSequence, drawn_indices
from sigma_bench.data.transforms import normalised_clip
from sigma_bench.models.contract import encoded
from sigma_bench.models.encoder import Encoder
from sigma_bench.protocols.block_store import ArrayLayout, BlockStore
from sigma_bench.protocols.contract import Evaluation
from sigma_bench.protocols.features import FeatureCache
from sigma_bench.specs.clip import SequenceClip
from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.specs.passes import Pass
from sigma_bench.training.processes import on_main, shared


def token_maps(evaluation: Evaluation[Any], one: Pass) -> np.ndarray:
    """Maps of one pass over every sequence, (S, T', h, w, D) float16, mapped into memory.

    Raises:
        ValueError: frames that do not divide into tubelets, features that are no finite maps, a sequence that cannot be
            read, or no room in the cache.
    """
    encoder, clip, split = evaluation.encoder, one.clip, evaluation.split(one)
    assert isinstance(clip, SequenceClip)
    card = encoder.card
    grid = _grid(encoder, clip.num_frames)
    if clip.num_frames % grid[0]:
        raise ValueError(
            f"task '{evaluation.task.task}': {clip.num_frames} frames do not divide into the {grid[0]} maps that model "
            f"'{card.model}' makes of them"
        )
    store = _store(evaluation.cache, card, split, one, grid)
    missing = on_main(evaluation.world, partial(_missing, evaluation.cache, store))

    def fill(block: range) -> None:
        (index,) = block
        sample = split.samples[index]
        sequence = MaskedSequence(sample)
        index_T = frame_indices(sample, len(sequence), clip)
        frame_TCHW = sequence.squashed_frames(index_T.tolist(), card.image_size)
        map_ThwD = encode_windows(encoder, frame_TCHW, what=f"sequence '{sample.id}'")
        store.write(block, {"token": map_ThwD[None]}, {})

    name = f"token maps of {split.name}"
    shared(evaluation.world, missing, fill, lambda done, total: evaluation.report(name, done, total))
    return store.read("token")


def num_missing_maps(cache: FeatureCache, encoder: Encoder, split: Split, one: Pass) -> int:
    """Number of sequences of a pass whose maps are not in the cache; ValueError as ``token_maps``."""
    assert isinstance(one.clip, SequenceClip)
    store = _store(cache, encoder.card, split, one, _grid(encoder, one.clip.num_frames))
    return sum(map(len, store.unwritten()))


def frame_indices(sample: Sample, sequence_frames: int, clip: SequenceClip) -> np.ndarray:
    """Frames of one draw, (T,); they depend on seed, sequence and its number, not on order or processes."""
    rng = np.random.default_rng([clip.seed or 0, clip.draw, *sample.id.encode()])
    return drawn_indices(clip.frame_draw, sequence_frames, clip.num_frames, rng)


def encode_windows(encoder: Encoder, frame_TCHW: Tensor, *, what: str) -> np.ndarray:
    """Maps of one clip, (T', h, w, D) float16; a clip longer than the encoder's is encoded window by window.

    Raises:
        ValueError: as ``checked_maps``, or a number too large for half precision.
    """
    card = encoder.card
    windows = frame_TCHW.split(card.num_frames)
    maps = [
        checked_maps(encoder, normalised_clip(window[None], card.mean, card.std), what=what)[0] for window in windows
    ]
    half = torch.cat(maps).half()
    if not bool(torch.isfinite(half).all()):
        raise ValueError(f"model '{card.model}' gives features too large for half precision for {what}")
    return half.cpu().numpy()


def checked_maps(encoder: Encoder, clip_BCTHW: Tensor, *, what: str) -> Tensor:
    """Maps (B, T', h, w, D) of normalised clips.

    Raises:
        ValueError: tokens that do not fill their grid or have another width than the card says, or are not finite.
    """
    features, card = encoded(encoder, clip_BCTHW), encoder.card
    expected = (len(clip_BCTHW), int(np.prod(features.grid)), card.feature_width)
    if tuple(features.token_BND.shape) != expected:
        raise ValueError(
            f"model '{card.model}' gives tokens of shape {tuple(features.token_BND.shape)} for {what}, but its grid "
            f"{features.grid} and the width on its card ask for {expected}"
        )
    if not bool(torch.isfinite(features.token_BND).all()):
        raise ValueError(f"model '{card.model}' gives features that are not finite for {what}")
    return features.token_BND.reshape(len(clip_BCTHW), *features.grid, -1)


def window_slots(num_frames: int, num_slots: int, card: EncoderCard) -> list[slice]:
    """The maps that each window of a clip made."""
    frames_per_slot = num_frames // num_slots
    starts = range(0, num_frames, card.num_frames)
    return [
        slice(start // frames_per_slot, min(start + card.num_frames, num_frames) // frames_per_slot) for start in starts
    ]


def _missing(cache: FeatureCache, store: BlockStore) -> list[range]:
    """Blocks that have to be filled; ValueError when there is no room for them."""
    missing = store.missing()
    if missing:
        cache.require_room(store)
    return missing


def _grid(encoder: Encoder, num_frames: int) -> tuple[int, int, int]:
    """Maps, rows and columns of a whole clip, found by encoding a grey one."""
    size, card = encoder.card.image_size, encoder.card
    if num_frames % card.tubelet_frames:
        raise ValueError(
            f"clips of {num_frames} frames do not divide into the tubelets of model '{card.model}' "
            f"({card.tubelet_frames} frames)"
        )
    grey_TCHW = torch.full((num_frames, 3, size, size), 128, dtype=torch.uint8)
    slots, rows, columns, _ = encode_windows(encoder, grey_TCHW, what="a grey clip").shape
    return slots, rows, columns


def _store(cache: FeatureCache, card: EncoderCard, split: Split, one: Pass, grid: Sequence[int]) -> BlockStore:
    clip = one.clip
    assert isinstance(clip, SequenceClip)
    draw = "" if clip.seed is None else f", draw {clip.draw}"
    description = {
        "model": card.model,
        "split": split.name,
        "samples": len(split.samples),
        "from": str(split.samples[0].path.parent),
        "maps": f"{clip.num_frames} frames, {clip.frame_draw}{draw}",
    }
    layout = {"token": ArrayLayout((*grid, card.feature_width), "float16")}
    return BlockStore(cache.root / cache.key(card, split, one), len(split.samples), 1, layout, description)
