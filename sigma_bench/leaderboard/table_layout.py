"""The layout of a board as text, the same for every renderer: headers, sections, lines, marked entries."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from itertools import groupby
from typing import Any, Literal

from sigma_bench.leaderboard.board_table import BoardTable, Cell, Column, Delta, Mark, PublishedRow, Row
from sigma_bench.leaderboard.notes import footnotes, is_coverage_explained
from sigma_bench.leaderboard.numbers import (
    COMPUTED,
    DAGGER,
    DOUBLE_DAGGER,
    MINUS,
    MISSING,
    number,
    percent,
    repeats,
    seeds,
    signed,
)
from sigma_bench.records.published import is_higher_better as is_published_higher_better
from sigma_bench.specs.untrusted import with_visible_controls

_ABOUT = {
    "backbone": "Backbone",
    "pretrain_data": "Pretraining data",
    "pretrain_epochs": "Epochs",
    "extra_data": "Extra data",
    "motion_guided": "Motion guided",
    "parameters": "Params",
}
Origin = Literal["measured", "reference", "difference", "published", "imported"]


@dataclass(frozen=True)
class Entry:
    """Content of one cell: the number, additions in small print, and the mark."""

    text: str
    interval: str = ""
    spread: str = ""
    mark: Mark | None = None
    value: float | None = None
    """Value as a fraction, for sorting."""
    record_ids: tuple[str, ...] = ()
    """Ids of the records, one per seed."""
    seed_texts: tuple[str, ...] = ()
    """Number of each record as text."""


@dataclass(frozen=True)
class Line:
    """One row."""

    label: str
    about: tuple[str, ...]
    entries: tuple[Entry, ...]
    coverage: str = ""
    origin: Origin = "measured"
    model: str = ""
    """Family, size and pretraining of a measured model."""
    identifier: str = ""
    """Name of a measured model in records."""
    facts: tuple[tuple[str, str], ...] = ()
    """Source of the numbers of a published row, as terms and descriptions."""

    @property
    def is_reference(self) -> bool:
        """Whether the line holds reference values of the tasks, such as chance."""
        return self.origin == "reference"


@dataclass(frozen=True)
class Section:
    """Lines below a heading; an empty heading is not shown."""

    title: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Header:
    """Header of a value column."""

    group: str
    """Header over this column and its neighbours of the same group; empty for none."""
    label: str
    opens: bool
    """Whether the column is the first one of its group."""
    small: tuple[str, ...] = ()
    """Metric and protocol of a measured column."""
    lower_is_better: bool = False

    @property
    def place(self) -> str:
        """Group and label, as in a table with one line of headers."""
        return f"{self.group} {self.label}".strip()


@dataclass(frozen=True)
class TableLayout:
    """A table as text."""

    title: str
    about: tuple[str, ...]
    """Headers of the columns that describe a row."""
    headers: tuple[Header, ...]
    """Headers of the value columns."""
    sections: tuple[Section, ...]
    has_coverage: bool
    is_coverage_explained: bool
    """Whether some columns of a measured model are missing, so that a note explains the fractions."""
    notes: tuple[str, ...]

    @property
    def groups(self) -> tuple[tuple[str, int], ...]:
        """Headers over groups of value columns, and the number of columns that each spans."""
        runs = groupby(header.group for header in self.headers)
        return tuple((group, len(list(columns))) for group, columns in runs)

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the value columns."""
        return tuple(header.label for header in self.headers)


def layout(table: BoardTable, *, has_styles: bool = True) -> TableLayout:
    """Lay a board out, with the notes of an output that has styles or none."""
    about = [key for key in table.about if _is_filled(table, key)]
    laid_out = TableLayout(
        title=table.title,
        about=tuple(_ABOUT[key] for key in about),
        headers=tuple(_headers(table)),
        sections=tuple(section for section in _sections(table, about) if section.lines),
        has_coverage=bool(table.rows),
        is_coverage_explained=is_coverage_explained(table),
        notes=footnotes(table, has_styles=has_styles),
    )
    shown: TableLayout = _shown(laid_out)
    return shown


def _headers(table: BoardTable) -> Iterator[Header]:
    before = None
    for column in table.columns:
        small = tuple(word for word in (column.metric, column.protocol) if word)
        yield Header(column.heading, column.label, column.heading != before, small, not is_higher_better(column))
        before = column.heading
    for place, axis in enumerate(table.axes):
        yield Header("Axis means", axis, opens=place == 0)
    if table.mean_label:
        yield Header("", table.mean_label, opens=True)


def _shown(value: Any) -> Any:
    """A copy whose texts are all safe to show, so that renderers need not handle control characters."""
    if isinstance(value, str):
        return with_visible_controls(value)
    if isinstance(value, tuple):
        return tuple(map(_shown, value))
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{field.name: _shown(getattr(value, field.name)) for field in fields(value)})
    return value


def is_higher_better(column: Column) -> bool:
    """Whether higher values are better in a column, including columns without records."""
    if column.higher_is_better is not None:
        return column.higher_is_better
    return is_published_higher_better(column.metric)


