"""segmentation: unsupervised video object segmentation by clustering frozen tube features (SIGMA table 5).

The protocol is TimeTuning's (arXiv 2308.11796), which SIGMA follows: a few frames of a sequence, tube features
standardised and reduced by PCA, upsampled to pixels, one FAISS k-means per clip, clusters matched to instance
masks.  A tubelet's cluster map serves both of its frames; k-means runs on the maps, not on the repeated frames.

Shapes: T frames, T' tubelets, H W pixels, h w token rows and columns, D width, d PCA width.
"""

from dataclasses import dataclass

import faiss
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sigma_bench.data.decoder import DecodeError
from sigma_bench.data.manifest import Manifest, Sample, Split
from sigma_bench.data.sampling import random_sorted_indices
from sigma_bench.data.sequences import MaskedSequence
from sigma_bench.data.transforms import normalised_clip
from sigma_bench.metrics.segmentation import VOID, all_background, miou, oracle_tubes
from sigma_bench.models.encoder import Encoder
from sigma_bench.protocols.job import Job, Outcome
from sigma_bench.specs.segmentation import SegmentationProtocol
from sigma_bench.specs.task import ResolvedTask


@dataclass(frozen=True)
class SegmentedClip:
    """One draw of frames from one sequence: which frames, the clusters found, and how well they fit the masks."""

    id: str
    sequence: str
    index_T: np.ndarray
    cluster_THW: np.ndarray
    truth_THW: np.ndarray
    miou: float
    all_background_miou: float
    oracle_tube_miou: float


def splits(manifest: Manifest, task: ResolvedTask) -> tuple[Split, ...]:
    """Nothing is learned: the scored split alone."""
    return (manifest.splits["test"],)


def run(job: Job) -> Outcome | None:
    """Segment every sequence; each process takes its share of them.

    Raises:
        ValueError: frames that do not divide into the encoder's tubelets, or a sequence that cannot be read.
    """
    protocol, split = job.task.protocol, job.manifest.splits["test"]
    assert isinstance(protocol, SegmentationProtocol)
    if protocol.num_frames % job.encoder.card.tubelet_frames:
        raise ValueError(
            f"task '{job.task.task}': {protocol.num_frames} frames do not divide into the encoder's tubelets"
        )
    split.require_present()
    mine: dict[str, list[SegmentedClip]] = {}
    for sample in split.samples[job.world.rank :: job.world.size]:
        try:
            mine[sample.id] = segment_sequence(job.encoder, sample, protocol, seed=job.seed)
        except DecodeError as error:
            raise ValueError(
                f"task '{job.task.task}': a sequence cannot be read and every one must count: {error}"
            ) from error
        job.report("segmentation", min(len(mine) * job.world.size, len(split.samples)), len(split.samples))
    found = {name: clips for part in job.world.gathered(mine) for name, clips in part.items()}
    if not job.world.is_main:
        return None
    return _outcome([clip for name in split.ids for clip in found[name]], len(split.samples))


def _outcome(clips: list[SegmentedClip], num_scored: int) -> Outcome:
    arrays = {
        "ids": np.array([clip.id for clip in clips]),
        "groups": np.array([clip.sequence for clip in clips]),
        "miou": np.array([clip.miou for clip in clips]),
        "frame_index": np.stack([clip.index_T for clip in clips]),
        "clusters": np.stack([clip.cluster_THW for clip in clips]),
        "truth": np.stack([clip.truth_THW for clip in clips]),
    }
    controls = {
        "all_background": float(np.mean([clip.all_background_miou for clip in clips])),
        "oracle_tubes": float(np.mean([clip.oracle_tube_miou for clip in clips])),
    }
    return Outcome(arrays, num_scored, controls=controls)


