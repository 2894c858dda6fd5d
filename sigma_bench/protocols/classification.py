"""Classification by a frozen protocol: which samples teach, which are asked, over the official split or over folds.

Shapes: S samples, L classes, K best classes in order.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from sigma_bench.data.manifest import Manifest, Split, shared_groups
from sigma_bench.data.subsets import draw_subset
from sigma_bench.protocols.features import SplitFeatures
from sigma_bench.protocols.job import Job, Outcome
from sigma_bench.records.record import Selection
from sigma_bench.specs.base_protocol import BaseProtocol
from sigma_bench.specs.clip import ClipSpec
from sigma_bench.specs.frozen import TaughtProtocol
from sigma_bench.specs.task import ResolvedTask

NO_PREDICTION = -1
"""Stands for a sample that could not be decoded; it is wrong whatever its label."""
RANKED = 5
"""Best classes kept per sample."""


@dataclass(frozen=True)
class Teaching:
    """What a head learns from: features (or rows of them) with labels, and groups that must not be torn apart."""

    features: SplitFeatures
    index_S: np.ndarray
    """Which samples of the split."""
    label_S: np.ndarray
    group_S: np.ndarray
    num_classes: int


Head = Callable[[Teaching, SplitFeatures, np.ndarray], tuple[np.ndarray, Selection | None]]
"""Learns from the first, answers for those samples of the second: scores of the classes, and how it chose."""


def splits(manifest: Manifest, task: ResolvedTask) -> tuple[Split, ...]:
    """The split that teaches and the split that is scored; one where folds make both."""
    used = tuple(dict.fromkeys(teaching_and_scored(manifest, task)))
    require_classes(used, manifest, task)
    return used


def classify(job: Job, protocol: TaughtProtocol, head: Head, *, tokens: bool = False) -> Outcome | None:
    """Predict every sample of the scored split once; None on the processes that only helped with the features.

    What teaches is never under the test's condition, also where folds make both of one split.

    Raises:
        ValueError: bank and queries share samples or groups, a fold cannot be formed, or files do not decode
            and the protocol says ``fail``.
    """
    bank, scored = teaching_and_scored(job.manifest, job.task)
    require_present((bank, scored), protocol)
    if bank is not scored:
        require_disjoint(job.manifest, bank, scored)
    taught = split_features(job, bank, protocol.clip, tokens=tokens)
    is_shared = bank is scored and protocol.asked_clip == protocol.clip
    asked = taught if is_shared else split_features(job, scored, protocol.asked_clip, tokens=tokens)
    failures = require_decodable({bank: taught, scored: asked}, protocol)
    if not job.world.is_main:
        return None
    num_classes = len(job.manifest.classes or ())
    ranked_SK = no_ranks(scored, num_classes)
    selections = []
    for teach, ask in pieces(bank, scored):
        teach = np.intersect1d(teach, taught.usable)
        ask = np.intersect1d(ask, asked.usable)
        if not len(ask):  # nothing of a fold can be read: it counts as wrong, and no head is wanted
            continue
        teaching = Teaching(taught, teach, labels_of(bank)[teach], groups_of(bank)[teach], num_classes)
        score_QL, selection = head(teaching, asked, ask)
        ranked_SK[ask] = ranked(score_QL)
        selections += [selection] if selection else []
    return classified(scored, ranked_SK, failures, tuple(selections))


def classified(
    scored: Split, ranked_SK: np.ndarray, failures: Mapping[str, str], selections: tuple[Selection, ...] = ()
) -> Outcome:
    """The outcome of any protocol that ranks classes for every sample of a split."""
    assert len(ranked_SK) == len(scored.samples), "predictions do not cover the split exactly"
    truth_S = labels_of(scored)
    arrays = {
        "ids": np.array(scored.ids),
        "groups": groups_of(scored),
        "truth": truth_S,
        "predicted": ranked_SK[:, 0],
        "ranked": ranked_SK,
    }
    share = np.bincount(truth_S) / len(truth_S)
    return Outcome(arrays, len(truth_S), failures, selections, {"chance": float(share.max())})


def no_ranks(split: Split, num_classes: int) -> np.ndarray:
    """Room for the best classes of every sample, (S, K), nothing predicted yet."""
    return np.full((len(split.samples), min(RANKED, num_classes)), NO_PREDICTION)


def ranked(score_QL: np.ndarray) -> np.ndarray:
    """The best classes of every row, (Q, K); a tie goes to the lower index; a class of score -inf has no rank."""
    label_QK = np.argsort(-score_QL, axis=1, kind="stable")[:, :RANKED]
    return np.where(np.isneginf(np.take_along_axis(score_QL, label_QK, 1)), NO_PREDICTION, label_QK)


def split_features(job: Job, split: Split, clip: ClipSpec, *, tokens: bool = False) -> SplitFeatures:
    """Features of one split, with the job's cache, processes and progress."""
    phase = f"features of {split.name}"
    return job.cache.features(
        job.encoder,
        split,
        clip,
        job.world,
        tokens=tokens,
        report=lambda done, total: job.report(phase, done, total),
    )


