"""Division of a dataset's one split ``all`` into folds or into a train and a test split, by whole groups.

k folds are those of scikit-learn's ``StratifiedGroupKFold``, which balances the classes as far as groups permit.  If
every group is one sample, they are those of ``StratifiedKFold``, which balances as well and is fast for long lists.

Shapes: S samples, G groups.
"""

import warnings
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from sigma_bench.data.manifest import Expected, Manifest, Sample, Split, make_split
from sigma_bench.specs.dataset import SplitName
from sigma_bench.specs.folds import FOLDS_SEED, Folds, is_cross_validation, num_folds, share_to_test


def divided(manifest: Manifest, folds: Folds) -> Manifest:
    """The manifest with the splits train and test if the folds are a random split, otherwise the manifest itself.

    Groups of one class are drawn class by class; if a group has several classes, groups are drawn without regard to
    them.

    Raises:
        ValueError: the folds divide one split 'all', which the dataset does not have, or all samples of a class are in
            test.
    """
    if folds == "official":
        return manifest
    where = f"{manifest.dataset}: folds {folds}"
    if set(manifest.splits) != {"all"}:
        raise ValueError(
            f"{where} divide one split 'all', but the data have {' and '.join(manifest.splits)}; leave the folds out, "
            "or give data without splits"
        )
    if (share := share_to_test(folds)) is None:
        return manifest
    samples = manifest.splits["all"].samples
    tested = _drawn_groups(samples, share, where)
    parts: dict[SplitName, list[Sample]] = {
        "train": [sample for sample in samples if sample.group not in tested],
        "test": [sample for sample in samples if sample.group in tested],
    }
    _require_known_classes(manifest, parts["train"], parts["test"], where)
    return replace(manifest, splits={name: _part(name, part) for name, part in parts.items()})


def require_divisible(manifest: Manifest, folds: Folds) -> None:
    """ValueError as for ``divided`` and ``with_folds``, before anything is evaluated."""
    for split in divided(manifest, folds).splits.values():
        with_folds(split, folds)


def with_folds(split: Split, folds: Folds) -> Split:
    """The split with the fold of every sample; unchanged unless the folds are a cross-validation.

    Raises:
        ValueError: there are fewer groups than folds, or all samples of a class are in one fold.
    """
    if not is_cross_validation(folds):
        return split
    group_S = np.unique([sample.group for sample in split.samples], return_inverse=True)[1]
    number = num_folds(folds)
    if group_S.max() + 1 < (number or 2):
        raise ValueError(f"folds {folds} need at least {number or 2} groups; there are {group_S.max() + 1}")
    label_S = np.array([-1 if sample.label is None else sample.label for sample in split.samples])
    fold_S = group_S if number is None else _balanced(label_S, group_S, number)
    for label in np.unique(label_S):
        of_class = np.flatnonzero(label_S == label)
        if len(set(fold_S[of_class].tolist())) == 1:
            raise ValueError(
                f"folds {folds}: all samples of the class of '{split.samples[of_class[0]].id}' are in one fold, so the "
                "class could never be predicted; add samples of other groups, or remove the class"
            )
    return replace(split, folds=tuple(fold_S.tolist()))


def _balanced(label_S: np.ndarray, group_S: np.ndarray, number: int) -> np.ndarray:
    """The fold of every sample, (S,).

    Raises:
        ValueError: no class has a sample for every fold, or groups are so unequal that a fold is empty.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold  # its import takes a second

    most = int(np.unique(label_S, return_counts=True)[1].max())
    if most < number:
        raise ValueError(f"folds {number}: no class has more than {most} samples; choose fewer folds")
    of_groups = group_S.max() + 1 < len(group_S)
    splitter = (StratifiedGroupKFold if of_groups else StratifiedKFold)(number, shuffle=True, random_state=FOLDS_SEED)
    fold_S = np.full(len(label_S), -1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # classes with fewer samples than folds
        for fold, (_, index) in enumerate(splitter.split(label_S, label_S, group_S if of_groups else None)):
            fold_S[index] = fold
    if len(np.unique(fold_S)) < number:
        raise ValueError(f"folds {number}: the groups are too unequal, so that a fold is empty; choose fewer folds")
    return fold_S


def _drawn_groups(samples: tuple[Sample, ...], share: float, where: str) -> set[str]:
    """The groups of the test split: a random share, at least one and not all of those that are drawn together."""
    labels_of: Mapping[str, set[int | None]] = defaultdict(set)
    for sample in samples:
        labels_of[sample.group].add(sample.label)
    of_one_class = all(len(labels) == 1 for labels in labels_of.values())
    together: Mapping[int | None, list[str]] = defaultdict(list)
    for group in sorted(labels_of):
        together[next(iter(labels_of[group])) if of_one_class else None].append(group)
    rng = np.random.default_rng(FOLDS_SEED)
    tested: set[str] = set()
    for label in sorted(together, key=lambda label: -1 if label is None else label):
        groups = together[label]
        number = min(max(1, round(share * len(groups))), len(groups) - 1)
        tested |= {groups[index] for index in rng.permutation(len(groups))[:number]}
    if not tested:
        raise ValueError(f"{where}: there is one group only, or one of each class, and nothing to test; add groups")
    return tested


def _require_known_classes(manifest: Manifest, train: list[Sample], test: list[Sample], where: str) -> None:
    if unknown := {sample.label for sample in test} - {sample.label for sample in train}:
        name = (manifest.classes or ())[min(label for label in unknown if label is not None)]
        raise ValueError(f"{where}: all samples of the class '{name}' are in test; choose another share, or add groups")


def _part(name: str, samples: list[Sample]) -> Split:
    return make_split(name, samples, Expected(len(samples)), samples[0].path.parent)
