"""Boards: the columns of a leaderboard, which models come first, and which published numbers stand beside them.

A board has the layout of the paper table it stands for: headers over groups of columns, rows in sections, columns that
describe a model.  A column is measured (a metric of a task), published (a number of a paper), or both.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from sigma_bench.resources import declared
from sigma_bench.specs.catalogue import load_task, resolve
from sigma_bench.specs.declared import content_of
from sigma_bench.specs.protocol import KINDS
from sigma_bench.specs.strict import PlainName, Spec, is_yaml_file, load_spec, suggestion

Condition = Literal["method", "backbone", "pretrain_data", "pretrain_epochs", "extra_data", "motion_guided"]
About = Literal["backbone", "pretrain_data", "pretrain_epochs", "extra_data", "motion_guided", "parameters"]


class PublishedColumn(Spec):
    """Which numbers of a published file stand in a column."""

    table: str
    task: str
    dataset: str
    metric: str


class BoardColumn(Spec):
    """One quantity: measured where it names a task and a metric, published where it says which numbers."""

    group: Annotated[str, Field(max_length=300)]
    """Neighbouring columns of one group share a header.  What the task depends on (its ``asks``) is added from the
    records."""
    label: str
    """Short header; the group stands above it."""
    task: str | None = None
    metric: str | None = None
    published: PublishedColumn | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if (self.task is None) != (self.metric is None):
            raise ValueError(f"the column '{self.group} {self.label}' needs both a task and a metric, or neither")
        if self.task is None and self.published is None:
            raise ValueError(f"the column '{self.group} {self.label}' is neither measured nor published")
        return self


class MeanColumn(Spec):
    """A last column: the mean over all others of a complete row, an error e counted as 1 - e (SEVERE)."""

    label: str
    published: PublishedColumn | None
    """The mean as printed; it is shown as such and checked against the printed numbers."""
    axes: bool = False
    """Before it, also the mean of each group of columns, where that is complete."""


class Section(Spec):
    """Published rows below one heading: the lines of the file whose cells are among those given."""

    title: str
    where: dict[Condition, tuple[str, ...]]
    """Cells as the file writes them; an empty one is ''."""


class PublishedRows(Spec):
    """Published numbers shown as marked rows; they are never ranked among measured ones."""

    file: PlainName
    """File in ``results/published``, without its ending."""
    identity: Annotated[tuple[Condition, ...], Field(min_length=1)]
    """Lines that agree in these cells are one row; two numbers in one cell are an error."""
    sections: Annotated[tuple[Section, ...], Field(min_length=1)]
    within_points: Annotated[float, Field(gt=0)]
    """A measured number this close to the published one, in percentage points, is called 'within'."""
    note: str
    """Says in one line how these numbers relate to the measured ones."""


class Board(Spec):
    """One file in ``results/boards/``, or in ``boards/`` of an included folder."""

    name: PlainName
    """Name of the board and of its files."""
    title: str
    rows: tuple[str, ...]
    """Model labels to show first, in this order, also when nothing was measured; other models follow."""
    about: tuple[About, ...] = ()
    """Columns that describe a row; one that is empty in all rows is not shown."""
    columns: Annotated[tuple[BoardColumn, ...], Field(min_length=1)]
    mean: MeanColumn | None = None
    published: PublishedRows | None
    note: str
    world: Literal["mini"] | None = None
    """Where given, records of other worlds are none of this board's: its words would not be true of them."""

    @property
    def axes(self) -> tuple[str, ...]:
        """Groups of columns whose means are shown."""
        return tuple(dict.fromkeys(column.group for column in self.columns)) if self.mean and self.mean.axes else ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        measured = [f"{column.task} {column.metric}" for column in self.columns if column.task]
        _require_once("column", measured)
        _require_once("row", list(self.rows))
        numbers = [column.published for column in self.columns if column.published]
        _require_once("published column", [" ".join(number.model_dump().values()) for number in numbers])
        if numbers and self.published is None:
            raise ValueError("columns show published numbers, but 'published' does not say of which file")
        return self


def _require_once(what: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"the {what} '{name}' stands twice")


def board_names() -> list[str]:
    """Names of all boards."""
    return sorted(declared("boards"))


def load_board(name: str) -> Board:
    """A board by name, or from a file: a name that ends in .yaml or .yml or contains a slash.

    Raises:
        ValueError: no such board, a mistyped key, or a column whose task is not in the catalogue; says what is near.
    """
    if is_yaml_file(name) or "/" in name:
        return load_spec(Board, Path(name))
    boards = declared("boards")
    if name not in boards:
        raise ValueError(f"there is no board '{name}'.{suggestion(name, boards)}")
    path = boards[name]
    board = load_spec(Board, path)
    if board.name != name:
        raise ValueError(f"{path}: key 'name' says '{board.name}', but the file's name says '{name}'")
    for column in board.columns:
        if column.task is not None and column.metric is not None:
            _require_measurable(path, column.task, column.metric)
    return board


def _require_measurable(path: Path, task: str, metric: str) -> None:
    """ValueError unless a task has a metric; a task whose protocol is of an absent package is shown unchecked."""
    try:
        declared_task = load_task(task)
        if content_of("protocol", declared_task.protocol)[0].get("kind") not in KINDS.names():
            return
        metrics = resolve(declared_task).protocol.metrics
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if metric not in metrics:
        raise ValueError(f"{path}: task '{task}' has no '{metric}'.{suggestion(metric, metrics)}")
