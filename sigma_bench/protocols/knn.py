"""knn: cosine-weighted nearest-neighbour votes on frozen features (DINO's evaluation; Wu et al., arXiv 1805.01978).

Shapes: S bank samples, Q queries, K neighbours, D width, L classes.
"""

import numpy as np

from sigma_bench.protocols.classification import Teaching, classify, splits
from sigma_bench.protocols.features import SplitFeatures
from sigma_bench.protocols.job import Job, Outcome
from sigma_bench.protocols.neighbours import nearest
from sigma_bench.specs.frozen import KnnProtocol, NeighbourProtocol

__all__ = ["run", "splits"]


def run(job: Job) -> Outcome | None:
    """Vote for every sample of the scored split."""
    protocol = job.task.protocol
    assert isinstance(protocol, KnnProtocol)

    def vote(teaching: Teaching, asked: SplitFeatures, index: np.ndarray) -> tuple[np.ndarray, None]:
        bank_SD, query_QD = teaching.features.rows(teaching.index_S), asked.rows(index)
        return knn_votes(bank_SD, teaching.label_S, query_QD, teaching.num_classes, protocol), None

    return classify(job, protocol, vote)


def knn_votes(
    bank_SD: np.ndarray,
    label_S: np.ndarray,
    query_QD: np.ndarray,
    num_classes: int,
    protocol: NeighbourProtocol,
    groups: tuple[np.ndarray, np.ndarray] | None = None,
) -> np.ndarray:
    """Votes for the classes, (Q, L): a neighbour gives exp(cosine / temperature); a class without any has -inf.

    Args:
        groups: of bank and queries; neighbours of a query's own group have no vote.

    Raises:
        ValueError: the bank is smaller than K.
    """
    cosine_QK, neighbour_QK = nearest(bank_SD, query_QD, protocol.neighbours, groups=groups)
    # Votes only matter relative to each other, so the largest exponent is taken out first.
    weight_QK = np.exp((cosine_QK - cosine_QK.max(1, keepdims=True)) / protocol.temperature)
    vote_QL, is_voted_QL = np.zeros((2, len(query_QD), num_classes))
    place = np.arange(len(query_QD))[:, None], label_S[neighbour_QK]
    np.add.at(vote_QL, place, weight_QK)
    is_voted_QL[place] = 1
    return np.where(is_voted_QL, vote_QL, -np.inf)
