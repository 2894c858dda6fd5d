"""clustering: k-means on pooled frozen features of clips, clusters matched to classes (Hungarian-matched evaluation).

Labels are used only to match clusters with classes, on the scored samples, as is usual for this evaluation.  A second,
finer clustering is matched many-to-one.  Repetitions start k-means from different points.  A cluster may be empty and a
class may have no sample; these are not matched.

Shapes: S samples, D width, R repetitions.
"""

import time

import numpy as np

from sigma_bench.metrics.clustering import hungarian_labels, majority_labels
from sigma_bench.protocols.classification import groups_of, labels_of, majority_share, readable_features
from sigma_bench.protocols.clustering.spec import ClusteringProtocol
from sigma_bench.protocols.features import Rows
from sigma_bench.protocols.interface import Evaluation, HeadSizes, Predictions
from sigma_bench.protocols.kmeans import drawn_points, fitted_kmeans
from sigma_bench.protocols.neighbours import unit_rows
from sigma_bench.protocols.ranking import NO_PREDICTION

CHUNK_ROWS = 16_384
"""Number of rows that are read at once."""
MEASURED_POINTS = 4096
"""Least number of points from which the time of k-means is predicted, if there are as many."""


def run(evaluation: Evaluation[ClusteringProtocol]) -> Predictions | None:
    """Cluster the scored split several times; None on the other processes, which only compute features.

    Raises:
        ValueError: more clusters than samples, or samples cannot be read and failures are not counted as wrong.
    """
    protocol, (split,) = evaluation.protocol, evaluation.splits
    (features,), failures = readable_features(evaluation)
    if not evaluation.processes.is_main:
        return None
    num_classes = evaluation.num_classes
    feature_SD = features.mapped_rows(features.usable)
    found = {}
    for name, num_clusters in (("cluster", num_classes), ("overcluster", num_classes * protocol.overclustering_factor)):
        found[name] = np.full((len(split.samples), protocol.num_seeds), NO_PREDICTION)
        for repetition in range(protocol.num_seeds):
            seed = np.random.SeedSequence([evaluation.seed, repetition]).generate_state(1)[0] % 2**31
            found[name][features.usable, repetition] = clusters(feature_SD, num_clusters, protocol, seed=int(seed))
            evaluation.report(name, repetition + 1, protocol.num_seeds)
    truth_S = labels_of(split)
    arrays = {
        "ids": np.array(split.ids),
        "groups": groups_of(split),
        "truth": truth_S,
        **found,
        "matched": _labelled(hungarian_labels, truth_S, found["cluster"], features.usable),
        "majority": _labelled(majority_labels, truth_S, found["cluster"], features.usable),
        "overcluster_majority": _labelled(majority_labels, truth_S, found["overcluster"], features.usable),
    }
    return Predictions(arrays, len(truth_S), failures, controls={"chance": majority_share(truth_S)})


def head_seconds(protocol: ClusteringProtocol, sizes: HeadSizes) -> float:
    """Predicted time of all clusterings, from one iteration of k-means on a few random points."""
    few = protocol.model_copy(update={"kmeans_iterations": 1, "kmeans_restarts": 1})
    total = 0.0
    for num_clusters in (sizes.num_classes, sizes.num_classes * protocol.overclustering_factor):
        fitted = min(sizes.num_test, num_clusters * protocol.kmeans_max_points_per_centroid)
        measured = min(fitted, max(2 * num_clusters, MEASURED_POINTS))
        point_PD = np.random.default_rng(0).standard_normal((measured, sizes.feature_width), np.float32)
        clusters(point_PD, min(num_clusters, measured), few, seed=0)  # the first call also starts threads and is slower
        started = time.perf_counter()
        clusters(point_PD, min(num_clusters, measured), few, seed=0)
        per_point = (time.perf_counter() - started) / (2 * measured)  # one iteration and one assignment
        searched = fitted * protocol.kmeans_iterations * protocol.kmeans_restarts + sizes.num_test
        total += protocol.num_seeds * searched * per_point
    return total


def clusters(
    feature_SD: np.ndarray | Rows, num_clusters: int, protocol: ClusteringProtocol, *, seed: int
) -> np.ndarray:
    """Cluster of every row by its direction, (S,); ValueError when there are more clusters than rows.

    Rows are read in chunks; only those that k-means is fitted on are held in memory.
    """
    chosen = drawn_points(len(feature_SD), num_clusters * protocol.kmeans_max_points_per_centroid, seed)
    point_PD = np.empty((len(chosen), feature_SD.shape[1]), np.float32)
    for start in range(0, len(chosen), CHUNK_ROWS):
        point_PD[start : start + CHUNK_ROWS] = unit_rows(feature_SD[chosen[start : start + CHUNK_ROWS]])
    centroids = fitted_kmeans(
        point_PD,
        num_clusters,
        protocol,
        max_points_per_centroid=protocol.kmeans_max_points_per_centroid,
        seed=seed,
        points_noun="samples",
        remedy="score more samples, or lower overclustering_factor",
    )
    del point_PD
    starts = range(0, len(feature_SD), CHUNK_ROWS)
    found = [centroids.search(unit_rows(feature_SD[start : start + CHUNK_ROWS]), 1)[1][:, 0] for start in starts]
    return np.concatenate(found)


def _labelled(rule, truth_S: np.ndarray, cluster_SR: np.ndarray, usable: np.ndarray) -> np.ndarray:
    """Class (S, R) of every sample, by a rule that maps the clusters of one repetition to classes."""
    label_SR = np.full_like(cluster_SR, NO_PREDICTION)
    for column, cluster_S in enumerate(cluster_SR.T):
        label_SR[usable, column] = rule(truth_S[usable], cluster_S[usable])
    return label_SR
