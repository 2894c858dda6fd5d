"""Boards: columns and order of rows of a leaderboard, and the published numbers beside the measured ones.

A board has the layout of the corresponding table of a paper: headers over groups of columns, rows in sections, columns
that describe a model.  A column is measured (a metric of a task), published (a number of a paper), or both.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from sigma_bench.resources import declared, hint_of_include
from sigma_bench.specs.catalogue import dataset_names, load_task, resolve
from sigma_bench.specs.declared import content_of
from sigma_bench.specs.protocol import KINDS
from sigma_bench.specs.strict import Label, PlainName, Spec, is_yaml_file, load_spec, suggestion

Condition = Literal["method", "backbone", "pretrain_data", "pretrain_epochs", "extra_data", "motion_guided"]
DataSource = Literal["official", "mini", "user", "transcoded"]
About = Literal["backbone", "pretrain_data", "pretrain_epochs", "extra_data", "motion_guided", "parameters"]


class BoardRow(Spec):
    """A model that a board shows first, ``mini_sigma_mlp`` or ``{model: mini_sigma_mlp, name: SIGMA-MLP}``."""

    model: str
    """Name of the model in records, with its settings if the name stands for several encoders."""
    name: Label | None = None
    """Name in tables, figures and pages; that in records if absent."""
    optional: bool = False
    """Whether the row is left out while the model has no measured number."""

    @model_validator(mode="before")
    @classmethod
    def _from_label(cls, content: Any) -> Any:
        return {"model": content} if isinstance(content, str) else content

    @model_serializer(mode="wrap")
    def _as_label(self, dump: SerializerFunctionWrapHandler) -> Any:
        content = {key: value for key, value in dump(self).items() if value not in (None, False)}
        return self.model if set(content) == {"model"} else content


class PublishedColumn(Spec):
    """The numbers of a published file that a column shows."""

    table: str
    task: str
    dataset: str
    metric: str


class BoardColumn(Spec):
    """One quantity: measured (``task`` and ``metric``), published (``published``), both, or shown in a context
    section only."""

    group: Annotated[str, Field(max_length=300)]
    """Neighbouring columns of one group share a header.  What the task depends on (its ``asks``) is added from the
    records."""
    label: str
    """Short header below that of the group."""
    task: str | None = None
    metric: str | None = None
    where: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """Settings that the records of this column have, such as ``neighbours: 5``, if the task was measured under several
    settings; the names are those of ``sigma-bench table --where``."""
    published: PublishedColumn | None = None

    @property
    def place(self) -> str | None:
        """The task with the settings of the column, such as ``ucf101/knn (neighbours=5)``."""
        if self.task is None or not self.where:
            return self.task
        values = {name: str(value).lower() if isinstance(value, bool) else value for name, value in self.where.items()}
        return f"{self.task} ({', '.join(f'{name}={value}' for name, value in values.items())})"

    @model_validator(mode="after")
    def _has_task_and_metric(self) -> Self:
        if (self.task is None) != (self.metric is None):
            raise ValueError(f"the column '{self.group} {self.label}' needs both a task and a metric, or neither")
        if self.where and self.task is None:
            raise ValueError(f"the column '{self.group} {self.label}' has settings ('where'), but no task")
        return self


class MeanColumn(Spec):
    """A last column: the mean over all other columns of a complete row; an error e counts as 1 - e (SEVERE)."""

    label: str
    published: PublishedColumn | None
    """The published mean, which is shown as printed and checked against the published numbers."""
    axes: bool = False
    """Whether the mean of each complete group of columns is shown before the mean of all."""


class Section(Spec):
    """Published rows below one heading: the lines of a file with these cells."""

    title: str
    where: dict[Condition, tuple[str, ...]]
    """Column of the file -> allowed values as the file states them; an empty cell is ''."""


class PublishedRows(Spec):
    """Published numbers as marked rows, which are not ranked with measured ones."""

    file: PlainName
    """Name of a file in ``results/published``, without its suffix."""
    identity: Annotated[tuple[Condition, ...], Field(min_length=1)]
    """Columns of the file that identify a row; it is an error if a cell of a row has two numbers."""
    sections: Annotated[tuple[Section, ...], Field(min_length=1)]
    within_points: Annotated[float, Field(gt=0)]
    """Greatest difference, in percentage points, at which a measured number is 'within' the published one."""
    note: str
    """One line about the relation of these numbers to the measured ones."""


class ContextPlace(Spec):
    """Task, dataset and metric of a table's numbers, as the file states them."""

    task: str
    dataset: str
    metric: str


