"""segmentation: unsupervised video object segmentation by clustering frozen tube features (SIGMA table 5).

The protocol is TimeTuning's (arXiv 2308.11796), which SIGMA follows: a few frames of a sequence, tube features
standardised and reduced by PCA, upsampled to pixels, one FAISS k-means per clip, clusters matched to instance
masks.  A tubelet's cluster map serves all of its frames; k-means runs on the maps, not on the repeated frames.

A *piece* is what shares its feature statistics (a clip, a batch of clips, the dataset), and one process does it.  A
*unit* is what shares one k-means and one matching (a frame, a clip, the dataset), and lies inside a piece.

Shapes: S clips, T frames, T' maps, H W pixels, h w token rows and columns, D width, G labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np

from sigma_bench.data.decoder import DecodeError
from sigma_bench.data.manifest import Split
from sigma_bench.data.sequences import MaskedSequence
from sigma_bench.metrics.segmentation import VOID, LabelCounts, all_background, label_counts, mean_iou, oracle_tubes
from sigma_bench.protocols.contract import Evaluation, Predictions
from sigma_bench.protocols.segmentation.pixel_clusters import cluster_maps, position_clusters, reduce_maps, standardised
from sigma_bench.protocols.segmentation.spec import SegmentationProtocol
from sigma_bench.protocols.token_maps import frame_indices, token_maps, window_slots
from sigma_bench.specs.clip import SequenceClip
from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.training.processes import shared


class Piece(NamedTuple):
    """Clips that share their feature statistics: one draw of these sequences."""

    draw: int
    sequences: range


@dataclass
class SegmentedClip:
    """One draw of frames from one sequence, what was found in it, and how well that fits its masks."""

    sequence: str
    draw: int
    index_T: np.ndarray
    truth_THW: np.ndarray
    cluster_THW: np.ndarray
    scores: dict[str, float] = field(default_factory=dict)
    """Mean IoU of the clusters (``miou``) and of the controls, over the units of the clip; empty for pool dataset."""
    counts: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
    """Hit, true and claimed pixels of every label, (G,) each; for pool dataset."""


class Segmented(NamedTuple):
    """What one piece gave."""

    clips: list[SegmentedClip]
    controls: dict[str, float]
    """Of the whole piece, for pool dataset; else each clip has its own."""


def run(evaluation: Evaluation[SegmentationProtocol]) -> Predictions | None:
    """Segment every sequence; each process takes its share of the encoding, then of the clustering.

    Raises:
        ValueError: what ``token_maps`` raises, more clusters than points, or a unit with nothing but void.
    """
    protocol, (split,) = evaluation.protocol, evaluation.splits
    try:
        maps = [token_maps(evaluation, one) for one in evaluation.passes]
        draws = [one.clip for one in evaluation.passes if isinstance(one.clip, SequenceClip)]
        work = partial(_segment_piece, split, maps, draws, protocol, evaluation.encoder.card, evaluation.seed)
        pieces = _pieces(protocol, len(split.samples))
        done = shared(evaluation.world, pieces, work, lambda at, total: evaluation.report("segmentation", at, total))
    except DecodeError as error:
        raise ValueError(
            f"task '{evaluation.task.task}': a sequence cannot be read and every one must count: {error}"
        ) from error
    return _predictions(done, protocol, split) if evaluation.world.is_main else None


def _pieces(protocol: SegmentationProtocol, num_sequences: int) -> list[Piece]:
    step = {"clip": 1, "batch": protocol.batch_clips, "dataset": num_sequences}[protocol.feature_scope]
    return [
        Piece(draw, range(start, min(start + step, num_sequences)))
        for draw in range(protocol.num_draws)
        for start in range(0, num_sequences, step)
    ]


def _segment_piece(
    split: Split,
    maps: Sequence[np.ndarray],
    draws: Sequence[SequenceClip],
    protocol: SegmentationProtocol,
    card: EncoderCard,
    seed: int,
    piece: Piece,
) -> Segmented:
    size = card.image_size if protocol.evaluation_size == "encoder" else protocol.evaluation_size
    token_SThwD = maps[piece.draw]
    num_slots = token_SThwD.shape[1]
    grid = (num_slots, token_SThwD.shape[2], token_SThwD.shape[3])
    windows = window_slots(protocol.num_frames, num_slots, card)
    reduced = reduced_clips([token_SThwD[index] for index in piece.sequences], windows, protocol)
    clips = []
    for index in piece.sequences:
        sample = split.samples[index]
        sequence = MaskedSequence(sample, instances=protocol.labels == "instances")
        index_T = frame_indices(sample, len(sequence), draws[piece.draw])
        truth_THW = sequence.squashed_masks(index_T.tolist(), size)
        clips.append(SegmentedClip(sample.id, piece.draw, index_T, truth_THW, np.zeros_like(truth_THW)))
    if protocol.pool == "dataset":
        return _as_one_unit(clips, reduced, grid, protocol, seed=seed)
    for clip, map_Thwd in zip(clips, reduced, strict=True):
        _clip_or_frames(clip, map_Thwd, grid, protocol, seed=seed)
    return Segmented(clips, {})


def reduced_clips(
    token_ThwD: Sequence[np.ndarray], windows: Sequence[slice], protocol: SegmentationProtocol
) -> list[np.ndarray]:
    """Features of the clips of one piece, (T', h, w, d) each: standardised and reduced over all of them."""
    if protocol.window_statistics == "own" and len(windows) > 1:
        token_ThwD = [
            np.concatenate([standardised(clip[window].astype(np.float32)) for window in windows]) for clip in token_ThwD
        ]
    flat = reduce_maps([one for clip in token_ThwD for one in clip], protocol.pca_dimensions)
    num_slots = len(token_ThwD[0])
    return [np.stack(flat[start : start + num_slots]) for start in range(0, len(flat), num_slots)]


def _clip_or_frames(
    clip: SegmentedClip,
    map_Thwd: np.ndarray,
    grid: tuple[int, int, int],
    protocol: SegmentationProtocol,
    *,
    seed: int,
) -> None:
    """Fill in clusters and scores of a clip, whose units are its frames or itself."""
    num_frames = len(clip.truth_THW)
    per_slot = num_frames // len(map_Thwd)
    step = 1 if protocol.pool == "frame" else num_frames
    oracle_THW = oracle_tubes(clip.truth_THW, grid)
    of_units = []
    for start in range(0, num_frames, step):
        frames = slice(start, start + step)
        unit = list(map_Thwd[start // per_slot : (start + step - 1) // per_slot + 1])
        try:
            found_THW, scores = _unit([unit], [clip.truth_THW[frames]], [oracle_THW[frames]], grid, protocol, seed=seed)
        except ValueError as error:
            raise ValueError(f"sequence '{clip.sequence}', frames {clip.index_T[frames].tolist()}: {error}") from error
        clip.cluster_THW[frames] = found_THW[0]
        of_units.append({name: mean_iou(counts, protocol.background_counts) for name, counts in scores.items()})
    clip.scores = {name: float(np.mean([unit[name] for unit in of_units])) for name in of_units[0]}


def _as_one_unit(
    clips: list[SegmentedClip],
    reduced: Sequence[np.ndarray],
    grid: tuple[int, int, int],
    protocol: SegmentationProtocol,
    *,
    seed: int,
) -> Segmented:
    """Fill in clusters and pixel counts of clips that share one k-means and one matching."""
    truths = [clip.truth_THW for clip in clips]
    oracles = [oracle_tubes(truth_THW, grid) for truth_THW in truths]
    found, scores = _unit([list(map_Thwd) for map_Thwd in reduced], truths, oracles, grid, protocol, seed=seed)
    own = scores.pop("miou")
    for number, (clip, cluster_THW) in enumerate(zip(clips, found, strict=True)):
        clip.cluster_THW = cluster_THW
        clip.counts = (own.hit_SG[number], own.true_SG[number], own.claimed_SG[number])
    return Segmented(clips, {name: mean_iou(counts, protocol.background_counts) for name, counts in scores.items()})


def _unit(
    map_hwd: Sequence[Sequence[np.ndarray]],
    truths: Sequence[np.ndarray],
    oracles: Sequence[np.ndarray],
    grid: tuple[int, int, int],
    protocol: SegmentationProtocol,
    *,
    seed: int,
) -> tuple[list[np.ndarray], dict[str, LabelCounts]]:
    """Clusters of the clips of one unit, (T, H, W) each; pixel counts of them, of the floors and of the ceiling."""
    size = truths[0].shape[-1]
    num_clusters = _labels_present(truths) if protocol.clusters == "labels_present" else protocol.clusters
    flat = cluster_maps([one for clip in map_hwd for one in clip], num_clusters, size, protocol, seed=seed)
    found, start = [], 0
    for clip, truth_THW in zip(map_hwd, truths, strict=True):
        cluster_THW = flat[start : start + len(clip)]
        found.append(cluster_THW.repeat(len(truth_THW) // len(clip), axis=0))
        start += len(clip)
    position_HW = position_clusters(size, num_clusters, protocol, seed=seed)
    candidates: dict[str, Sequence[np.ndarray]] = {
        "miou": found,
        "all_background": [all_background(truth_THW) for truth_THW in truths],
        "position_kmeans": [np.broadcast_to(position_HW, truth_THW.shape) for truth_THW in truths],
        f"oracle_tubes_{'x'.join(map(str, grid))}": oracles,
    }
    return found, {name: label_counts(truths, maps, protocol.matching) for name, maps in candidates.items()}


def _labels_present(truths: Sequence[np.ndarray]) -> int:
    """How many labels a unit shows, void apart; 1 where it is void only, which cannot be scored and is told there."""
    return max(1, len(set().union(*(np.unique(truth).tolist() for truth in truths)) - {VOID}))


def _predictions(done: Sequence[Segmented], protocol: SegmentationProtocol, split: Split) -> Predictions:
    place = {name: number for number, name in enumerate(split.ids)}
    clips = sorted((clip for piece in done for clip in piece.clips), key=lambda clip: (place[clip.sequence], clip.draw))
    arrays = {
        "ids": np.array([f"{clip.sequence}#{clip.draw}" for clip in clips]),
        "groups": np.array([clip.sequence for clip in clips]),
        "repetition": np.array([clip.draw for clip in clips]),
        "frame_index": np.stack([clip.index_T for clip in clips]),
        "clusters": np.stack([clip.cluster_THW for clip in clips]),
        "truth": np.stack([clip.truth_THW for clip in clips]),
    }
    if protocol.pool == "dataset":
        arrays |= _stacked_counts(clips, background_counts=protocol.background_counts)
        controls = _means([piece.controls for piece in done])
    else:
        controls = _means([clip.scores for clip in clips])
        arrays["miou"] = np.array([clip.scores["miou"] for clip in clips])
        del controls["miou"]
    controls["void_share"] = float((arrays["truth"] == VOID).mean())
    return Predictions(arrays, len(split.samples), controls=controls)


def _stacked_counts(clips: Sequence[SegmentedClip], *, background_counts: bool) -> dict[str, np.ndarray]:
    """Pixels per clip and label, (S, G): from them the mean IoU of any set of clips follows."""
    stacked = {}
    for part, name in enumerate(("hit", "true", "claimed")):
        rows = [clip.counts[part] for clip in clips if clip.counts]
        width = max(map(len, rows))
        stacked[name] = np.stack([np.pad(row, (0, width - len(row))) for row in rows])
    return stacked if background_counts else {name: rows[:, 1:] for name, rows in stacked.items()}


def _means(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
