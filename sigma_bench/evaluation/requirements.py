"""Checks before an evaluation starts, so that it does not fail after hours."""

import logging
import reprlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sigma_bench.data.annotations import ActionIntervals, CycleBounds, VideoLabels
from sigma_bench.data.custom_csv import place_of
from sigma_bench.data.manifest import Manifest, Sample, Split, shared_groups
from sigma_bench.protocols.interface import Predictions
from sigma_bench.records.scoring import require_metrics, require_samples
from sigma_bench.specs.passes import Pass, SampleLabels, SplitUse
from sigma_bench.specs.protocol import KINDS, BaseProtocol
from sigma_bench.specs.task import ResolvedTask

logger = logging.getLogger(__name__)
_MISSING_LABELS = {
    "class": "does not have one class for every sample",
    "actions": "does not list the actions of every video",
    "cycles": "does not list the repetitions of every video",
    "masks": "does not have masks for every sample",
}


def require_splits(protocol: BaseProtocol, uses: object) -> None:
    """Check what the ``splits`` of a protocol returns, which may be another author's.

    Raises:
        ValueError: no splits, a split twice, or a scored split (the last one) that is neither 'test' nor the only one.
    """
    where = f"the protocol kind '{protocol.kind}': 'splits' returns"
    if not isinstance(uses, tuple) or not uses or not all(isinstance(use, SplitUse) for use in uses):
        raise ValueError(f"{where} {reprlib.repr(uses)}; return a tuple of SplitUse, the scored split last")
    names = [use.name for use in uses]
    if len(set(names)) < len(names) or (len(names) > 1 and names[-1] != "test"):
        raise ValueError(f"{where} {', '.join(names)}; return each split once, and last 'test' or the only one")


def require_sound(protocol: BaseProtocol, uses: Sequence[SplitUse], passes: object) -> None:
    """Check what else the package of a protocol defines.

    Raises:
        ValueError: something else than passes, a pass over a split that is not used, a metric that is not described, or
            no function ``run``.
    """
    where = f"the protocol kind '{protocol.kind}'"
    if not isinstance(passes, tuple) or not all(isinstance(one, Pass) for one in passes):
        raise ValueError(f"{where}: 'passes' returns {reprlib.repr(passes)}; return a tuple of Pass")
    for one in passes:
        if one.split not in {use.name for use in uses}:
            raise ValueError(f"{where}: 'passes' names the split '{one.split}', which 'splits' does not return")
    require_metrics(protocol)
    run_of(protocol)


def run_of(protocol: BaseProtocol) -> Callable[[Any], Any]:
    """The function ``run`` of a protocol's package.

    Raises:
        ValueError: there is none, or the package cannot be imported.
    """
    found = getattr(KINDS.load(protocol.kind, "run"), "run", None)
    if not callable(found):
        raise ValueError(f"the protocol kind '{protocol.kind}': its module 'run' must define the function 'run'")
    return found


def require_predictions(protocol: BaseProtocol, found: object, scored: Split) -> None:
    """Check what the ``run`` of a protocol returns.

    Raises:
        ValueError: no predictions, arrays that cannot be stored, other samples than those of the scored split, or
            samples that are missing or stand twice.
    """
    where = f"the protocol kind '{protocol.kind}': 'run' returns"
    if not isinstance(found, Predictions):
        raise ValueError(f"{where} {reprlib.repr(found)}; return sigma_bench.extend.Predictions")
    for name, array in found.arrays.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "biufU":
            kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise ValueError(f"{where} '{name}' as {kind}; return a NumPy array of numbers or text")
    try:
        require_samples(found.arrays)
    except ValueError as error:
        raise ValueError(f"{where} predictions that cannot be used: {error}") from error
    ids = found.arrays["ids"].tolist()
    if len(set(ids)) < len(ids):
        raise ValueError(f"{where} the sample '{Counter(ids).most_common(1)[0][0]}' twice; score every sample once")
    if not 0 <= found.num_scored <= len(scored.samples):
        raise ValueError(f"{where} {found.num_scored} as the number of scored samples; there are {len(scored.samples)}")
    if protocol.sample_labels == "class":
        _require_all(where, set(ids), scored, found.num_scored)


def _require_all(where: str, ids: set[str], scored: Split, num_scored: int) -> None:
    """ValueError unless the predictions are those of all samples, and of no others."""
    for verb, names in (("lack", set(scored.ids) - ids), ("hold", ids - set(scored.ids))):
        if names:
            raise ValueError(
                f"{where} predictions that {verb} the sample '{min(names)}' (and {len(names) - 1} more); score every "
                f"sample of the split {scored.name} once, also those that count as wrong"
            )
    if num_scored != len(scored.samples):
        raise ValueError(f"{where} {num_scored} as the number of scored samples; all {len(scored.samples)} are scored")


def require_runnable(task: ResolvedTask, manifest: Manifest, splits: Sequence[Split]) -> None:
    """Check the samples that a task uses.

    Args:
        splits: splits that the protocol uses, the scored one last.

    Raises:
        ValueError: samples lack the labels that the protocol needs, all samples have one class, all scored samples have
            one group, files are missing, or train and test overlap.
    """
    require_labels(task, manifest, splits)
    require_units(task, splits[-1])
    require_present(splits, task.protocol)
    if len(splits) > 1:
        require_disjoint(manifest, splits[0], splits[-1])


