"""knn: cosine-weighted nearest-neighbour votes on frozen features (DINO's evaluation; Wu et al., arXiv 1805.01978)."""

import numpy as np

from sigma_bench.protocols.classification import TrainFeatures, classify
from sigma_bench.protocols.features import SplitFeatures
from sigma_bench.protocols.interface import Evaluation, HeadSizes, Predictions
from sigma_bench.protocols.knn.spec import KnnProtocol
from sigma_bench.protocols.neighbours import knn_ranked, search_seconds


def head_seconds(protocol: KnnProtocol, sizes: HeadSizes) -> float:
    """Predicted time of the search."""
    return search_seconds(sizes.num_train, sizes.num_test, sizes.feature_width, protocol.neighbours)


def run(evaluation: Evaluation[KnnProtocol]) -> Predictions | None:
    """Predict every sample of the test split; None on the other processes, which only compute features."""
    protocol = evaluation.protocol

    def vote(train: TrainFeatures, test: SplitFeatures, index: np.ndarray) -> tuple[np.ndarray, None]:
        bank_SD, query_QD = train.features.mapped_rows(train.index_S), test.mapped_rows(index)
        return knn_ranked(bank_SD, train.label_S, query_QD, train.num_classes, protocol), None

    return classify(evaluation, vote)
