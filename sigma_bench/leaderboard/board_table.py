"""The board as an immutable value: what every renderer shows, in fractions, with its record ids."""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Mark = Literal["best", "second"]


def mean_of_columns(scores: Iterable[tuple[float, bool] | None]) -> float | None:
    """Mean of a row over columns, as SEVERE defines it: a value v for which lower is better counts as 1 - v.

    Args:
        scores: value of each column and whether higher is better; None where the row has no value.

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
    """One quantity; what only records can say is None as long as there are none."""

    task: str | None
    """None where the quantity is published only."""
    metric: str
    label: str
    group: str
    asks: str | None
    """motion, appearance or segmentation."""
    group_asks: str | None
    """What all measured columns of the group ask; None where they differ."""
    protocol: str | None
    """Name and version, such as ``knn@1``."""
    higher_is_better: bool | None
    published_metric: str | None
    """As the paper calls it, which may not be what is measured; None where nothing is published."""
    is_paired: bool | None
    """Ties by paired bootstrap (True) or by overlap of intervals (False); None for fewer than two models."""

    @property
    def heading(self) -> str:
        """Group and what it asks: ``SSv2 (motion)``."""
        return f"{self.group} ({self.group_asks})" if self.group_asks else self.group


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Measured: a fraction with its interval; several seeds are pooled, their two uncertainties kept apart."""

    value: float
    """Mean over seeds."""
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
    """best: not separable from the column's best; second: not separable from the best of the rest."""

    @property
    def among_best(self) -> bool:
        """Shown in bold."""
        return self.mark == "best"

    @property
    def num_seeds(self) -> int:
        """How many records are pooled."""
        return len(self.record_ids)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measured model; a cell without a record is None, and then there is neither mean nor rank."""

    model: str
    family: str | None
    num_parameters: int | None
    pretraining_data: str | None
    pretraining_epochs: int | None
    cells: tuple[Cell | None, ...]
    axis_means: tuple[float | None, ...]
    """As many as the board has axes; None where a column of the axis is missing."""
    mean: float | None
    rank: int | None
    """1 + the number of models whose mean is separably better; models that cannot be told apart share it."""

    @property
    def num_covered(self) -> int:
        """Columns with a record."""
        return sum(cell is not None for cell in self.cells)

    @property
    def coverage(self) -> str:
        """Columns with a record, of all: ``7/8``."""
        return f"{self.num_covered}/{len(self.cells)}"


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A value of the tasks themselves, such as chance; None where no record states it."""

    name: str
    """In words."""
    values: tuple[float | None, ...]
    kind: Literal["floor", "ceiling", "note"]
    """A floor that needs no model, a ceiling that no model can exceed, or a number below the table only."""
    models: tuple[str, ...] = ()
    """Whose ceiling it is, where models have different ones."""


@dataclass(frozen=True, kw_only=True)
class PublishedRow:
    """One method's printed numbers, as fractions; never compared with measured ones."""

    label: str
    about: dict[str, str]
    """Cells that describe the method, as printed or in words; empty where the source does not say."""
    cells: dict[str, str]
    """What makes it a row of its own, as the file writes it."""
    pretraining: tuple[tuple[str, str], ...]
    """Data and epochs of each of its numbers, once; empty where the source does not say."""
    values: tuple[float | None, ...]
    marks: tuple[Mark | None, ...]
    """Among rows of the same section and backbone."""
    axis_means: tuple[float | None, ...]
    """From the printed numbers; no paper prints them."""
    mean: float | None
    """As printed."""
    mean_mark: Mark | None
    recomputed_mean: float | None
    """From the printed numbers."""
    source: str
    origin: Literal["published", "imported"]


@dataclass(frozen=True, kw_only=True)
class PublishedSection:
    """Published rows below one heading."""

    title: str
    rows: tuple[PublishedRow, ...]


@dataclass(frozen=True, kw_only=True)
class Delta:
    """Measured minus published, for one model in one column, with the measured interval moved along."""

    model: str
    published: str
    column: int
    value: float
    low: float
    high: float
    verdict: str
    """reproduced (the published number lies in the measured interval), within n points, or off."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How complete the scored split of a dataset was, and for which models."""

    dataset: str
    world: str
    num_expected: int
    num_found: int
    num_scored: int
    num_failed: int
    num_official: int
    """Samples of the official list; more than expected where a shorter one was declared complete."""
    num_shared_groups: int
    """Groups with samples in train and in the scored split."""
    manifest: str
    models: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class BoardTable:
    """A board filled with what was measured and what was published."""

    name: str
    title: str
    note: str
    about: tuple[str, ...]
    columns: tuple[Column, ...]
    axes: tuple[str, ...]
    """Groups of columns whose means are shown as well."""
    mean_label: str | None
    rows: tuple[Row, ...]
    references: tuple[Reference, ...]
    sections: tuple[PublishedSection, ...]
    published_note: str
    deltas: tuple[Delta, ...]
    counts: tuple[Counts, ...]
    levels: tuple[float, ...]
    """Levels of the intervals shown; one in the usual case."""

    @property
    def published(self) -> tuple[PublishedRow, ...]:
        """All published rows, without their headings."""
        return tuple(row for section in self.sections for row in section.rows)

    @property
    def worlds(self) -> tuple[str, ...]:
        """Worlds the numbers were measured in: official, mini, user."""
        return tuple(sorted({counts.world for counts in self.counts}))

    @property
    def record_ids(self) -> tuple[str, ...]:
        """Every record behind the table, once, in reading order."""
        cells = [cell for row in self.rows for cell in row.cells if cell is not None]
        return tuple(dict.fromkeys(name for cell in cells for name in cell.record_ids))
