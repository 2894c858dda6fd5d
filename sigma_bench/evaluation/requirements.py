"""Checks before an evaluation starts, so that it does not fail after hours."""

from collections.abc import Sequence

from sigma_bench.data.annotations import ActionIntervals, CycleBounds
from sigma_bench.data.manifest import Manifest, Sample, Split, shared_groups
from sigma_bench.specs.passes import SampleLabels
from sigma_bench.specs.protocol import BaseProtocol
from sigma_bench.specs.task import ResolvedTask

_MISSING_LABELS = {
    "class": "does not have one class for every sample",
    "actions": "does not list the actions of every video",
    "cycles": "does not list the repetitions of every video",
    "masks": "does not have masks for every sample",
}


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


def require_labels(task: ResolvedTask, manifest: Manifest, splits: Sequence[Split]) -> None:
    """ValueError if a sample lacks the labels that the protocol needs, or all samples have the same class."""
    kind = task.protocol.sample_labels
    samples = (sample for split in splits for sample in split.samples)
    if kind != "any" and not all(_has_labels(sample, kind, manifest) for sample in samples):
        raise ValueError(f"task '{task.task}': {manifest.dataset} {_MISSING_LABELS[kind]}")
    if kind == "class" and manifest.classes and len(manifest.classes) == 1:
        raise ValueError(
            f"task '{task.task}': all samples of {manifest.dataset} are of the one class '{manifest.classes[0]}', so "
            "any answer would be right; list two classes or more"
        )


def _has_labels(sample: Sample, kind: SampleLabels, manifest: Manifest) -> bool:
    match kind:
        case "class":
            return bool(manifest.classes) and sample.label is not None
        case "actions":
            return isinstance(sample.annotation, ActionIntervals)
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
            "two; score more of them, or say --set uncertainty.unit=sample where samples of a group are independent"
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
                f"{split.missing[0].path}: not found; none of the {len(split.samples)} files that the {split.name} "
                "list names is there"
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
            raise ValueError(
                f"the {what} '{min(both)}' stands in both {train.name} and {test.name}; they must not overlap"
            )
