"""Classification by a frozen protocol: which samples teach, which are asked, over the official split or over folds.

Shapes: S samples.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from sigma_bench.data.manifest import Manifest, Split
from sigma_bench.models.encoder import Encoder
from sigma_bench.protocols.features import FeatureCache, SplitFeatures
from sigma_bench.protocols.knn import knn_predict
from sigma_bench.protocols.linear import linear_predict
from sigma_bench.protocols.predictions import NO_PREDICTION, Predictions, groups_of, labels_of
from sigma_bench.records.record import Selection
from sigma_bench.specs.protocol import KnnProtocol, LinearProtocol
from sigma_bench.specs.task import ResolvedTask

Report = Callable[[str, int, int], None]
"""Phase, done, total."""


def classify(
    encoder: Encoder, task: ResolvedTask, manifest: Manifest, cache: FeatureCache, *, seed: int, report: Report
) -> Predictions:
    """Predict every sample of the scored split once.

    Raises:
        ValueError: bank and queries share samples or groups, a fold cannot be formed, or files do not decode
            and the protocol says ``fail``.
    """
    protocol = task.protocol
    assert isinstance(protocol, KnnProtocol | LinearProtocol)
    bank, scored = teaching_and_scored(manifest, task)
    if protocol.on_decode_failure == "fail":  # now, not after an hour of encoding what is there
        for split in (bank, scored):
            split.require_present()
    features = {split.name: _pooled(encoder, split, protocol, cache, report) for split in dict.fromkeys((bank, scored))}
    failures = require_decodable({bank: features[bank.name], scored: features[scored.name]}, protocol)
    if bank is scored:
        pieces = leave_one_group_out(bank)
    else:
        require_disjoint(bank, scored)
        pieces = iter([(np.arange(len(bank.samples)), np.arange(len(scored.samples)))])
    predicted_S = np.full(len(scored.samples), NO_PREDICTION)
    selections: list[Selection] = []
    num_classes = len(manifest.classes or ())
    for teach, ask in pieces:
        teach = np.intersect1d(teach, features[bank.name].usable)
        ask = np.intersect1d(ask, features[scored.name].usable)
        predicted, selection = _predict(
            features[bank.name], bank, teach, features[scored.name].feature_SD[ask], num_classes, protocol, seed
        )
        predicted_S[ask] = predicted
        selections += selection
    return Predictions(scored.ids, predicted_S, tuple(selections), failures)


def require_decodable(
    features: Mapping[Split, SplitFeatures], protocol: KnnProtocol | LinearProtocol
) -> dict[str, str]:
    """Samples without a feature, id -> reason; ValueError when there are any and the protocol says ``fail``."""
    failures = {
        split.samples[index].id: reason for split, found in features.items() for index, reason in found.failures.items()
    }
    if failures and protocol.on_decode_failure == "fail":
        first, reason = next(iter(failures.items()))
        raise ValueError(
            f"{len(failures)} samples cannot be decoded and {protocol.protocol} says 'fail'; first '{first}': {reason}"
        )
    return failures


def teaching_and_scored(manifest: Manifest, task: ResolvedTask) -> tuple[Split, Split]:
    """The split that teaches and the split that is scored: train and test, or one split for both with folds."""
    if task.folds == "leave_one_group_out":
        whole = next((split for name, split in manifest.splits.items() if name == "all"), None)
        if whole is None:
            raise ValueError(
                f"task '{task.task}': leave_one_group_out needs one split 'all', {manifest.dataset} has "
                f"{' and '.join(manifest.splits)}"
            )
        return whole, whole
    if "test" not in manifest.splits:
        raise ValueError(f"task '{task.task}': {manifest.dataset} has no test split; use --folds leave_one_group_out")
    return manifest.splits["train"], manifest.splits["test"]


def leave_one_group_out(split: Split) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For every group: the indices of all others, and its own."""
    group_S = groups_of(split)
    names = np.unique(group_S)
    if len(names) < 2:
        raise ValueError(f"leave_one_group_out needs at least two groups; all samples say '{names[0]}'")
    for name in names:
        yield np.flatnonzero(group_S != name), np.flatnonzero(group_S == name)


def require_disjoint(bank: Split, scored: Split) -> None:
    """Nothing scored may teach: ValueError names a sample or group that stands in both splits."""
    for what, ours, theirs in (
        ("sample", bank.ids, scored.ids),
        ("group", groups_of(bank).tolist(), groups_of(scored).tolist()),
    ):
        both = set(ours) & set(theirs)
        if both:
            raise ValueError(
                f"the {what} '{min(both)}' stands in both {bank.name} and {scored.name}; they must not overlap"
            )


def _pooled(
    encoder: Encoder, split: Split, protocol: KnnProtocol | LinearProtocol, cache: FeatureCache, report: Report
) -> SplitFeatures:
    phase = f"features of {split.name}"
    return cache.pooled(encoder, split, protocol.clip, report=lambda done, total: report(phase, done, total))


def _predict(
    features: SplitFeatures,
    bank: Split,
    teach: np.ndarray,
    query_QD: np.ndarray,
    num_classes: int,
    protocol: KnnProtocol | LinearProtocol,
    seed: int,
) -> tuple[np.ndarray, list[Selection]]:
    label_S = labels_of(bank)[teach]
    if isinstance(protocol, KnnProtocol):
        return knn_predict(features.feature_SD[teach], label_S, query_QD, num_classes, protocol), []
    groups = groups_of(bank)[teach]
    predicted, selection = linear_predict(features.feature_SD[teach], label_S, groups, query_QD, protocol, seed)
    return predicted, [selection]
