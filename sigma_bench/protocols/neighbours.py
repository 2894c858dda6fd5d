"""Exact nearest neighbours by cosine in a bank that may be larger than memory.

FAISS finds candidates in float32, shard by shard.  Their cosines are computed again in float64, and ties are broken by
the order of the bank.  If a row outside the candidates could be a neighbour within the rounding error of float32, more
candidates are taken for that query.  The result therefore depends neither on the size of the shards nor on the machine.

Shapes: S bank samples, Q queries, K neighbours, C candidates, D width.
"""

import time
from collections.abc import Iterator

import faiss
import numpy as np

from sigma_bench.protocols.features import Rows
from sigma_bench.protocols.ranking import ranked
from sigma_bench.specs.frozen_protocol import NeighbourVotes

SHARD_BYTES = 256 * 2**20
"""Size of the float32 rows that are read from the bank at once; FAISS holds a second copy.

This is a third of Kinetics-400 at width 768.
"""
QUERY_ROWS, VOTED_ROWS = 65_536, 2048
"""Number of queries that search the bank together, and of queries whose votes for all classes are held at once."""
QUERY_BYTES = 64 * 2**20
"""Size of the float64 products that are computed at once."""
MEASURED_BANK, MEASURED_QUERIES = 20_000, 256
"""Sizes of the search from which the time of a larger one is predicted."""
SPARE = 16
"""Number of candidates beyond the number of neighbours; it grows eightfold for queries that need more."""
GPU_CANDIDATES = 2048
"""Greatest number of candidates that FAISS's GPU search is asked for."""


