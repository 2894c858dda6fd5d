"""knn_loo: the votes of ``knn`` within one split, without the votes of the group of the query.

Neither the query itself nor another clip of the same source votes, since both belong to its group.

Shapes: S samples.
"""

from sigma_bench.protocols.classification import classified, groups_of, labels_of, no_ranks, readable_features
from sigma_bench.protocols.interface import Evaluation, HeadSizes, Predictions
from sigma_bench.protocols.knn_loo.spec import KnnLooProtocol
from sigma_bench.protocols.neighbours import knn_ranked, search_seconds


def head_seconds(protocol: KnnLooProtocol, sizes: HeadSizes) -> float:
    """Predicted time of the search."""
    return search_seconds(sizes.num_train, sizes.num_test, sizes.feature_width, protocol.neighbours)


def run(evaluation: Evaluation[KnnLooProtocol]) -> Predictions | None:
    """Predict every sample; None on the other processes, which only compute features."""
    (split,) = evaluation.splits
    (features,), failures = readable_features(evaluation)
    if not evaluation.processes.is_main:
        return None
    index = features.usable
    feature_SD, group_S = features.mapped_rows(index), groups_of(split)[index]
    ranked_SK = no_ranks(split, evaluation.num_classes)
    ranked_SK[index] = knn_ranked(
        feature_SD,
        labels_of(split)[index],
        feature_SD,
        evaluation.num_classes,
        evaluation.protocol,
        groups=(group_S, group_S),
    )
    return classified(split, ranked_SK, failures)
