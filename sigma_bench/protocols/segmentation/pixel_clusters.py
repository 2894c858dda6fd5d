"""Clusters of pixels from token maps: standardise, PCA, upsample, k-means (TimeTuning's evaluation, arXiv 2308.11796).

Bilinear weights sum to one, so PCA before upsampling gives the same numbers as PCA after it.  k-means is fitted on a
random sample of the points, as FAISS does by default, and the points of one map at a time are in memory.

Shapes: M maps of a unit, h w token rows and columns, D width, d PCA width, N tokens, H W pixels, P points of a map.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
import scipy.linalg
import torch
import torch.nn.functional as F

from sigma_bench.protocols.kmeans import fitted_kmeans
from sigma_bench.protocols.segmentation.spec import SegmentationProtocol

CONSTANT = 1e-6
"""Greatest standard deviation of a dimension that counts as constant, relative to the largest feature."""


def standardised(map_ThwD: np.ndarray) -> np.ndarray:
    """Features with mean 0 and standard deviation 1 in every dimension, 0 in a constant one; float32, same shape."""
    return _tokens(map_ThwD, *_mean_and_scale([map_ThwD])).astype(np.float32).reshape(map_ThwD.shape)


def reduce_maps(map_hwD: Sequence[np.ndarray], dimensions: int) -> list[np.ndarray]:
    """The leading principal components of the features, standardised over all maps; (h, w, d) float32 for each map.

    There are ``dimensions`` components, or fewer if the features have a lower rank.  If all features are constant,
    there is one component, which is zero.
    """
    mean_D, scale_D = _mean_and_scale(map_hwD)
    covariance_DD = np.zeros((len(mean_D), len(mean_D)))
    for one in map_hwD:
        token_ND = _tokens(one, mean_D, scale_D)
        covariance_DD += token_ND.T @ token_ND
    width = len(mean_D)
    kept = min(dimensions, width)
    value_d, vector_Dd = scipy.linalg.eigh(covariance_DD, subset_by_index=[width - kept, width - 1])
    kept = max(1, int((value_d > 1e-9 * max(value_d.max(), 1e-30)).sum()))
    vector_Dd = vector_Dd[:, ::-1][:, :kept]
    return [
        (_tokens(one, mean_D, scale_D) @ vector_Dd).astype(np.float32).reshape(*one.shape[:2], -1) for one in map_hwD
    ]


def cluster_maps(
    map_hwd: Sequence[np.ndarray], num_clusters: int, size: int, protocol: SegmentationProtocol, *, seed: int
) -> np.ndarray:
    """Cluster of every pixel of every map by one k-means over all maps, (M, size, size) uint8.

    Raises:
        ValueError: fewer points than clusters.
    """
    rows, columns, _ = map_hwd[0].shape
    by_pixel = protocol.upsampling == "bilinear_features"
    side = (size, size) if by_pixel else (rows, columns)
    sample_Pd = _sampled_points(map_hwd, side, num_clusters, protocol, seed=seed)
    index = fitted_kmeans(
        sample_Pd,
        num_clusters,
        protocol,
        max_points_per_centroid=len(sample_Pd),
        seed=seed + 1,
        points_noun="points",
        remedy="ask for fewer clusters, or choose upsampling 'bilinear_features' or a larger pool",
    )
    cluster_Mhw = np.stack([index.search(points(one, side), 1)[1].astype(np.uint8).reshape(side) for one in map_hwd])
    return cluster_Mhw if by_pixel else resized_to_pixels(cluster_Mhw, size)


def points(map_hwd: np.ndarray, side: tuple[int, int]) -> np.ndarray:
    """Points (P, d) float32 of a map that is upsampled bilinearly to ``side`` rows and columns."""
    if map_hwd.shape[:2] == side:
        return np.ascontiguousarray(map_hwd.reshape(-1, map_hwd.shape[2]))
    map_1dhw = torch.from_numpy(map_hwd).permute(2, 0, 1)[None]
    pixel_1dHW = F.interpolate(map_1dhw, size=side, mode="bilinear", align_corners=False)
    return np.ascontiguousarray(pixel_1dHW[0].flatten(1).T.numpy())


def resized_to_pixels(cluster_Mhw: np.ndarray, size: int) -> np.ndarray:
    """Cluster maps resized to a square by nearest-neighbour interpolation."""
    resized = F.interpolate(torch.from_numpy(cluster_Mhw)[None], size=[size, size], mode="nearest-exact")
    return resized[0].numpy()


@lru_cache(maxsize=64)
def position_clusters(size: int, num_clusters: int, protocol: SegmentationProtocol, *, seed: int) -> np.ndarray:
    """A control that uses no feature: k-means on the row and column of every pixel, (size, size) uint8."""
    row_column = np.moveaxis(np.mgrid[:size, :size], 0, 2).astype(np.float32)
    by_pixel = protocol.model_copy(update={"upsampling": "bilinear_features"})
    cluster_HW = cluster_maps([row_column], num_clusters, size, by_pixel, seed=seed)[0]
    cluster_HW.flags.writeable = False  # the cache returns this array to every caller
    return cluster_HW


def _sampled_points(
    map_hwd: Sequence[np.ndarray],
    side: tuple[int, int],
    num_clusters: int,
    protocol: SegmentationProtocol,
    *,
    seed: int,
) -> np.ndarray:
    """The points on which k-means is fitted, (P, d): all points, or a random sample of the size the protocol allows."""
    per_map = side[0] * side[1]
    total = per_map * len(map_hwd)
    wanted = min(total, num_clusters * protocol.kmeans_max_points_per_centroid)
    chosen = np.sort(np.random.default_rng(seed).choice(total, wanted, replace=False, shuffle=False))
    bounds = np.searchsorted(chosen, np.arange(len(map_hwd) + 1) * per_map)
    parts = [
        points(one, side)[chosen[start:stop] - number * per_map]
        for number, (one, start, stop) in enumerate(zip(map_hwd, bounds[:-1], bounds[1:], strict=True))
        if stop > start
    ]
    return np.concatenate(parts)


def _mean_and_scale(map_hwD: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and 1 / standard deviation (0 if it is constant) of every dimension over the tokens of all maps."""
    count, largest = 0, 1.0
    sum_D = square_D = np.zeros(1)
    for one in map_hwD:
        token_ND = one.reshape(-1, one.shape[-1]).astype(np.float64)
        count, largest = count + len(token_ND), max(largest, float(np.abs(token_ND).max()))
        sum_D, square_D = sum_D + token_ND.sum(0), square_D + (token_ND**2).sum(0)
    mean_D = sum_D / count
    spread_D = np.sqrt(np.maximum(square_D / count - mean_D**2, 0))
    varies_D = spread_D > CONSTANT * largest
    return mean_D, np.where(varies_D, 1 / np.where(varies_D, spread_D, 1), 0)


def _tokens(map_hwD: np.ndarray, mean_D: np.ndarray, scale_D: np.ndarray) -> np.ndarray:
    return (map_hwD.reshape(-1, len(mean_D)).astype(np.float64) - mean_D) * scale_D
