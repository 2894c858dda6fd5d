"""``describe``: the declaration of custom data as a dataset, a YAML file that a person can edit.

Once its folder is included, the dataset has tasks, suites and boards like every other one.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError

from sigma_bench.api.arguments import folder_of, name_of, path_of
from sigma_bench.data.custom_data import custom_card, custom_tasks, open_custom
from sigma_bench.data.folds import divided
from sigma_bench.data.manifest import Manifest
from sigma_bench.evaluation.requirements import require_labels, require_units
from sigma_bench.records.store import write_atomically
from sigma_bench.specs.dataset import CustomFiles, TaskName
from sigma_bench.specs.declared import files_of
from sigma_bench.specs.folds import is_cross_validation, ways_to_divide
from sigma_bench.specs.strict import is_yaml_file, quoted_scalar
from sigma_bench.specs.task import ResolvedTask
from sigma_bench.specs.untrusted import one_line

PROTOCOLS = ("knn@1", "linear@1", "attentive@1", "clustering@1", "multilabel@1", "segmentation@1", "propagation@1")
"""Protocols of which those that fit the data become tasks."""
TRAINING_PROTOCOLS = ("finetune@1",)
"""Protocols that train the encoder for hours; their tasks are written as comments."""
_SHOWN_CLASSES = 8
_NAME = TypeAdapter(TaskName)


class _Choice(NamedTuple):
    """A protocol for the labels of the data, and the reason if it cannot be run on them."""

    protocol: str
    folds: str
    reason: str

    @property
    def is_task(self) -> bool:
        """Whether it becomes a task of the declaration, not a comment."""
        return self.protocol in PROTOCOLS and not self.reason


def describe(
    path: str | Path, *, name: str | None = None, output: str | Path = ".", folds: str | int | None = None
) -> Path:
    """Write a declaration of custom data, ``<output>/tasks/<name>.yaml``, and return its path.

    ``include(output)`` then adds the dataset and its tasks, such as ``<name>/knn``, which ``evaluate`` runs without
    ``data`` or ``csv``.  A record of such a task differs from that of ``evaluate(csv=...)`` in the name of the dataset
    and in the texts of the declaration only.

    Args:
        path: CSV, list, folder of lists, or tree of folders, as ``csv`` and ``folders`` of ``evaluate``.
        name: name of the dataset, by default that of the CSV or folder.
        output: folder to include.  The location of data inside this folder is written relative to the declaration.
        folds: folds of data with the one split ``all``; by default ``leave_one_group_out`` if there are groups.

    Raises:
        ValueError: the data cannot be read or no protocol fits them, the name is taken or cannot be the name of a file,
            the file exists, or the folds are missing.
    """
    path, output = path_of("path", path), folder_of("output", output)
    name = _checked_name(path, name if name is None else name_of("name", name))
    target = output / "tasks" / f"{name}.yaml"
    _require_new(name, target)
    manifest = open_custom(folders=path) if _is_tree(path) else open_custom(csv=path)
    folds = _chosen_folds(manifest, path, None if folds is None else str(folds))
    files = _location(path, output)
    lines = _lines(name, manifest, files, folds, _choices(manifest, path, folds))
    write_atomically(target, "".join(f"{line}\n" for line in lines).encode())
    return target


def _checked_name(path: Path, name: str | None) -> str:
    given = path.resolve().name if path.is_dir() else path.stem
    try:
        checked = _NAME.validate_python(given if name is None else name)
    except ValidationError:
        checked = ""
    if not checked or is_yaml_file(checked):
        what = f"{path}: this name cannot be that of a dataset; give --name" if name is None else f"--name {name}: give"
        raise ValueError(
            f"{what} up to 100 letters from a to z, digits, dots, hyphens and underscores, beginning with a letter or "
            "digit and not ending in .yaml"
        )
    return checked


def _require_new(name: str, target: Path) -> None:
    for existing in (target, target.with_suffix(".yml")):
        if existing.exists() or existing.is_symlink():
            raise ValueError(f"{existing}: exists and is not overwritten; edit it, remove it, or choose another --name")
    if name in (declared := files_of("dataset")):
        raise ValueError(f"--name {name}: this dataset is already declared in {declared[name]}; choose another --name")


def _chosen_folds(manifest: Manifest, path: Path, folds: str | None) -> str:
    """The folds of the tasks that use folds; ``official`` for data with train and test."""
    if folds is not None:
        return custom_tasks(manifest, protocols=("knn@1",), folds=folds)[0].folds
    if "all" not in manifest.splits or manifest.classes is None:
        return "official"
    groups = {sample.group for sample in manifest.splits["all"].samples}
    if len(groups) == len(manifest.splits["all"].samples):
        raise ValueError(
            f"{path}: these data have neither splits nor groups; state how they are divided, by "
            f"{ways_to_divide(manifest.media_in_words)}"
        )
    return "leave_one_group_out"


def _choices(manifest: Manifest, path: Path, folds: str) -> list[_Choice]:
    """The protocols for labels of this kind, those that can be run first."""
    found = [_choice(manifest, protocol, folds) for protocol in (*PROTOCOLS, *TRAINING_PROTOCOLS)]
    choices = sorted((choice for choice in found if choice is not None), key=lambda choice: not choice.is_task)
    if not choices or not choices[0].is_task:
        reason = next((f": {choice.protocol}: {choice.reason}" for choice in choices if choice.reason), "")
        raise ValueError(f"{path}: no protocol can be run on these data{reason}")
    if all(choice.folds != folds for choice in choices if choice.is_task):
        raise ValueError(f"--folds {folds}: no protocol for these data divides them; leave the folds out")
    return choices


def _choice(manifest: Manifest, protocol: str, folds: str) -> _Choice | None:
    """A protocol with its folds, which are official if it uses no others; None if it is for labels of another kind."""
    try:
        (task,) = custom_tasks(manifest, protocols=(protocol,), folds=folds)
    except ValueError:
        (task,) = custom_tasks(manifest, protocols=(protocol,), folds="official")
    with suppress(ValueError):
        require_labels(task, manifest, list(manifest.splits.values()))
        return _Choice(protocol, task.folds, _obstacle(task, manifest))
    return None


def _obstacle(task: ResolvedTask, manifest: Manifest) -> str:
    """The reason why a task cannot be run with the splits, groups and samples of the data; empty if it can."""
    try:
        _require_room(task, manifest)
    except ValueError as error:
        return one_line(str(error).removeprefix(f"task '{task.task}': "))
    return ""


def _require_room(task: ResolvedTask, manifest: Manifest) -> None:
    """ValueError if the protocol of a task needs other splits, more groups or more samples than there are."""
    manifest = divided(manifest, task.folds)
    uses = task.protocol.splits(manifest.splits.keys(), task.folds)
    absent = [use.name for use in uses if use.name not in manifest.splits]
    if absent:
        raise ValueError(f"there is no split {absent[0]}")
    splits = [manifest.splits[use.name] for use in uses]
    require_units(task, splits[-1])
    for split in splits:
        least, found = task.protocol.least_samples(split.name, len(manifest.classes or ())), len(split.samples)
        if is_cross_validation(task.folds):  # twice as many as are needed for training, see ``least_samples``
            least, found = least // 2, found - max(Counter(sample.group for sample in split.samples).values())
        if found < least:
            raise ValueError(f"needs {least} samples of {split.name} at once, and there are {found}")


def _location(path: Path, output: Path) -> CustomFiles:
    """Absolute location of data, or relative to the declaration if they are inside the output folder."""
    place = path.resolve() if path.is_dir() else path.parent.resolve() / path.name
    is_inside = place.is_relative_to(output.resolve())
    text = os.path.relpath(place, (output / "tasks").resolve()) if is_inside else str(place)
    return CustomFiles(folders=text) if _is_tree(path) else CustomFiles(csv=text)


def _is_tree(path: Path) -> bool:
    """Whether a path is that of a tree of media, not of a CSV or a folder of lists."""
    return path.is_dir() and not (path / "train.csv").is_file()


def _lines(name: str, manifest: Manifest, files: CustomFiles, folds: str, choices: Sequence[_Choice]) -> Iterator[str]:
    """The declaration: all keys of a dataset, with comments on those that a person may want to edit."""
    card = custom_card(manifest, folds)
    ((kind, place),) = files.model_dump(exclude_none=True).items()
    classes = ", ".join(map(one_line, (manifest.classes or ())[:_SHOWN_CLASSES]))
    more = ", ..." if len(manifest.classes or ()) > _SHOWN_CLASSES else ""
    yield "# Custom data, written by 'sigma-bench data describe'; every text and the list of tasks may be edited."
    yield "# 'sigma-bench --include DIR tasks' lists the tasks, where DIR is the folder that holds tasks/."
    yield f"dataset: {quoted_scalar(name)}  # the name of this file"
    yield f"title: {quoted_scalar(name)}  # heading of the dataset in tables"
    yield f"files: {{{kind}: {quoted_scalar(place)}}}  # an absolute path, or one relative to the folder of this file"
    yield f"media: {card.media}"
    yield f"reader: {card.reader}"
    yield "# The numbers that were found; evaluations stop if the files no longer have them."
    yield f"classes: {'null' if card.classes is None else card.classes}  # {classes}{more}".removesuffix("  # ")
    yield f"splits: {{{', '.join(f'{split}: {{samples: {spec.samples}}}' for split, spec in card.splits.items())}}}"
    yield f"split_note: {quoted_scalar(card.split_note)}"
    yield f"group: {quoted_scalar(card.group)}  # what the samples of a group share, such as a person or a source video"
    yield f"layout: [{', '.join(map(quoted_scalar, card.layout))}]"
    yield f"licence: {quoted_scalar(card.licence)}"
    yield f"source: {quoted_scalar(card.source)}"
    yield f"citation: {quoted_scalar(card.citation)}"
    yield ""
    yield "asks: unspecified  # what a good score needs: motion, appearance, segmentation or unspecified"
    yield "tasks:"
    for choice in choices:
        why = choice.reason or "trains the encoder; without the first #, it is a task"
        yield f"  {_task_line(choice)}" if choice.is_task else f"  # {_task_line(choice)}  # {why}"


def _task_line(choice: _Choice) -> str:
    folds = "" if choice.folds == "official" else f", folds: {quoted_scalar(choice.folds)}"
    return f"{choice.protocol.partition('@')[0]}: {{protocol: {choice.protocol}{folds}}}"