def _sections(table: BoardTable, about: list[str]) -> list[Section]:
    width = _width(table)
    measured = [_measured_line(table, row, about) for row in table.rows]
    for reference in table.references:
        if reference.kind == "note":
            continue
        values = [
            MISSING if value is None else number(value, column.metric)
            for value, column in zip(reference.values, table.columns, strict=True)
        ]
        entries = tuple(map(Entry, values + [""] * (width - len(values))))
        measured.append(Line(reference.name, ("",) * len(about), entries, origin="reference"))
    sections = [Section("", tuple(measured))]
    lines = [_delta_line(table, deltas, about) for deltas in _by_model(table.deltas).values()]
    sections.append(Section(f"Measured {MINUS} published {DAGGER}", tuple(lines)))
    opening = f"{DAGGER} {table.published_note}" if table.rows and table.published_note else ""
    for section in table.sections:
        title = ": ".join(part for part in ("" if section.is_context else opening, section.title) if part)
        sections.append(Section(title, tuple(_published_line(table, row, about) for row in section.rows)))
        opening = ""
    return sections


def _measured_line(table: BoardTable, row: Row, about: list[str]) -> Line:
    entries = [_entry(cell, column.metric) for cell, column in zip(row.cells, table.columns, strict=True)]
    entries += [Entry(MISSING if mean is None else percent(mean), value=mean) for mean in row.axis_means]
    if table.mean_label:
        entries.append(Entry(MISSING if row.mean is None else percent(row.mean), value=row.mean))
    return Line(
        f"{row.rank}. {row.name}" if row.rank is not None else row.name,
        _picked(_about_measured(row), about),
        tuple(entries),
        row.coverage,
        model=_model_words(row),
        identifier=row.model,
    )


def _model_words(row: Row) -> str:
    if row.family is None:
        return "not measured"
    size = f"{row.num_parameters / 1e6:.1f} M parameters" if row.num_parameters else ""
    unknown = "not pretrained" if row.is_control else "pretraining data unknown"
    data = f"pretrained on {row.pretraining_data}" if row.pretraining_data else unknown
    family = "" if row.family == row.name else row.family
    return ", ".join(part for part in (family, size, data) if part)


def _entry(cell: Cell | None, metric: str) -> Entry:
    if cell is None:
        return Entry(MISSING)
    ends = f"[{number(cell.low, metric)}, {number(cell.high, metric)}]"
    return Entry(
        number(cell.value, metric),
        ends,
        ", ".join(part for part in (seeds(cell, metric), repeats(cell, metric)) if part),
        cell.mark,
        cell.value,
        cell.record_ids,
        tuple(number(value, metric) for value in cell.seed_values),
    )


def _delta_line(table: BoardTable, deltas: list[Delta], about: list[str]) -> Line:
    entries = [Entry(MISSING)] * _width(table)
    for delta in deltas:
        metric = table.columns[delta.column].metric
        ends = f"[{signed(delta.low, metric)}, {signed(delta.high, metric)}]"
        entries[delta.column] = Entry(signed(delta.value, metric), ends, delta.verdict, value=delta.value)
    label = f"{table.names[deltas[0].model]} {MINUS} {deltas[0].published} {DAGGER}"
    return Line(label, ("",) * len(about), tuple(entries), origin="difference")


def _published_line(table: BoardTable, row: PublishedRow, about: list[str]) -> Line:
    mark = DAGGER if row.origin == "published" else DOUBLE_DAGGER
    after = mark if table.rows else ""
    entries = [
        Entry(MISSING if value is None else number(value, column.metric) + after, mark=best, value=value)
        for value, best, column in zip(row.values, row.marks, table.columns, strict=True)
    ]
    entries += [Entry(MISSING if m is None else percent(m) + COMPUTED, value=m) for m in row.axis_means]
    if table.mean_label:
        mean = MISSING if row.mean is None else percent(row.mean) + after
        entries.append(Entry(mean, mark=row.mean_mark, value=row.mean))
    told = tuple((_ABOUT.get(key, key.capitalize()), cell) for key, cell in row.cells.items() if cell)
    printed = table.published_note or "published, as printed"
    note = printed if row.origin == "published" else "imported by the user; neither measured nor checked"
    return Line(
        f"{row.label} {mark}",
        _picked(row.about, about),
        tuple(entries),
        origin=row.origin,
        facts=(*told, ("Source", row.source), ("Note", note)),
    )


def _width(table: BoardTable) -> int:
    """Number of value columns."""
    return len(table.columns) + len(table.axes) + (table.mean_label is not None)


def _by_model(deltas: tuple[Delta, ...]) -> dict[str, list[Delta]]:
    found: dict[str, list[Delta]] = {}
    for delta in deltas:
        found.setdefault(delta.model, []).append(delta)
    return found


def _about_measured(row: Row) -> dict[str, str]:
    return {
        "pretrain_data": row.pretraining_data or "",
        "pretrain_epochs": str(row.pretraining_epochs) if row.pretraining_epochs else "",
        "parameters": "" if row.num_parameters is None else f"{row.num_parameters / 1e6:.1f} M",
    }


def _picked(cells: Mapping[str, str], about: list[str]) -> tuple[str, ...]:
    return tuple(cells.get(key, "") for key in about)


def _is_filled(table: BoardTable, key: str) -> bool:
    measured = any(_about_measured(row).get(key) for row in table.rows)
    return measured or any(row.about.get(key) for row in table.published)
