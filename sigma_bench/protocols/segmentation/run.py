"""segmentation: unsupervised video object segmentation by clustering frozen tube features (SIGMA table 5).

SIGMA follows the protocol of TimeTuning (arXiv 2308.11796): tube features of a few frames of a sequence are
standardised, reduced by PCA and upsampled to pixels, clustered by one FAISS k-means per clip, and clusters are matched
to instance masks.  All frames of a tubelet have the same cluster map; k-means runs on the maps, not on the repeated
frames.

A *feature scope* is a set of clips that are standardised and reduced together (a clip, a batch of clips, the dataset);
one process computes it.  A *unit* is a set of frames that share one k-means and one matching (a frame, a clip, the
dataset) and is part of one feature scope.

Shapes: S clips, T frames, T' maps, H W pixels, h w token rows and columns, D width, d reduced width, G labels.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np
import torch

from sigma_bench.data.manifest import Split
from sigma_bench.data.sequences import MaskedSequence
from sigma_bench.metrics.segmentation import VOID, LabelCounts, all_background, label_counts, mean_iou, oracle_tubes
from sigma_bench.protocols.interface import Evaluation, HeadSizes, Predictions, every_sequence_counts
from sigma_bench.protocols.segmentation.pixel_clusters import cluster_maps, position_clusters, reduce_maps, standardised
from sigma_bench.protocols.segmentation.spec import SegmentationProtocol
from sigma_bench.protocols.token_maps import frame_indices, token_maps, window_slots
from sigma_bench.specs.clip import SequenceClip
from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.training.processes import shared
from sigma_bench.training.threads import on_threads

MEASURED_CLUSTERS = 3
"""Number of clusters from which time is predicted if every clip has a number of its own."""


class FeatureScope(NamedTuple):
    """Clips that are standardised and reduced together: one draw of some sequences."""

    draw: int
    sequences: range


@dataclass
class SegmentedClip:
    """One draw of frames of a sequence, with its clusters and their scores."""

    sequence: str
    draw: int
    index_T: np.ndarray
    truth_THW: np.ndarray
    cluster_THW: np.ndarray
    scores: dict[str, float] = field(default_factory=dict)
    """Mean IoU of the clusters (``miou``) and of the controls over the units of the clip; empty for pool 'dataset'."""
    counts: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
    """Pixels of intersection, ground truth and prediction of every label, (G,) each; only for pool 'dataset'."""


class SegmentedScope(NamedTuple):
    """Results of one feature scope."""

    clips: list[SegmentedClip]
    controls: dict[str, float]
    """Controls of the whole scope for pool 'dataset'; otherwise empty, since each clip has its controls."""


def run(evaluation: Evaluation[SegmentationProtocol]) -> Predictions | None:
    """Segment every sequence; the encoding and then the clustering are divided among all processes.

    Raises:
        ValueError: as ``token_maps``, more clusters than points, or a unit with void pixels only.
    """
    protocol, (split,) = evaluation.protocol, evaluation.splits
    with every_sequence_counts(evaluation.task):
        maps = [token_maps(evaluation, pass_) for pass_ in evaluation.passes]
        draws = [pass_.clip for pass_ in evaluation.passes if isinstance(pass_.clip, SequenceClip)]
        work = partial(_segment_scope, split, maps, draws, protocol, evaluation.encoder.card, evaluation.seed)
        scopes = _feature_scopes(protocol, len(split.samples))
        done = shared(
            evaluation.processes,
            scopes,
            work,
            lambda at, total: evaluation.report("segmentation", at, total),
            use_threads=True,
        )
    return _predictions(done, protocol, split) if evaluation.processes.is_main else None


def head_seconds(protocol: SegmentationProtocol, sizes: HeadSizes) -> float | None:
    """Predicted time of the clustering of all sequences by one process, from a clip of random features per thread.

    The scores of clusters and controls are not part of it.  None if clips do not have clusters of their own.
    """
    if protocol.pool == "dataset":
        return None
    slots, *side = sizes.token_grid
    num_maps = max(1, protocol.num_frames * slots // sizes.num_frames)
    token_ThwD = np.random.default_rng(0).standard_normal((num_maps, *side, sizes.feature_width), np.float32)
    size = sizes.image_size if protocol.evaluation_size == "encoder" else protocol.evaluation_size
    num_clusters = MEASURED_CLUSTERS if protocol.clusters == "labels_present" else protocol.clusters

    def segment(seed: int) -> None:
        (map_Thwd,) = reduced_clips([token_ThwD], [slice(None)], protocol)
        by_frame = map_Thwd.repeat(protocol.num_frames // num_maps, 0)[:, None]
        for unit in [map_Thwd] if protocol.pool == "clip" else by_frame:
            cluster_maps(list(unit), num_clusters, size, protocol, seed=seed)

    num_threads = torch.get_num_threads()
    started = time.perf_counter()
    list(on_threads(segment, range(num_threads)))
    return (time.perf_counter() - started) * sizes.num_test * protocol.num_draws / num_threads


def _feature_scopes(protocol: SegmentationProtocol, num_sequences: int) -> list[FeatureScope]:
    step = {"clip": 1, "batch": protocol.batch_clips, "dataset": num_sequences}[protocol.feature_scope]
    return [
        FeatureScope(draw, range(start, min(start + step, num_sequences)))
        for draw in range(protocol.num_draws)
        for start in range(0, num_sequences, step)
    ]


def _segment_scope(
    split: Split,
    maps: Sequence[np.ndarray],
    draws: Sequence[SequenceClip],
    protocol: SegmentationProtocol,
    card: EncoderCard,
    seed: int,
    scope: FeatureScope,
) -> SegmentedScope:
    size = card.image_size if protocol.evaluation_size == "encoder" else protocol.evaluation_size
    token_SThwD = maps[scope.draw]
    num_slots = token_SThwD.shape[1]
    grid = (num_slots, token_SThwD.shape[2], token_SThwD.shape[3])
    windows = window_slots(protocol.num_frames, num_slots, card)
    reduced = reduced_clips([token_SThwD[index] for index in scope.sequences], windows, protocol)
    clips = []
    for index in scope.sequences:
        sample = split.samples[index]
        sequence = MaskedSequence(sample, instances=protocol.labels == "instances")
        index_T = frame_indices(sample, len(sequence), draws[scope.draw])
        truth_THW = sequence.squashed_masks(index_T.tolist(), size)
        clips.append(SegmentedClip(sample.id, scope.draw, index_T, truth_THW, np.zeros_like(truth_THW)))
    if protocol.pool == "dataset":
        return _as_one_unit(clips, reduced, grid, protocol, seed=seed)
    for clip, map_Thwd in zip(clips, reduced, strict=True):
        _clip_or_frames(clip, map_Thwd, grid, protocol, seed=seed)
    return SegmentedScope(clips, {})


def reduced_clips(
    token_ThwD: Sequence[np.ndarray], windows: Sequence[slice], protocol: SegmentationProtocol
) -> list[np.ndarray]:
    """Features of the clips of one feature scope, (T', h, w, d) each, standardised and reduced together."""
    if protocol.window_statistics == "own" and len(windows) > 1:
        token_ThwD = [
            np.concatenate([standardised(clip[window].astype(np.float32)) for window in windows]) for clip in token_ThwD
        ]
    flat = reduce_maps([map_hwD for clip in token_ThwD for map_hwD in clip], protocol.pca_dimensions)
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
    """Fill in clusters and scores of a clip whose units are its single frames or the whole clip."""
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
) -> SegmentedScope:
    """Fill in clusters and pixel counts of clips that share one k-means and one matching."""
    truths = [clip.truth_THW for clip in clips]
    oracles = [oracle_tubes(truth_THW, grid) for truth_THW in truths]
    found, scores = _unit([list(map_Thwd) for map_Thwd in reduced], truths, oracles, grid, protocol, seed=seed)
    of_clusters = scores.pop("miou")
    for number, (clip, cluster_THW) in enumerate(zip(clips, found, strict=True)):
        clip.cluster_THW = cluster_THW
        clip.counts = (of_clusters.hit_SG[number], of_clusters.true_SG[number], of_clusters.claimed_SG[number])
    return SegmentedScope(
        clips, {name: mean_iou(counts, protocol.background_counts) for name, counts in scores.items()}
    )


