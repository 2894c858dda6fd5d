"""knn: cosine-weighted nearest-neighbour votes on frozen features (DINO's evaluation; Wu et al., arXiv 1805.01978).

Shapes: S bank samples, Q queries, K neighbours, D width, L classes.
"""

import faiss
import numpy as np

from sigma_bench.protocols.classification import Teaching, classify, splits
from sigma_bench.protocols.features import SplitFeatures
from sigma_bench.protocols.job import Job, Outcome
from sigma_bench.specs.frozen import KnnProtocol

__all__ = ["run", "splits"]


def run(job: Job) -> Outcome | None:
    """Vote for every sample of the scored split."""
    protocol = job.task.protocol
    assert isinstance(protocol, KnnProtocol)

    def vote(teaching: Teaching, asked: SplitFeatures, index: np.ndarray) -> tuple[np.ndarray, None]:
        bank_SD, query_QD = teaching.features.feature_SD[teaching.index_S], asked.feature_SD[index]
        return knn_votes(bank_SD, teaching.label_S, query_QD, teaching.num_classes, protocol), None

    return classify(job, protocol.clip, vote)


def knn_votes(
    bank_SD: np.ndarray, label_S: np.ndarray, query_QD: np.ndarray, num_classes: int, protocol: KnnProtocol
) -> np.ndarray:
    """Votes for the classes, (Q, L): exact inner product on unit features, a neighbour gives exp(cosine / temperature).

    Raises ValueError when the bank is smaller than K.
    """
    if len(bank_SD) < protocol.neighbours:
        raise ValueError(
            f"{protocol.protocol}: {protocol.neighbours} neighbours asked of a bank of {len(bank_SD)} samples"
        )
    index = faiss.IndexFlatIP(bank_SD.shape[1])
    index.add(unit_rows(bank_SD))
    cosine_QK, neighbour_QK = index.search(unit_rows(query_QD), protocol.neighbours)
    # Votes only matter relative to each other, so the largest exponent is taken out first.
    weight_QK = np.exp((cosine_QK - cosine_QK.max(1, keepdims=True)) / protocol.temperature)
    vote_QL = np.zeros((len(query_QD), num_classes))
    np.add.at(vote_QL, (np.arange(len(query_QD))[:, None], label_S[neighbour_QK]), weight_QK)
    return vote_QL


def unit_rows(feature_SD: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1 (a zero row stays zero), float32."""
    length = np.linalg.norm(feature_SD, axis=1, keepdims=True)
    return np.ascontiguousarray(feature_SD / np.maximum(length, 1e-12), np.float32)