class ContextSection(Spec):
    """Numbers of one table of another source, whose protocol differs from that of the measured numbers.

    They are shown in a section of their own.  They are neither ranked with other rows nor subtracted from measured
    numbers.
    """

    title: str
    """Source and protocol, such as ``V-JEPA 2, Table 4: attentive probe of four blocks``."""
    file: PlainName
    """Name of a file in ``results/published``, without its suffix."""
    source: str
    """Cell of the file that names the source."""
    table: str
    columns: dict[str, ContextPlace]
    """Label of a column of the board -> its numbers in the table."""


class Board(Spec):
    """One file in ``results/boards/``, or in ``boards/`` of an included folder."""

    name: PlainName
    """Name of the board and of its files."""
    title: str
    rows: tuple[BoardRow, ...]
    """Models that are shown first, even without a measured number; other models follow."""
    about: tuple[About, ...] = ()
    """Columns that describe a model; a column that is empty in all rows is not shown."""
    columns: Annotated[tuple[BoardColumn, ...], Field(min_length=1)]
    mean: MeanColumn | None = None
    published: PublishedRows | None
    context: tuple[ContextSection, ...] = ()
    note: str
    data_source: DataSource | None = None
    """Data source of the records that the board shows; all sources if absent.  ``user`` is custom data, whose tasks do
    not have to be in the catalogue."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the models of ``rows`` in records."""
        return tuple(row.model for row in self.rows)

    @property
    def names(self) -> dict[str, str]:
        """By the name in records, the name in tables of each model of ``rows`` that has one."""
        return {row.model: row.name for row in self.rows if row.name is not None}

    @property
    def axes(self) -> tuple[str, ...]:
        """Groups of columns whose means are shown."""
        return tuple(dict.fromkeys(column.group for column in self.columns)) if self.mean and self.mean.axes else ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        measured = [f"{column.place} {column.metric}" for column in self.columns if column.task]
        _require_once("column", measured)
        _require_once("row", list(self.labels))
        _require_once("name", list(self.names.values()))
        numbers = [column.published for column in self.columns if column.published]
        _require_once("published column", [" ".join(number.model_dump().values()) for number in numbers])
        if numbers and self.published is None:
            raise ValueError("columns show published numbers, but 'published' does not name their file")
        in_context = {label for section in self.context for label in section.columns}
        labels = [column.label for column in self.columns]
        for label in sorted(in_context):
            if labels.count(label) != 1:
                raise ValueError(f"context: '{label}' is the label of {labels.count(label)} columns, not of one")
        for column in self.columns:
            if column.task is None and column.published is None and column.label not in in_context:
                raise ValueError(f"the column '{column.group} {column.label}' has neither a task nor published numbers")
        return self


def _require_once(what: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"the {what} '{name}' is given twice")


def board_names() -> list[str]:
    """Names of all boards."""
    return sorted(declared("boards"))


def load_board(name: str) -> Board:
    """A board by name, or from a file: a name that ends in .yaml or .yml or contains a slash.

    Raises:
        ValueError: there is no such board, a key is unknown or wrong, or a task of a column is not in the catalogue.
    """
    if is_yaml_file(name) or "/" in name:
        return load_spec(Board, Path(name))
    boards = declared("boards")
    if name not in boards:
        hint = hint_of_include("boards", name) or suggestion(name, boards)
        raise ValueError(
            f"there is no board '{name}'.{hint} 'table' and 'export' without a name make a board per dataset; 'board "
            "new' declares one"
        )
    path = boards[name]
    board = load_spec(Board, path)
    if board.name != name:
        raise ValueError(f"{path}: key 'name' is '{board.name}', but the name of the file is '{name}'")
    for column in board.columns:
        if column.task is not None and column.metric is not None and not _is_custom(board, column.task):
            _require_measurable(path, column.task, column.metric)
    return board


def _is_custom(board: Board, task: str) -> bool:
    """Whether a task of a board of custom data is on a dataset without a file in ``tasks/``."""
    return board.data_source == "user" and task.partition("/")[0] not in dataset_names()


def _require_measurable(path: Path, task: str, metric: str) -> None:
    """ValueError unless a task has a metric; not checked if the package of its protocol is not installed."""
    try:
        declared_task = load_task(task)
        if content_of("protocol", declared_task.protocol)[0].get("kind") not in KINDS:
            return
        metrics = resolve(declared_task).protocol.metrics
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if metric not in metrics:
        raise ValueError(f"{path}: task '{task}' has no '{metric}'.{suggestion(metric, metrics)}")
