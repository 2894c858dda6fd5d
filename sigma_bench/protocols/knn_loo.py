"""knn_loo: the votes of ``knn`` within one split, for datasets without a split; a query's own group never votes.

A sample is in its own group, so it cannot vote for itself, nor can another clip of its source.

Shapes: S samples.
"""

from sigma_bench.data.manifest import Manifest, Split
from sigma_bench.protocols.classification import (
    classified,
    groups_of,
    labels_of,
    no_ranks,
    ranked,
    require_classes,
    require_decodable,
    require_present,
    split_features,
)
from sigma_bench.protocols.job import Job, Outcome
from sigma_bench.protocols.knn import knn_votes
from sigma_bench.specs.frozen import KnnLooProtocol
from sigma_bench.specs.task import ResolvedTask


def splits(manifest: Manifest, task: ResolvedTask) -> tuple[Split, ...]:
    """The only split; ValueError when the dataset has train and test, or samples without a class."""
    if "all" not in manifest.splits:
        raise ValueError(
            f"task '{task.task}': knn_loo is for one split 'all'; {manifest.dataset} has "
            f"{' and '.join(manifest.splits)}, use knn"
        )
    used = (manifest.splits["all"],)
    require_classes(used, manifest, task)
    return used


def run(job: Job) -> Outcome | None:
    """Vote for every sample; None on the processes that only helped with the features."""
    protocol, (split,) = job.task.protocol, splits(job.manifest, job.task)
    assert isinstance(protocol, KnnLooProtocol)
    require_present((split,), protocol)
    features = split_features(job, split, protocol.clip)
    failures = require_decodable({split: features}, protocol)
    if not job.world.is_main:
        return None
    num_classes, index = len(job.manifest.classes or ()), features.usable
    feature_SD, group_S = features.rows(index), groups_of(split)[index]
    vote_SL = knn_votes(
        feature_SD, labels_of(split)[index], feature_SD, num_classes, protocol, groups=(group_S, group_S)
    )
    ranked_SK = no_ranks(split, num_classes)
    ranked_SK[index] = ranked(vote_SL)
    return classified(split, ranked_SK, failures)
