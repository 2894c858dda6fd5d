"""Nearest neighbours: exact against float64, the same for any shard size, ties by order, own group left out."""

import faiss
import numpy as np
import pytest

from sigma_bench.protocols import neighbours
from sigma_bench.protocols.features import Rows
from sigma_bench.protocols.kmeans import drawn_points
from sigma_bench.protocols.neighbours import knn_ranked, knn_votes, nearest, unit_rows
from sigma_bench.protocols.ranking import ranked
from sigma_bench.specs.catalogue import load_task, resolve


def brute_force(bank: np.ndarray, query: np.ndarray, k: int) -> np.ndarray:
    """All cosines in float64."""
    bank, query = (rows.astype(np.float64) / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (bank, query))
    return np.argsort(-(query @ bank.T), axis=1, kind="stable")[:, :k]


@pytest.fixture
def rows() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(500, 24)).astype(np.float32), rng.normal(size=(40, 24)).astype(np.float32)


def test_against_a_float64_brute_force(rows) -> None:
    bank, query = rows
    cosine, index = nearest(bank, query, 20)
    assert np.array_equal(index, brute_force(bank, query, 20))
    assert (np.diff(cosine, axis=1) <= 0).all()
    assert cosine == pytest.approx(np.einsum("qd,qkd->qk", unit_rows(query), unit_rows(bank)[index]), abs=1e-6)


def test_nothing_depends_on_the_size_of_a_shard(rows) -> None:
    bank, query = rows
    bank[100:200] = bank[:100]  # every one of these twice
    bank[300:] = bank[300]  # one of these two hundred times: more equals than FAISS is asked for
    query[:5] = bank[300] * 3
    cosine, index = nearest(bank, query, 20)
    for shard_rows in (1, 7, 64, 333, 499, 500, 10_000):
        shard = nearest(bank, query, 20, shard_rows=shard_rows)
        assert np.array_equal(shard[0], cosine), shard_rows
        assert np.array_equal(shard[1], index), shard_rows


def test_ties_go_to_the_lower_index() -> None:
    bank = np.tile(np.eye(2, dtype=np.float32), (100, 1))
    for shard_rows in (3, 200):
        index = nearest(bank, np.array([[2.0, 0]], np.float32), 5, shard_rows=shard_rows)[1]
        assert index.tolist() == [[0, 2, 4, 6, 8]]


def test_neighbours_of_the_own_group_are_left_out(rows) -> None:
    bank = rows[0][:90]
    group = np.repeat([f"video {g}" for g in range(9)], 10)
    for shard_rows in (11, 90):
        cosine, index = nearest(bank, bank, 7, groups=(group, group), shard_rows=shard_rows)
        for sample in range(90):
            others = np.flatnonzero(group != group[sample])
            expected = others[brute_force(bank[others], bank[sample : sample + 1], 7)[0]]
            assert index[sample].tolist() == expected.tolist()
        assert np.isfinite(cosine).all()


def test_too_small_a_bank_is_refused(rows) -> None:
    with pytest.raises(ValueError, match="5 neighbours asked of a bank of 4 samples"):
        nearest(rows[0][:4], rows[1], 5)
    group = np.array([0, 0, 0, 1, 1])
    with pytest.raises(ValueError, match="3 neighbours asked of a bank of 5 samples, 3 of them of one query's group"):
        nearest(rows[0][:5], rows[0][:5], 3, groups=(group, group))


def test_the_points_drawn_for_kmeans_are_those_that_faiss_draws() -> None:
    point_PD = np.random.default_rng(0).standard_normal((3000, 8)).astype(np.float32)

    def clusters_of(points: np.ndarray) -> np.ndarray:
        kmeans = faiss.Kmeans(8, 5, niter=7, nredo=3, seed=11, max_points_per_centroid=100, min_points_per_centroid=1)
        kmeans.train(np.ascontiguousarray(points))
        return kmeans.index.search(point_PD, 1)[1][:, 0]

    drawn = drawn_points(3000, 500, 11)
    assert len(set(drawn.tolist())) == 500
    np.testing.assert_array_equal(clusters_of(point_PD), clusters_of(point_PD[drawn]))


def test_ranks_by_parts_of_the_queries_are_those_of_all_votes(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    bank_SD, query_QD = (rng.standard_normal((number, 6)).astype(np.float32) for number in (200, 50))
    label_S, group_S, group_Q = rng.integers(0, 7, 200), rng.integers(0, 9, 200), rng.integers(0, 9, 50)
    protocol = resolve(load_task("ssv2/knn")).protocol
    arguments = (label_S, query_QD, 7, protocol, (group_S, group_Q))
    expected = ranked(knn_votes(bank_SD, *arguments))
    monkeypatch.setattr(neighbours, "QUERY_ROWS", 20)
    monkeypatch.setattr(neighbours, "VOTED_ROWS", 7)
    np.testing.assert_array_equal(knn_ranked(Rows(bank_SD, np.arange(200)), *arguments), expected)
