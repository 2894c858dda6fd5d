"""Boards: which columns a leaderboard shows, in which order, and which published numbers stand below them."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from sigma_bench.resources import declarations
from sigma_bench.specs.catalogue import load_task, resolve, task_names
from sigma_bench.specs.strict import Spec, load_spec, nearest

Condition = Literal["pretrain_data", "pretrain_epochs", "extra_data", "motion_guided"]


class BoardColumn(Spec):
    """One measured quantity: a metric of a task."""

    task: str
    metric: str
    label: str
    """Short header; the group stands above it."""
    group: str
    """Neighbouring columns of one group share a header.  What the task asks is added from the records."""


class PublishedColumn(Spec):
    """Which published numbers belong below which column of the board."""

    table: str
    task: str
    dataset: str
    metric: str
    where: dict[Condition, str]
    """Further cells of the published line, as printed there, where table, task and dataset leave a choice."""
    to_task: str
    to_metric: str


class PublishedRows(Spec):
    """Published numbers shown as marked rows; they are never ranked among measured ones."""

    file: str
    """File in ``results/published``, without its ending."""
    methods: Annotated[tuple[str, ...], Field(min_length=1)]
    backbone: str
    columns: Annotated[tuple[PublishedColumn, ...], Field(min_length=1)]
    note: str
    """Says in one line how these numbers relate to the measured ones."""


class Board(Spec):
    """One file in ``results/boards/``."""

    name: str
    title: str
    rows: tuple[str, ...]
    """Model labels to show first, in this order, also when nothing was measured; other models follow."""
    columns: Annotated[tuple[BoardColumn, ...], Field(min_length=1)]
    published: PublishedRows | None
    note: str

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        columns = [(column.task, column.metric) for column in self.columns]
        for task, metric in columns:
            if columns.count((task, metric)) > 1:
                raise ValueError(f"the column {task} {metric} stands twice")
        for row in self.rows:
            if self.rows.count(row) > 1:
                raise ValueError(f"the row '{row}' stands twice")
        self._require_published_fits({f"{task} {metric}" for task, metric in columns})
        return self

    def _require_published_fits(self, columns: set[str]) -> None:
        numbers = self.published.columns if self.published else ()
        targets = [f"{number.to_task} {number.to_metric}" for number in numbers]
        for target in targets:
            if target not in columns:
                raise ValueError(f"published numbers go to '{target}', which is no column.{nearest(target, columns)}")
            if targets.count(target) > 1:
                raise ValueError(f"two entries of 'published' go to the column '{target}'")


def board_names() -> list[str]:
    """Names of all boards."""
    return sorted(path.stem for path in (declarations("results") / "boards").glob("*.yaml"))


def load_board(name: str) -> Board:
    """A board by name, or from a path that contains a separator and ends in .yaml.

    Raises:
        ValueError: no such board, a mistyped key, or a column whose task is not in the catalogue; says what is near.
    """
    if "/" in name and name.endswith(".yaml"):
        return load_spec(Board, Path(name))
    if name not in board_names():
        raise ValueError(f"there is no board '{name}'.{nearest(name, board_names())}")
    path = declarations("results") / "boards" / f"{name}.yaml"
    board = load_spec(Board, path)
    if board.name != name:
        raise ValueError(f"{path}: key 'name' says '{board.name}', but the file's name says '{name}'")
    for column in board.columns:
        if column.task not in task_names():
            raise ValueError(f"{path}: there is no task '{column.task}'.{nearest(column.task, task_names())}")
        metrics = resolve(load_task(column.task)).protocol.metrics
        if column.metric not in metrics:
            raise ValueError(f"{path}: task '{column.task}' has no '{column.metric}'.{nearest(column.metric, metrics)}")
    return board
