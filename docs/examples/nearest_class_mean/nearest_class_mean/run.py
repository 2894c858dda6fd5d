"""The computation of the protocol, from features to predictions.

Shapes: S training samples, Q test samples, L classes, K best classes, D width.
"""

import numpy as np
from scipy.spatial.distance import cdist

from nearest_class_mean.spec import NearestClassMeanProtocol
from sigma_bench.extend import Evaluation, Predictions, SplitFeatures, TrainFeatures, classify, ranked


def run(evaluation: Evaluation[NearestClassMeanProtocol]) -> Predictions | None:
    """Predict every sample of the test split; None on processes that only helped with the features."""

    def nearest(train: TrainFeatures, test: SplitFeatures, index_Q: np.ndarray) -> tuple[np.ndarray, None]:
        mean_LD = class_means(train.features.rows(train.index_S), train.label_S, train.num_classes)
        distance_QL = cdist(test.rows(index_Q), mean_LD, evaluation.protocol.distance)
        return ranked(np.nan_to_num(-distance_QL, nan=-np.inf)), None

    return classify(evaluation, nearest)


def class_means(feature_SD: np.ndarray, label_S: np.ndarray, num_classes: int) -> np.ndarray:
    """Mean feature of every class, (L, D); NaN for a class without training samples."""
    mean_LD = np.full((num_classes, feature_SD.shape[1]), np.nan)
    for label in np.unique(label_S):
        mean_LD[label] = feature_SD[label_S == label].mean(0)
    return mean_LD
