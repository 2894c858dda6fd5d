"""Token maps of masked sequences: one pass of the frozen encoder per split and draw of frames, in the feature cache.

Tasks whose protocols differ only in keys that do not change a feature, such as clustering and overclustering of one
dataset, share a pass.

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
from sigma_bench.models.encoder import Encoder
from sigma_bench.models.encoder_output import encoded
from sigma_bench.protocols.block_store import ArrayLayout, BlockStore
from sigma_bench.protocols.feature_cache import FeatureCache
from sigma_bench.protocols.interface import Evaluation
from sigma_bench.specs.clip import SequenceClip
from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.specs.passes import Pass, Precision
from sigma_bench.training.processes import on_main, shared


def token_maps(evaluation: Evaluation[Any], pass_: Pass) -> np.ndarray:
    """Maps of all sequences of a pass, (S, T', h, w, D) float16, memory-mapped; all processes call this.

    Raises:
        ValueError: frames do not divide into tubelets, features are not finite or do not fill their grid, a sequence
            cannot be read, or the cache has no room.
    """
    encoder, clip, split = evaluation.encoder, pass_.clip, evaluation.split(pass_)
    assert isinstance(clip, SequenceClip)
    card = encoder.card
    grid = _grid(encoder, clip.num_frames)
    store = _store(evaluation.cache, card, split, pass_, grid)
    missing = on_main(evaluation.processes, partial(_missing, evaluation.cache, store))

    def fill(block: range) -> None:
        (index,) = block
        sample = split.samples[index]
        sequence = MaskedSequence(sample)
        index_T = frame_indices(sample, len(sequence), clip)
        frame_TCHW = sequence.squashed_frames(index_T.tolist(), card.image_size)
        map_ThwD = encode_windows(encoder, frame_TCHW, pass_.precision, what=f"sequence '{sample.id}'")
        store.write(block, {"token": map_ThwD[None]}, {})

    name = f"token maps of {split.name}"
    shared(evaluation.processes, missing, fill, lambda done, total: evaluation.report(name, done, total))
    return store.read("token")


def num_missing_maps(cache: FeatureCache, encoder: Encoder, split: Split, pass_: Pass) -> int:
    """Number of sequences of a pass whose maps are not in the cache; ValueError as ``token_maps``."""
    assert isinstance(pass_.clip, SequenceClip)
    store = _store(cache, encoder.card, split, pass_, _grid(encoder, pass_.clip.num_frames))
    return sum(map(len, store.unwritten()))


def frame_indices(sample: Sample, sequence_frames: int, clip: SequenceClip) -> np.ndarray:
    """Indices of the frames of one draw, (T,); they depend on seed, draw and sequence id only."""
    rng = np.random.default_rng([clip.seed or 0, clip.draw, *sample.id.encode()])
    return drawn_indices(clip.frame_draw, sequence_frames, clip.num_frames, rng)


def encode_windows(encoder: Encoder, frame_TCHW: Tensor, precision: Precision, *, what: str) -> np.ndarray:
    """Maps of one clip, (T', h, w, D) float16; a clip longer than the encoder's is encoded in windows.

    Args:
        what: name of the clip in error messages.

    Raises:
        ValueError: as ``checked_maps``, or features are too large for half precision.
    """
    card = encoder.card
    windows = frame_TCHW.split(card.num_frames)
    maps = [
        checked_maps(encoder, normalised_clip(window[None], card.mean, card.std), precision, what=what)[0]
        for window in windows
    ]
    half = torch.cat(maps).half()
    if not bool(torch.isfinite(half).all()):
        raise ValueError(f"model '{card.model}' gives features too large for half precision for {what}")
    return half.cpu().numpy()


def checked_maps(encoder: Encoder, clip_BCTHW: Tensor, precision: Precision, *, what: str) -> Tensor:
    """Maps (B, T', h, w, D) of normalised clips; ValueError as ``encoded``, or if they are not finite."""
    features, card = encoded(encoder, clip_BCTHW, precision), encoder.card
    if not bool(torch.isfinite(features.token_BND).all()):
        raise ValueError(f"model '{card.model}' gives features that are not finite for {what}")
    return features.token_BND.reshape(len(clip_BCTHW), *features.grid, -1)


def window_slots(num_frames: int, num_slots: int, card: EncoderCard) -> list[slice]:
    """The time slots of each window of a clip."""
    frames_per_slot = num_frames // num_slots
    starts = range(0, num_frames, card.num_frames)
    return [
        slice(start // frames_per_slot, min(start + card.num_frames, num_frames) // frames_per_slot) for start in starts
    ]


def _missing(cache: FeatureCache, store: BlockStore) -> list[range]:
    """Blocks that have to be filled; ValueError if the cache has no room for them."""
    missing = store.missing()
    if missing:
        cache.require_room(store)
    return missing


def _grid(encoder: Encoder, num_frames: int) -> tuple[int, int, int]:
    """Time slots, rows and columns of a whole clip, found by encoding a grey one."""
    size, card = encoder.card.image_size, encoder.card
    if num_frames % card.tubelet_frames:
        raise ValueError(
            f"clips of {num_frames} frames do not divide into the tubelets of model '{card.model}' "
            f"({card.tubelet_frames} frames)"
        )
    grey_TCHW = torch.full((num_frames, 3, size, size), 128, dtype=torch.uint8)
    slots, rows, columns, _ = encode_windows(encoder, grey_TCHW, "float32", what="a grey clip").shape
    return slots, rows, columns


def _store(cache: FeatureCache, card: EncoderCard, split: Split, pass_: Pass, grid: Sequence[int]) -> BlockStore:
    clip = pass_.clip
    assert isinstance(clip, SequenceClip)
    draw = "" if clip.seed is None else f", draw {clip.draw}"
    layout = {"token": ArrayLayout((*grid, card.feature_width), "float16")}
    maps = f"{clip.num_frames} frames, {clip.frame_draw}{draw}"
    return cache.store(card, split, pass_, block=1, layout=layout, more={"maps": maps})