def warn_of_copies(manifest: Manifest, splits: Sequence[Split]) -> None:
    """Log a warning if files of custom data have the same content in train and test, or in two folds.

    Official data are evaluated as they are.
    """
    if manifest.data_source != "user":
        return
    parts = enumerate(splits)
    placed = [
        (s, fold or number) for number, split in parts for s, fold in zip(split.samples, _folds(split), strict=True)
    ]
    first: dict[str, tuple[Sample, int]] = {}
    copies = []
    for sample, part in placed:
        if sample.content is None:
            continue
        other, other_part = first.setdefault(f"{sample.content} {sample.position}", (sample, part))
        if part != other_part:
            copies.append((sample.id, other.id))
    if copies:
        (one, other_id), where = copies[0], "two folds" if splits[-1].folds else "train and test"
        logger.warning(
            "%s: files in %s have the same content (%d in all), such as '%s' and '%s'; remove the copies, or give a "
            "file and its copy one group",
            *(manifest.dataset, where, len(copies), other_id, one),
        )


def _folds(split: Split) -> Sequence[int]:
    """Fold of every sample, numbered from 1; 0 without folds."""
    return [fold + 1 for fold in split.folds] or [0] * len(split.samples)


def require_labels(task: ResolvedTask, manifest: Manifest, splits: Sequence[Split]) -> None:
    """ValueError if a sample lacks the labels that the protocol needs, or all samples have the same class."""
    kind = task.protocol.sample_labels
    samples = (sample for split in splits for sample in split.samples)
    if kind != "any" and not all(_has_labels(sample, kind, manifest) for sample in samples):
        raise ValueError(f"task '{task.task}': {manifest.dataset} {_MISSING_LABELS[kind]}{_labels_instead(splits)}")
    if kind == "class" and manifest.classes and len(manifest.classes) == 1:
        raise ValueError(
            f"task '{task.task}': all samples of {manifest.dataset} are of the one class '{manifest.classes[0]}', so "
            "any answer would be right; list two classes or more"
        )


def _labels_instead(splits: Sequence[Split]) -> str:
    """What the samples have instead, and protocols for it."""
    sample = splits[-1].samples[0]
    if isinstance(sample.annotation, ActionIntervals | VideoLabels):
        return "; a sample has several labels, for which there is multilabel@1"
    if sample.mask_folder is not None:
        return "; a sample has masks, for which there are segmentation@1 and propagation@1"
    return (
        "" if sample.label is None else "; a sample has one class, for which there are knn@1, linear@1 and finetune@1"
    )


def _has_labels(sample: Sample, kind: SampleLabels, manifest: Manifest) -> bool:
    match kind:
        case "class":
            return bool(manifest.classes) and sample.label is not None
        case "actions":
            return isinstance(sample.annotation, ActionIntervals | VideoLabels)
        case "cycles":
            return isinstance(sample.annotation, CycleBounds)
        case "masks":
            return sample.mask_folder is not None
        case "any":
            return True


def require_units(task: ResolvedTask, scored: Split) -> None:
    """ValueError if all scored samples belong to one group, since a score would have no interval."""
    groups = {sample.group for sample in scored.samples}
    if task.protocol.uncertainty.unit == "group" and len(groups) == 1:
        raise ValueError(
            f"task '{task.task}': all that is scored belongs to one group, '{groups.pop()}', and an interval needs "
            "two; score more of them, or use --set uncertainty.unit=sample where samples of a group are independent"
        )


def require_present(splits: Sequence[Split], protocol: BaseProtocol) -> None:
    """ValueError if required files are missing, or a split has no file at all."""
    can_count = "on_decode_failure" in type(protocol).model_fields
    ways_out = ["count them as wrong with --set on_decode_failure=count_as_wrong"] if can_count else []
    for split in splits:
        if not protocol.counts_failures_as_wrong:
            split.require_present(*ways_out)
        elif len(split.missing) == len(split.samples):
            raise ValueError(
                f"{split.missing[0].absent_path}: not found; none of the {len(split.samples)} files that the "
                f"{split.name} list names is there"
            )


def require_disjoint(manifest: Manifest, train: Split, test: Split) -> None:
    """ValueError if a sample is in both splits or, in custom data, a group is.

    Official splits may share groups; the record states how many.
    """
    overlap = {"sample": set(train.ids) & set(test.ids)}
    if manifest.data_source == "user":
        overlap["group"] = shared_groups(train, test)
    for what, both in overlap.items():
        if both:
            name = min(both)
            where = _rarer_place(manifest, name, train, test)
            remedy = ", so move all rows of the group into one of them" if what == "group" else ""
            raise ValueError(
                f"{where}the {what} '{name}' stands in both {train.name} and {test.name}; they must not overlap{remedy}"
            )


def _rarer_place(manifest: Manifest, name: str, *splits: Split) -> str:
    """File and line of a sample of a group that two splits share, of the split that has fewer; empty if not known."""
    if manifest.listed_in is None:
        return ""
    found = [(split, [one for one in split.samples if name in (one.id, one.group)]) for split in splits]
    split, samples = min(found, key=lambda pair: len(pair[1]))
    return f"{place_of(samples[0].id, split.name, manifest.listed_in)}: "
