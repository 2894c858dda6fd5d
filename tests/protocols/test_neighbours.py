"""Nearest neighbours: exact against float64, the same for any shard size, ties by order, own group left out."""

import numpy as np
import pytest

from sigma_bench.protocols.neighbours import nearest, unit_rows


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