def _unit(
    map_hwd: Sequence[Sequence[np.ndarray]],
    truths: Sequence[np.ndarray],
    oracles: Sequence[np.ndarray],
    grid: tuple[int, int, int],
    protocol: SegmentationProtocol,
    *,
    seed: int,
) -> tuple[list[np.ndarray], dict[str, LabelCounts]]:
    """Clusters of the clips of one unit, (T, H, W) each, and pixel counts of the clusters and of the controls."""
    size = truths[0].shape[-1]
    num_clusters = _labels_present(truths) if protocol.clusters == "labels_present" else protocol.clusters
    flat = cluster_maps([one_hwd for clip in map_hwd for one_hwd in clip], num_clusters, size, protocol, seed=seed)
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
    """Number of labels in a unit without void; 1 for a unit of void only, for which scoring raises an error later."""
    return max(1, len(set().union(*(np.unique(truth).tolist() for truth in truths)) - {VOID}))


def _predictions(done: Sequence[SegmentedScope], protocol: SegmentationProtocol, split: Split) -> Predictions:
    place = {name: number for number, name in enumerate(split.ids)}
    group_of = {sample.id: sample.group for sample in split.samples}
    clips = sorted((clip for scope in done for clip in scope.clips), key=lambda clip: (place[clip.sequence], clip.draw))
    arrays = {
        "ids": np.array([f"{clip.sequence}#{clip.draw}" for clip in clips]),
        "groups": np.array([group_of[clip.sequence] for clip in clips]),
        "repetition": np.array([clip.draw for clip in clips]),
        "frame_index": np.stack([clip.index_T for clip in clips]),
        "clusters": np.stack([clip.cluster_THW for clip in clips]),
        "truth": np.stack([clip.truth_THW for clip in clips]),
    }
    if protocol.pool == "dataset":
        arrays |= _stacked_counts(clips, background_counts=protocol.background_counts)
        controls = _means([scope.controls for scope in done])
    else:
        controls = _means([clip.scores for clip in clips])
        arrays["miou"] = np.array([clip.scores["miou"] for clip in clips])
        del controls["miou"]
    controls["void_share"] = float((arrays["truth"] == VOID).mean())
    return Predictions(arrays, len(split.samples), controls=controls)


def _stacked_counts(clips: Sequence[SegmentedClip], *, background_counts: bool) -> dict[str, np.ndarray]:
    """Pixel counts per clip and label, (S, G), from which the mean IoU of any set of clips can be computed."""
    stacked = {}
    for part, name in enumerate(("hit", "true", "claimed")):
        rows = [clip.counts[part] for clip in clips if clip.counts]
        width = max(map(len, rows))
        stacked[name] = np.stack([np.pad(row, (0, width - len(row))) for row in rows])
    return stacked if background_counts else {name: rows[:, 1:] for name, rows in stacked.items()}


def _means(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
