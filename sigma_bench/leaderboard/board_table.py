"""A filled board as an immutable value: the numbers that all renderers show, as fractions, with their record ids."""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Mark = Literal["best", "second"]


def mean_of_columns(scores: Iterable[tuple[float, bool] | None]) -> float | None:
    """Mean of a row over columns, as SEVERE defines it: a value v for which lower is better counts as 1 - v.

    Args:
        scores: value of each column and whether higher is better; None if the row has no value.

    Returns:
        None if a value is missing, since incomplete rows cannot be compared.
    """
    values = []
    for score in scores:
        if score is None:
            return None
        value, higher_is_better = score
        values.append(value if higher_is_better else 1 - value)
    return statistics.fmean(values)


@dataclass(frozen=True, kw_only=True)
class Column:
    """One quantity.  Fields that are read from records are None if there are no records."""

    task: str | None
    """Name of the task, with the settings of the column if it has any; None for a quantity that is only published."""
    metric: str
    label: str
    group: str
    asks: str | None
    """What the task depends on: motion, appearance or segmentation."""
    group_asks: str | None
    """What all measured columns of the group depend on; None if they differ."""
    protocol: str | None
    """Name and version of the protocol, such as ``knn@1``."""
    higher_is_better: bool | None
    published_metric: str | None
    """Name of the metric in the paper, which may differ from the measured one; None if nothing is published."""
    is_paired: bool | None
    """Whether ties are decided by paired bootstrap or by overlap of intervals; None for fewer than two models."""

    @property
    def heading(self) -> str:
        """The group and what it depends on, such as ``SSv2 (motion)``."""
        return f"{self.group} ({self.group_asks})" if self.group_asks else self.group


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A measured fraction with its interval.  Several seeds are pooled; the interval and the deviation over seeds are
    separate."""

    value: float
    """Mean of the values over seeds."""
    low: float
    """Lower end of the bootstrap interval over test units; its mean over seeds."""
    high: float
    seed_values: tuple[float, ...]
    """One value per record, in the order of ``record_ids``."""
    seed_std: float | None
    """Standard deviation of the values over seeds (n - 1); None for one seed."""
    repeat_std: float | None
    """Standard deviation over the repetitions of a protocol (k-means starts, draws of frames); its mean over seeds."""
    record_ids: tuple[str, ...]
    mark: Mark | None
    """``best``: not separable from the best of the column; ``second``: not separable from the best of the others."""

    @property
    def among_best(self) -> bool:
        """Whether the cell is shown in bold."""
        return self.mark == "best"

    @property
    def num_seeds(self) -> int:
        """Number of pooled records."""
        return len(self.record_ids)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measured model.  A cell without a record is None; the row then has neither mean nor rank."""

    model: str
    """Name in records, with the settings that tell several encoders of one name apart."""
    name: str
    """Name in tables and figures."""
    family: str | None
    num_parameters: int | None
    pretraining_data: str | None
    pretraining_epochs: int | None
    cells: tuple[Cell | None, ...]
    axis_means: tuple[float | None, ...]
    """Mean of each axis of the board; None if a column of the axis is missing."""
    mean: float | None
    rank: int | None
    """1 + the number of models whose mean is separably better; models that cannot be separated share a rank."""

    @property
    def is_control(self) -> bool:
        """Whether the model is a control, which is not pretrained."""
        return self.family in ("random init", "image statistics")

    @property
    def num_covered(self) -> int:
        """Number of columns with a record."""
        return sum(cell is not None for cell in self.cells)

    @property
    def coverage(self) -> str:
        """Number of columns with a record and of all columns, such as ``7/8``."""
        return f"{self.num_covered}/{len(self.cells)}"


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A reference value of the tasks, such as chance."""

    name: str
    """Name in tables."""
    values: tuple[float | None, ...]
    """Value in each column; None if no record states it."""
    kind: Literal["floor", "ceiling", "note"]
    """A floor that needs no model, a ceiling that no model can exceed, or a number that is only shown in a note."""
    models: tuple[str, ...] = ()
    """Models that the ceiling applies to, if models have different ones."""


@dataclass(frozen=True, kw_only=True)
class PublishedRow:
    """The printed numbers of one method, as fractions; they are never ranked together with measured ones."""

    label: str
    about: dict[str, str]
    """Cells that describe the method, as printed or in words; empty if the source does not state them."""
    cells: dict[str, str]
    """Cells that identify the row, as written in the file."""
    pretraining: tuple[tuple[str, str], ...]
    """Distinct pairs of pretraining data and epochs of its numbers; empty if the source does not state them."""
    values: tuple[float | None, ...]
    marks: tuple[Mark | None, ...]
    """Mark of each value among rows of the same section and backbone."""
    axis_means: tuple[float | None, ...]
    """Mean of each axis, computed from the printed numbers."""
    mean: float | None
    """Mean as printed."""
    mean_mark: Mark | None
    recomputed_mean: float | None
    """Mean computed from the printed numbers."""
    source: str
    origin: Literal["published", "imported"]


@dataclass(frozen=True, kw_only=True)
class PublishedSection:
    """Published rows below one heading."""

    title: str
    rows: tuple[PublishedRow, ...]
    is_context: bool = False
    """Whether the rows come from another protocol, so that measured numbers are not compared with them."""


@dataclass(frozen=True, kw_only=True)
class Delta:
    """Measured minus published value of one model in one column, with the measured interval shifted accordingly."""

    model: str
    published: str
    column: int
    value: float
    low: float
    high: float
    verdict: str
    """``reproduced`` (the published number lies in the measured interval), ``within n points`` or ``off``."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Completeness of the scored split of a dataset, and the models that were measured on it."""

    dataset: str
    data_source: str
    num_expected: int
    num_found: int
    num_scored: int
    num_failed: int
    num_official: int
    """Number of samples in the official list; more than expected if a shorter list was declared complete."""
    num_shared_groups: int
    """Number of groups with samples in both the train and the scored split."""
    manifest: str
    models: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Division:
    """Division of a custom dataset into training and test samples, and the test units of its intervals."""

    dataset: str
    folds: str
    """As in a task: ``official``, ``leave_one_group_out``, a number of folds, or ``random:SHARE``."""
    split: str
    """Name of the scored split."""
    unit: str
    """What the intervals resample: ``group`` or ``sample``."""
    num_units: int
    """Smallest number of test units of an interval."""
    tasks: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class BoardTable:
    """A board filled with measured and published numbers."""

    name: str
    title: str
    note: str
    about: tuple[str, ...]
    columns: tuple[Column, ...]
    axes: tuple[str, ...]
    """Groups of columns whose means are shown."""
    mean_label: str | None
    rows: tuple[Row, ...]
    references: tuple[Reference, ...]
    sections: tuple[PublishedSection, ...]
    published_note: str
    deltas: tuple[Delta, ...]
    counts: tuple[Counts, ...]
    divisions: tuple[Division, ...]
    """Of custom data only; other data are divided as their datasets define it."""
    levels: tuple[float, ...]
    """Levels of the intervals shown, usually one."""

    @property
    def published(self) -> tuple[PublishedRow, ...]:
        """All published rows, without their headings."""
        return tuple(row for section in self.sections for row in section.rows)

    @property
    def data_sources(self) -> tuple[str, ...]:
        """Data sources of the measured numbers, such as official, mini or user."""
        return tuple(sorted({counts.data_source for counts in self.counts}))

    @property
    def names(self) -> dict[str, str]:
        """By the name of a model in records, its name in tables and figures."""
        return {row.model: row.name for row in self.rows}

    @property
    def record_ids(self) -> tuple[str, ...]:
        """Ids of all records in the table, in reading order and without repetition."""
        cells = [cell for row in self.rows for cell in row.cells if cell is not None]
        return tuple(dict.fromkeys(name for cell in cells for name in cell.record_ids))
