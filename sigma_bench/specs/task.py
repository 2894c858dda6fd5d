"""Tasks (dataset x protocol, with overrides), variants of them, and suites (lists of tasks)."""

from typing import Any, Self

from pydantic import model_validator

from sigma_bench.specs.dataset import Asks, DatasetCard, DatasetTask, Folds
from sigma_bench.specs.protocol import Protocol
from sigma_bench.specs.strict import Label, PlainName, Spec


class Task(DatasetTask):
    """A task with its names, as a file of its own states it; ``overrides`` replaces keys of the protocol."""

    task: Label
    dataset: Label
    asks: Asks | None = None
    """What the dataset asks for where absent."""


class ResolvedTask(Spec):
    """What actually runs and is fingerprinted: the task with its card and its protocol filled in."""

    task: Label
    dataset: DatasetCard
    protocol: Protocol
    asks: Asks
    folds: Folds


def require_folds_used(task: ResolvedTask) -> None:
    """ValueError for folds that the task's protocol does not use: the same number would be stored under two tasks."""
    if task.folds != "official" and not task.protocol.uses_folds:
        raise ValueError(
            f"task '{task.task}': {task.protocol.protocol} does not use folds, so '{task.folds}' would change nothing; "
            "leave the folds out, or choose a protocol that learns from a training split, such as knn or linear"
        )


class Variants(Spec):
    """One file in ``tasks/variants/``: overrides with names that go with any task, as in ``ssv2/knn+reversal``."""

    variants: PlainName
    summary: str
    overrides: dict[PlainName, dict[str, Any]]
    """By name, in reading order."""


class Suite(Spec):
    """One file in ``tasks/suites/``."""

    suite: PlainName
    summary: str
    tasks: tuple[Label, ...]
    """In the file, plain tasks; once loaded, each of them followed by its variants."""
    variants: str | None = None
    """Every task is also done under each of these."""
    axes: dict[str, tuple[str, ...]] | None = None
    """What the tasks are about, each under one heading."""

    @model_validator(mode="after")
    def _on_one_axis_each(self) -> Self:
        placed = [task for tasks in (self.axes or {}).values() for task in tasks]
        for task in (*self.tasks, *placed) if self.axes is not None else ():
            if task not in self.tasks:
                raise ValueError(f"the axes hold '{task}', which is not one of the suite's tasks")
            if placed.count(task) != 1:
                raise ValueError(f"the task '{task}' stands on {placed.count(task)} axes; every task belongs to one")
        return self