def segment_sequence(
    encoder: Encoder, sample: Sample, protocol: SegmentationProtocol, *, seed: int
) -> list[SegmentedClip]:
    """All draws of one sequence; DecodeError when a frame or mask cannot be read."""
    clips, sequence = [], MaskedSequence(sample)
    for draw in range(protocol.num_draws):
        # The draw depends on nothing but seed, sequence and its number: any order, any number of processes.
        rng = np.random.default_rng([seed, draw, *sample.id.encode()])
        index_T = random_sorted_indices(len(sequence), protocol.num_frames, rng)
        frame_TCHW, truth_THW = sequence.read(index_T.tolist(), encoder.card.image_size)
        feature_TDhw = encode_frames(encoder, frame_TCHW)
        clusters = _num_clusters(protocol, truth_THW)
        cluster_THW = cluster_pixels(feature_TDhw, clusters, encoder.card.image_size, protocol, seed=seed)
        cluster_THW = cluster_THW.repeat(protocol.num_frames // len(cluster_THW), axis=0)
        tube = (protocol.num_frames // len(feature_TDhw), encoder.card.image_size // feature_TDhw.shape[2])
        scores = score_clip(cluster_THW, truth_THW, tube, protocol)
        clips.append(SegmentedClip(f"{sample.id}#{draw}", sample.id, index_T, cluster_THW, truth_THW, *scores))
    return clips


def encode_frames(encoder: Encoder, frame_TCHW: Tensor) -> Tensor:
    """Token maps of a clip, (T', D, h, w); a clip longer than the encoder's is encoded window by window."""
    card = encoder.card
    maps = []
    for window in frame_TCHW.split(card.num_frames):
        features = encoder.encode(normalised_clip(window[None], card.mean, card.std))
        slots, rows, columns = features.grid
        maps.append(features.token_BND[0].reshape(slots, rows, columns, -1).permute(0, 3, 1, 2))
    return torch.cat(maps)


def cluster_pixels(
    feature_TDhw: Tensor, num_clusters: int, image_size: int, protocol: SegmentationProtocol, *, seed: int
) -> np.ndarray:
    """Cluster of every pixel of every tubelet map, (T', H, W) uint8: standardise, PCA, upsample, k-means."""
    slots, _, rows, columns = feature_TDhw.shape
    token_ND = feature_TDhw.permute(0, 2, 3, 1).flatten(0, 2).float().numpy()
    reduced_Nd = reduce_features(token_ND, protocol.pca_dimensions)
    map_Tdhw = torch.from_numpy(reduced_Nd).reshape(slots, rows, columns, -1).permute(0, 3, 1, 2)
    size = [image_size, image_size]
    pixel_TdHW = F.interpolate(map_Tdhw, size=size, mode="bilinear", align_corners=False)
    pixel_Pd = np.ascontiguousarray(pixel_TdHW.permute(0, 2, 3, 1).flatten(0, 2).numpy())
    kmeans = faiss.Kmeans(
        pixel_Pd.shape[1],
        num_clusters,
        niter=protocol.kmeans_iterations,
        nredo=protocol.kmeans_restarts,
        seed=seed + 1,
        max_points_per_centroid=protocol.kmeans_max_points_per_centroid,
        min_points_per_centroid=1,
    )
    kmeans.train(pixel_Pd)
    cluster_P = kmeans.index.search(pixel_Pd, 1)[1]
    return cluster_P.reshape(slots, image_size, image_size).astype(np.uint8)


def reduce_features(token_ND: np.ndarray, dimensions: int) -> np.ndarray:
    """Standardised per dimension, constant ones dropped, then the leading principal components: (N, d) float32."""
    spread = token_ND.std(0)
    varying = spread > 1e-6 * max(1.0, float(np.abs(token_ND).max()))
    if not varying.any():
        return np.zeros((len(token_ND), 1), np.float32)
    standard = ((token_ND - token_ND.mean(0)) / np.where(varying, spread, 1))[:, varying].astype(np.float32)
    pca = faiss.PCAMatrix(standard.shape[1], min(dimensions, *standard.shape))
    pca.train(np.ascontiguousarray(standard))
    return pca.apply(np.ascontiguousarray(standard))


def _num_clusters(protocol: SegmentationProtocol, truth_THW: np.ndarray) -> int:
    if protocol.clusters == "labels_present":
        return len(np.setdiff1d(np.unique(truth_THW), [VOID]))
    return protocol.clusters


def score_clip(
    cluster_THW: np.ndarray, truth_THW: np.ndarray, tube: tuple[int, int], protocol: SegmentationProtocol
) -> tuple[float, float, float]:
    """mIoU of a clip; by the same rule, of finding nothing; and of labelling every tube (frames, pixels) perfectly."""

    def score(cluster: np.ndarray) -> float:
        return miou(truth_THW, cluster, protocol.matching, protocol.background_counts)

    return score(cluster_THW), score(all_background(truth_THW)), score(oracle_tubes(truth_THW, *tube))
