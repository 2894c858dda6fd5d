"""k-means by FAISS, for the protocols that cluster samples or pixels.

Shapes: P points, D width.
"""

import faiss
import numpy as np

from sigma_bench.protocols.clustering.spec import ClusteringProtocol
from sigma_bench.protocols.segmentation.spec import SegmentationProtocol


def drawn_points(num_points: int, most: int, seed: int) -> np.ndarray:
    """Indices of the points that FAISS would draw to fit ``most`` of them, so that the others need not be in memory."""
    if num_points <= most:
        return np.arange(num_points)
    order = np.empty(num_points, np.int32)
    faiss.rand_perm(faiss.swig_ptr(order), num_points, seed)  # type: ignore[attr-defined]
    return order[:most]


def fitted_kmeans(
    point_PD: np.ndarray,
    num_clusters: int,
    protocol: ClusteringProtocol | SegmentationProtocol,
    *,
    max_points_per_centroid: int,
    seed: int,
    points_noun: str,
    remedy: str,
) -> "faiss.Index":
    """The centroids as an index to search.

    Args:
        max_points_per_centroid: FAISS draws a random sample if there are more points per cluster.
        points_noun, remedy: what the points are and what a user can change, for the error message.

    Raises:
        ValueError: fewer points than clusters.
    """
    if len(point_PD) < num_clusters:
        raise ValueError(
            f"{protocol.protocol}: {num_clusters} clusters asked of {len(point_PD)} {points_noun}; {remedy}"
        )
    kmeans = faiss.Kmeans(
        point_PD.shape[1],
        num_clusters,
        niter=protocol.kmeans_iterations,
        nredo=protocol.kmeans_restarts,
        seed=seed,
        max_points_per_centroid=max_points_per_centroid,
        min_points_per_centroid=1,
    )
    kmeans.train(np.ascontiguousarray(point_PD, np.float32))
    return kmeans.index
