"""The board as an immutable value: what every renderer shows, in fractions, with its record ids."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Column:
    """One metric of one task; what only records can say is None as long as there are none."""

    task: str
    metric: str
    label: str
    group: str
    asks: str | None
    """motion, appearance or segmentation."""
    protocol: str | None
    """Name and version, such as ``knn@1``."""
    higher_is_better: bool | None

    @property
    def heading(self) -> str:
        """Group and what it asks: ``SSv2 (motion)``."""
        return f"{self.group} ({self.asks})" if self.asks else self.group


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
    record_ids: tuple[str, ...]
    among_best: bool
    """The interval overlaps that of the column's best cell."""

    @property
    def num_seeds(self) -> int:
        """How many records are pooled."""
        return len(self.record_ids)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measured model; a cell without a record is None and enters no mean."""

    model: str
    family: str | None
    num_parameters: int | None
    pretraining_data: str | None
    cells: tuple[Cell | None, ...]

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
    values: tuple[float | None, ...]


@dataclass(frozen=True, kw_only=True)
class PublishedRow:
    """One method's printed numbers, as fractions; never compared with measured ones."""

    label: str
    values: tuple[float | None, ...]
    source: str


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How complete the scored split of a dataset was, and for which models."""

    dataset: str
    world: str
    num_expected: int
    num_found: int
    num_scored: int
    num_failed: int
    manifest: str
    models: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class BoardTable:
    """A board filled with what was measured and what was published."""

    name: str
    title: str
    note: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    references: tuple[Reference, ...]
    published: tuple[PublishedRow, ...]
    published_note: str
    counts: tuple[Counts, ...]
    levels: tuple[float, ...]
    """Levels of the intervals shown; one in the usual case."""

    @property
    def worlds(self) -> tuple[str, ...]:
        """Worlds the numbers were measured in: official, mini, user."""
        return tuple(sorted({counts.world for counts in self.counts}))

    @property
    def record_ids(self) -> tuple[str, ...]:
        """Every record behind the table, once, in reading order."""
        cells = [cell for row in self.rows for cell in row.cells if cell is not None]
        return tuple(dict.fromkeys(name for cell in cells for name in cell.record_ids))
