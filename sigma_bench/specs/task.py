"""Tasks (dataset x protocol, with overrides), variants of them, and suites (lists of tasks)."""

from typing import Any, Self

from pydantic import model_validator

from sigma_bench.specs.dataset import Asks, DatasetCard, DatasetTask
from sigma_bench.specs.folds import Folds, is_cross_validation
from sigma_bench.specs.protocol import Protocol
from sigma_bench.specs.strict import Label, PlainName, Spec


class Task(DatasetTask):
    """A task with its name and dataset, as a task file (``--task mine.yaml``) states it."""

    task: Label
    dataset: Label
    asks: Asks | None = None
    """Information that the task requires; that of the file of the dataset if absent."""


class ResolvedTask(Spec):
    """A task with its dataset card and protocol, as it is run and fingerprinted."""

    task: Label
    dataset: DatasetCard
    protocol: Protocol
    asks: Asks
    folds: Folds


def require_folds_used(task: ResolvedTask) -> None:
    """ValueError if the task has folds that its protocol does not use, since one number would be stored for two
    tasks."""
    if is_cross_validation(task.folds) and not task.protocol.uses_folds:
        raise ValueError(
            f"task '{task.task}': {task.protocol.protocol} does not use folds, so '{task.folds}' would have no effect; "
            "leave the folds out, divide the data once by random:0.2, or choose a protocol that is fitted on every "
            "fold, such as knn or linear"
        )


class Variants(Spec):
    """One file in ``tasks/variants/``: named overrides that can be added to any task, as in ``ssv2/knn+reversal``."""

    variants: PlainName
    summary: str
    overrides: dict[PlainName, dict[str, Any]]
    """Name of a variant -> its overrides, in the order of the file."""


class Suite(Spec):
    """One file in ``tasks/suites/``."""

    suite: PlainName
    summary: str
    tasks: tuple[Label, ...]
    """Task names; ``load_suite`` adds the variants of each task after it."""
    variants: str | None = None
    """File of variants, each of which is added to every task."""
    axes: dict[str, tuple[str, ...]] | None = None
    """Heading of an axis -> its tasks; every task is on exactly one axis."""

    @model_validator(mode="after")
    def _on_one_axis_each(self) -> Self:
        placed = [task for tasks in (self.axes or {}).values() for task in tasks]
        for task in (*self.tasks, *placed) if self.axes is not None else ():
            if task not in self.tasks:
                raise ValueError(f"the axes contain '{task}', which is not a task of the suite")
            if placed.count(task) != 1:
                raise ValueError(f"the task '{task}' is on {placed.count(task)} axes; every task belongs to one")
        return self
