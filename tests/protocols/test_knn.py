"""knn: votes compared with values computed by hand and with a second implementation."""

import math

import numpy as np
import pytest

from sigma_bench.protocols.knn.spec import KnnProtocol
from sigma_bench.protocols.neighbours import knn_votes
from sigma_bench.protocols.ranking import ranked
from sigma_bench.specs.catalogue import load_task, resolve


def protocol(neighbours: int, temperature: float = 0.07) -> KnnProtocol:
    base = resolve(load_task("ucf101/knn")).protocol
    assert isinstance(base, KnnProtocol)
    return base.model_copy(update={"neighbours": neighbours, "temperature": temperature})


def test_one_near_neighbour_outvotes_two_farther_ones() -> None:
    """Cosines 1, cos 30, cos 30: exp(1/T) > 2 exp(cos 30 / T) exactly when T < (1 - cos 30) / ln 2 = 0.193."""
    angle = math.radians(30)
    bank = np.array([[1, 0], [math.cos(angle), math.sin(angle)], [math.cos(angle), -math.sin(angle)]], np.float32)
    label, query = np.array([0, 1, 1]), np.array([[5.0, 0]], np.float32)
    assert knn_votes(bank, label, query, 2, protocol(3, 0.18)).argmax(1).tolist() == [0]
    assert knn_votes(bank, label, query, 2, protocol(3, 0.21)).argmax(1).tolist() == [1]


def test_against_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    bank, query = rng.normal(size=(200, 16)).astype(np.float32), rng.normal(size=(50, 16)).astype(np.float32)
    label = rng.integers(0, 5, 200)
    expected = []
    for q in query.astype(np.float64):
        cosine = bank @ q / np.linalg.norm(bank, axis=1) / np.linalg.norm(q)
        nearest = np.argsort(-cosine)[:20]
        votes = [sum(math.exp(cosine[i] / 0.07) for i in nearest if label[i] == c) for c in range(5)]
        expected.append(int(np.argmax(votes)))
    assert knn_votes(bank, label, query, 5, protocol(20)).argmax(1).tolist() == expected


def test_tiny_temperature_does_not_overflow() -> None:
    bank = np.eye(4, dtype=np.float32)
    assert knn_votes(bank, np.arange(4), bank, 4, protocol(2, 1e-4)).argmax(1).tolist() == [0, 1, 2, 3]


def test_more_neighbours_than_bank_is_refused() -> None:
    with pytest.raises(ValueError, match="20 neighbours asked of a bank of 4"):
        knn_votes(np.eye(4, dtype=np.float32), np.arange(4), np.eye(4, dtype=np.float32), 4, protocol(20))


def test_a_class_without_votes_has_no_rank() -> None:
    """Two neighbours of class 3: ranks 2 to 5 are not filled with classes 0, 1, 2, which would flatter top-5."""
    bank, label = np.eye(6, dtype=np.float32), np.array([3, 3, 0, 1, 2, 4])
    vote = knn_votes(bank, label, np.array([[1, 0.9, 0, 0, 0, 0]], np.float32), 5, protocol(2))
    assert ranked(vote).tolist() == [[3, -1, -1, -1, -1]]
