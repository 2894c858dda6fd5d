"""Clusters of pixels: known features, PCA compared with a second implementation, sampling of points."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sigma_bench.protocols.segmentation.pixel_clusters import (
    cluster_maps,
    points,
    position_clusters,
    reduce_maps,
    resized_to_pixels,
    standardised,
)
from sigma_bench.protocols.segmentation.spec import SegmentationProtocol
from sigma_bench.specs.catalogue import load_task, resolve


def protocol(**changes: object) -> SegmentationProtocol:
    base = resolve(load_task("davis2017/clustering")).protocol
    assert isinstance(base, SegmentationProtocol)
    return base.model_copy(update=changes)


@pytest.mark.parametrize("upsampling", ["bilinear_features", "tokens_nearest"])
def test_two_clear_halves_become_two_clusters_in_every_map(upsampling: str) -> None:
    maps = np.random.default_rng(0).normal(size=(4, 6, 6, 8)).astype(np.float32) * 0.01
    maps[:, :, 3:] += 1
    cluster = cluster_maps(list(maps), 2, 48, protocol(upsampling=upsampling), seed=0)
    assert (cluster.shape, cluster.dtype) == ((4, 48, 48), np.uint8)
    left, right = cluster[:, :, :20], cluster[:, :, 28:]
    assert len(np.unique(left)) == len(np.unique(right)) == 1
    assert left[0, 0, 0] != right[0, 0, 0]
    if upsampling == "tokens_nearest":
        assert (cluster[:, :, :24] == left[0, 0, 0]).all()


def test_maps_of_one_unit_share_their_clusters() -> None:
    """Two constant maps: one k-means over both separates them; a k-means for each could not."""
    maps = [np.zeros((3, 3, 2), np.float32), np.ones((3, 3, 2), np.float32)]
    cluster = cluster_maps(maps, 2, 12, protocol(), seed=0)
    assert [len(np.unique(one)) for one in cluster] == [1, 1]
    assert cluster[0, 0, 0] != cluster[1, 0, 0]


def test_constant_dimensions_do_not_count() -> None:
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(3, 4, 5, 5)).astype(np.float32)
    padded = np.concatenate([maps, np.full((3, 4, 5, 7), 3.0, np.float32)], axis=3)
    ours, theirs = (np.abs(np.stack(reduce_maps(list(one), 5))) for one in (maps, padded))
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    flat = reduce_maps([np.ones((3, 3, 4), np.float32)], 3)[0]
    assert flat.shape == (3, 3, 1)
    np.testing.assert_allclose(flat, 0)
    np.testing.assert_allclose(standardised(padded)[..., 5:], 0)
    np.testing.assert_allclose(standardised(maps).reshape(-1, 5).std(0), 1, rtol=1e-5)


def test_principal_components_equal_a_second_implementation() -> None:
    rng = np.random.default_rng(0)
    token = rng.normal(size=(80, 6)) @ rng.normal(size=(6, 6)) + 3
    standard = (token - token.mean(0)) / token.std(0)
    u, s, _ = np.linalg.svd(standard, full_matrices=False)
    ours = np.stack(reduce_maps(list(token.reshape(5, 4, 4, 6)), 3)).reshape(80, 3)
    np.testing.assert_allclose(np.abs(ours), np.abs(u[:, :3] * s[:3]), atol=1e-4)


def test_points_are_the_whole_map_upsampled_at_once() -> None:
    one = np.random.default_rng(0).normal(size=(5, 7, 3)).astype(np.float32)
    whole = F.interpolate(torch.from_numpy(one).permute(2, 0, 1)[None], size=(20, 20), mode="bilinear")[0]
    np.testing.assert_array_equal(points(one, (20, 20)), whole.flatten(1).T.numpy())
    np.testing.assert_array_equal(points(one, (5, 7)), one.reshape(35, 3))


def test_few_points_are_all_learned_from_and_many_are_sampled() -> None:
    """With 256 points a cluster, three clear groups are found whether the sample is all of them or one in nine."""
    rng = np.random.default_rng(0)
    group = rng.integers(0, 3, (48, 48))
    one = (np.eye(3, dtype=np.float32)[group] + 0.01 * rng.normal(size=(48, 48, 3))).astype(np.float32)
    for per_centroid in (10, 256, 10_000):
        settings = protocol(upsampling="tokens_nearest", kmeans_max_points_per_centroid=per_centroid)
        cluster = cluster_maps([one], 3, 48, settings, seed=0)[0]
        assert len({(g, c) for g, c in zip(group.ravel(), cluster.ravel(), strict=True)}) == 3


def test_more_clusters_than_points_are_refused() -> None:
    with pytest.raises(ValueError, match="10 clusters asked of 9 points"):
        cluster_maps([np.zeros((3, 3, 2), np.float32)], 10, 9, protocol(upsampling="tokens_nearest"), seed=0)


def test_nearest_resizing_repeats_whole_tokens() -> None:
    np.testing.assert_array_equal(
        resized_to_pixels(np.arange(4, dtype=np.uint8).reshape(1, 2, 2), 4)[0, 0], [0, 0, 1, 1]
    )


def test_positions_make_clusters_of_about_equal_size_in_one_piece() -> None:
    cluster = position_clusters(40, 4, protocol(), seed=0)
    assert np.bincount(cluster.ravel()).min() > 40 * 40 / 8
    for number in range(4):
        row, column = np.nonzero(cluster == number)
        inside = cluster[round(row.mean()), round(column.mean())]
        assert inside == number
