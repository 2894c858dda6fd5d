"""Scores of clusterings.

Stored arrays: ``truth`` (S,), ``cluster`` and ``overcluster`` (S, R), ``matched`` (S, R) the class that the cluster of
a sample is matched to, ``majority`` (S, R) the class that fills most of it, and ``overcluster_majority`` (S, R), the
same of the finer clustering.

Shapes: S samples, R repetitions.
"""

from sigma_bench.metrics.accuracy import top1
from sigma_bench.metrics.clustering import ari, nmi
from sigma_bench.records.scoring import Control, Metric, of_columns


def _share_of_columns(name: str) -> Metric:
    """The mean of the top-1 accuracies of the columns of an array."""
    return of_columns(name, top1, of_sample=lambda stored: (stored[name] == stored["truth"][:, None]).mean(1))


METRICS = {
    "hungarian_accuracy": _share_of_columns("matched"),
    "nmi": of_columns("cluster", nmi),
    "ari": of_columns("cluster", ari),
    "purity": _share_of_columns("majority"),
    "overclustering_accuracy": _share_of_columns("overcluster_majority"),
}
CONTROLS = {"chance": Control("chance", metrics=("hungarian_accuracy",))}
"""Chance is the share of the most frequent class: the accuracy of one cluster that holds everything."""