def require_present(used: tuple[Split, ...], protocol: BaseProtocol) -> None:
    """ValueError, before anything is encoded, if required files are missing or a split has no file at all."""
    for split in used:
        if protocol.on_decode_failure == "fail":
            split.require_present("count them as wrong with --set on_decode_failure=count_as_wrong")
        elif len(split.missing) == len(split.samples):
            raise ValueError(
                f"{split.missing[0].path}: not found; none of the {len(split.samples)} files that the {split.name} "
                "list names is there"
            )


def require_classes(used: tuple[Split, ...], manifest: Manifest, task: ResolvedTask) -> None:
    """ValueError when a sample does not have one class, such as videos with masks, or all have the same."""
    if not manifest.classes or any(sample.label is None for split in used for sample in split.samples):
        raise ValueError(f"task '{task.task}': {manifest.dataset} does not have one class for every sample")
    if len(manifest.classes) == 1:
        raise ValueError(
            f"task '{task.task}': all samples of {manifest.dataset} are of the one class '{manifest.classes[0]}', so "
            "any answer would be right; list two classes or more"
        )


def require_decodable(features: Mapping[Split, SplitFeatures], protocol: BaseProtocol) -> dict[str, str]:
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
    """The split that teaches and the split that is scored: train and test, or one split for both with folds.

    Where the protocol asks for a few samples of every class, they are what teaches.
    """
    per_class = getattr(task.protocol, "train_per_class", None)
    if task.folds == "leave_one_group_out":
        whole = next((split for name, split in manifest.splits.items() if name == "all"), None)
        if whole is None:
            raise ValueError(
                f"task '{task.task}': leave_one_group_out needs one split 'all', {manifest.dataset} has "
                f"{' and '.join(manifest.splits)}"
            )
        if per_class is not None:
            raise ValueError(f"task '{task.task}': train_per_class needs a split that only teaches, not folds")
        return whole, whole
    for name in ("train", "test"):
        if name not in manifest.splits:
            raise ValueError(
                f"task '{task.task}': {manifest.dataset} has no {name} split; use knn_loo@1, or --folds "
                "leave_one_group_out where there is one split 'all'"
            )
    train, test = manifest.splits["train"], manifest.splits["test"]
    return train if per_class is None else few_of(train, per_class), test


def few_of(split: Split, per_class: int) -> Split:
    """So many samples of every class, or all of a class that has fewer; another digest, so other cached features."""
    drawn = tuple(draw_subset(split.samples, per_class))
    return replace(split, samples=drawn, expected=len(drawn))


def pieces(bank: Split, scored: Split) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Which samples teach and which are asked: everything at once, or fold by fold."""
    if bank is scored:
        yield from leave_one_group_out(bank)
    else:
        yield np.arange(len(bank.samples)), np.arange(len(scored.samples))


def leave_one_group_out(split: Split) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For every group: the indices of all others, and its own."""
    group_S = groups_of(split)
    names = np.unique(group_S)
    if len(names) < 2:
        raise ValueError(f"leave_one_group_out needs at least two groups; all samples say '{names[0]}'")
    for name in names:
        yield np.flatnonzero(group_S != name), np.flatnonzero(group_S == name)


def require_disjoint(manifest: Manifest, bank: Split, scored: Split) -> None:
    """No sample is in both splits, and no group is in both splits of custom data.

    Official splits may share groups; the record counts them.

    Raises:
        ValueError: names the sample or group.
    """
    overlap = {"sample": set(bank.ids) & set(scored.ids)}
    if manifest.world == "user":
        overlap["group"] = shared_groups(bank, scored)
    for what, both in overlap.items():
        if both:
            raise ValueError(
                f"the {what} '{min(both)}' stands in both {bank.name} and {scored.name}; they must not overlap"
            )


def labels_of(split: Split) -> np.ndarray:
    """Class indices of a split, (S,)."""
    return np.array([sample.label for sample in split.samples], np.int64)


def groups_of(split: Split) -> np.ndarray:
    """Group names of a split, (S,)."""
    return np.array([sample.group for sample in split.samples])