def nearest(
    bank_SD: np.ndarray | Rows,
    query_QD: np.ndarray,
    num_neighbours: int,
    *,
    groups: tuple[np.ndarray, np.ndarray] | None = None,
    shard_rows: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Cosines (float64) and bank indices of the nearest rows, each (Q, K), the nearest first; ties by lower index.

    Args:
        bank_SD: is read shard by shard and may be memory-mapped.
        groups: groups of the bank (S,) and of the queries (Q,); rows of a query's own group are left out.
        shard_rows: number of rows of a shard; by default as many as fit into ``SHARD_BYTES``.

    Raises:
        ValueError: fewer rows than neighbours for some query.
    """
    code_S, code_Q = _codes(groups, len(bank_SD), len(query_QD))
    own_Q = np.bincount(code_S, minlength=int(code_Q.max(initial=0)) + 1)[code_Q] if groups else np.zeros(1, int)
    if len(bank_SD) - int(own_Q.max(initial=0)) < num_neighbours:
        others = f", {own_Q.max()} of them of one query's group" if groups else ""
        raise ValueError(
            f"{num_neighbours} neighbours asked of a bank of {len(bank_SD)} samples{others}; ask for fewer with --set "
            "neighbours=..."
        )
    query_QD, rows = unit_rows(query_QD), shard_rows or max(1, SHARD_BYTES // (4 * bank_SD.shape[1]))
    cosine_QK = np.empty((len(query_QD), num_neighbours))
    index_QK = np.empty((len(query_QD), num_neighbours), np.int64)
    open_Q, spare = np.arange(len(query_QD)), SPARE + int(own_Q.max(initial=0))
    while len(open_Q):
        found = _nearest_in_shards(bank_SD, query_QD[open_Q], num_neighbours, spare, rows, code_S, code_Q[open_Q])
        cosine_QK[open_Q], index_QK[open_Q], is_sure = found
        open_Q, spare = open_Q[~is_sure], 8 * spare
    return cosine_QK, index_QK


def search_seconds(num_bank: int, num_queries: int, width: int, num_neighbours: int) -> float:
    """Predicted time of ``nearest``, from a search in a part of the bank."""
    bank, queries = min(num_bank, MEASURED_BANK), min(num_queries, MEASURED_QUERIES)
    rng = np.random.default_rng(0)
    bank_SD, query_QD = (rng.standard_normal((rows, width), np.float32) for rows in (bank, queries))
    few = min(num_neighbours, bank - 1)
    nearest(bank_SD[: few + 1], query_QD[:1], few)
    started = time.perf_counter()
    nearest(bank_SD, query_QD, few)
    return (time.perf_counter() - started) * (num_bank / bank) * (num_queries / queries)


def _nearest_in_shards(
    bank_SD: np.ndarray | Rows,
    query_QD: np.ndarray,
    num_neighbours: int,
    spare: int,
    rows: int,
    code_S: np.ndarray,
    code_Q: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cosines and indices of the nearest candidates, and whether no other row can be nearer, (Q,)."""
    cosine_QK = np.full((len(query_QD), num_neighbours), -np.inf)
    index_QK = np.full((len(query_QD), num_neighbours), len(bank_SD))
    unseen_Q = np.full(len(query_QD), -np.inf)
    for start, shard_PD in _shards(bank_SD, rows):
        number = min(num_neighbours + spare, len(shard_PD))
        cosine_QC, candidate_QC = _candidates(shard_PD, query_QD, number)
        if number < len(shard_PD):
            unseen_Q = np.maximum(unseen_Q, cosine_QC[:, -1])
        exact_QC = _exact(shard_PD, query_QD, candidate_QC)
        exact_QC[code_S[start + candidate_QC] == code_Q[:, None]] = -np.inf
        cosine_QK, index_QK = _best(cosine_QK, index_QK, exact_QC, start + candidate_QC)
    # The product of two unit rows in float32 has a smaller error than this, for every order of summation.
    error = 2 * bank_SD.shape[1] * np.finfo(np.float32).eps
    return cosine_QK, index_QK, unseen_Q + error < cosine_QK[:, -1]


def unit_rows(feature_SD: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1 (a zero row stays zero), float32."""
    length = np.linalg.norm(feature_SD, axis=1, keepdims=True)
    return np.ascontiguousarray(feature_SD / np.maximum(length, 1e-12), np.float32)


def _codes(
    groups: tuple[np.ndarray, np.ndarray] | None, num_bank: int, num_queries: int
) -> tuple[np.ndarray, np.ndarray]:
    """Group numbers of bank and queries; without groups, bank and queries have different numbers."""
    if groups is None:
        return np.zeros(num_bank, int), np.ones(num_queries, int)
    code = np.unique(np.concatenate(groups), return_inverse=True)[1]
    return code[:num_bank], code[num_bank:]


def _shards(bank_SD: np.ndarray | Rows, rows: int) -> Iterator[tuple[int, np.ndarray]]:
    for start in range(0, len(bank_SD), rows):
        yield start, unit_rows(bank_SD[start : start + rows])


def _candidates(shard_PD: np.ndarray, query_QD: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    index: faiss.Index = faiss.IndexFlatIP(shard_PD.shape[1])
    if faiss.get_num_gpus() and number <= GPU_CANDIDATES:
        index = faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, index)
    index.add(shard_PD)
    return index.search(query_QD, number)


def _exact(shard_PD: np.ndarray, query_QD: np.ndarray, candidate_QC: np.ndarray) -> np.ndarray:
    """Cosines in float64; each is a sum of its own, which does not depend on the other candidates."""
    exact_QC = np.empty(candidate_QC.shape)
    step = max(1, QUERY_BYTES // (8 * candidate_QC.shape[1] * shard_PD.shape[1]))
    for start in range(0, len(query_QD), step):
        some = slice(start, start + step)
        row_QCD = shard_PD[candidate_QC[some]]
        exact_QC[some] = np.multiply(row_QCD, query_QD[some][:, None], dtype=np.float64).sum(-1)
    return exact_QC


def _best(
    cosine_QK: np.ndarray, index_QK: np.ndarray, cosine_QC: np.ndarray, index_QC: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    cosine = np.concatenate([cosine_QK, cosine_QC], axis=1)
    index = np.concatenate([index_QK, index_QC], axis=1)
    order = np.lexsort((index, -cosine), axis=1)[:, : cosine_QK.shape[1]]
    return np.take_along_axis(cosine, order, 1), np.take_along_axis(index, order, 1)


def knn_votes(
    bank_SD: np.ndarray,
    label_S: np.ndarray,
    query_QD: np.ndarray,
    num_classes: int,
    protocol: NeighbourVotes,
    groups: tuple[np.ndarray, np.ndarray] | None = None,
) -> np.ndarray:
    """Sum of the weights exp(cosine / temperature) of the neighbours of each class, (Q, L); -inf if there are none.

    The result has a column per class; ``knn_ranked`` returns the best classes only.

    Args:
        groups: groups of the bank (S,) and of the queries (Q,); rows of a query's own group have no vote.

    Raises:
        ValueError: as ``nearest``.
    """
    cosine_QK, neighbour_QK = nearest(bank_SD, query_QD, protocol.neighbours, groups=groups)
    return _votes(cosine_QK, label_S[neighbour_QK], num_classes, protocol.temperature)


def knn_ranked(
    bank_SD: np.ndarray | Rows,
    label_S: np.ndarray,
    query_QD: np.ndarray | Rows,
    num_classes: int,
    protocol: NeighbourVotes,
    groups: tuple[np.ndarray, np.ndarray] | None = None,
) -> np.ndarray:
    """The classes with the most votes, (Q, K) in falling order, in memory that does not grow with bank and classes.

    The arguments and errors are those of ``knn_votes``; the classes are those of ``ranked``.
    """
    parts = []
    for start in range(0, len(query_QD), QUERY_ROWS):
        some = slice(start, start + QUERY_ROWS)
        of_some = None if groups is None else (groups[0], groups[1][some])
        cosine_QK, neighbour_QK = nearest(bank_SD, query_QD[some], protocol.neighbours, groups=of_some)
        for first in range(0, len(cosine_QK), VOTED_ROWS):
            few = slice(first, first + VOTED_ROWS)
            vote_QL = _votes(cosine_QK[few], label_S[neighbour_QK[few]], num_classes, protocol.temperature)
            parts.append(ranked(vote_QL))
    return np.concatenate(parts)


def _votes(cosine_QK: np.ndarray, label_QK: np.ndarray, num_classes: int, temperature: float) -> np.ndarray:
    # Only ratios of votes matter, so the largest exponent is subtracted to avoid overflow.
    weight_QK = np.exp((cosine_QK - cosine_QK.max(1, keepdims=True)) / temperature)
    vote_QL, is_voted_QL = np.zeros((2, len(cosine_QK), num_classes))
    place = np.arange(len(cosine_QK))[:, None], label_QK
    np.add.at(vote_QL, place, weight_QK)
    is_voted_QL[place] = 1
    return np.where(is_voted_QL, vote_QL, -np.inf)
