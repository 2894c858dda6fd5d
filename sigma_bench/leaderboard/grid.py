"""The grid: a BoardTable laid out as text, the same for every renderer: headers, sections, lines, marked entries."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby

from sigma_bench.leaderboard.board_table import BoardTable, Cell, Delta, Mark, PublishedRow, Row
from sigma_bench.leaderboard.notes import footnotes
from sigma_bench.leaderboard.numbers import DAGGER, DOUBLE_DAGGER, MINUS, MISSING, number, percent, seeds, signed

_ABOUT = {
    "backbone": "Backbone",
    "pretrain_data": "Pretraining data",
    "pretrain_epochs": "Epochs",
    "extra_data": "Extra data",
    "motion_guided": "Motion guided",
    "parameters": "Params",
}


@dataclass(frozen=True)
class Entry:
    """What stands in one cell: the number, what is said about it in smaller print, and its mark."""

    text: str
    interval: str = ""
    spread: str = ""
    mark: Mark | None = None


@dataclass(frozen=True)
class Line:
    """One row."""

    label: str
    about: tuple[str, ...]
    entries: tuple[Entry, ...]
    coverage: str = ""
    is_reference: bool = False


@dataclass(frozen=True)
class Section:
    """Lines below a heading; an empty heading is not shown."""

    title: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Grid:
    """A table as text."""

    title: str
    about: tuple[str, ...]
    """Headers of the columns that describe a row."""
    groups: tuple[tuple[str, int], ...]
    """Headers over groups of value columns and how many each spans."""
    labels: tuple[str, ...]
    """Headers of the value columns."""
    sections: tuple[Section, ...]
    has_coverage: bool
    notes: tuple[str, ...]


def grid(table: BoardTable) -> Grid:
    """Lay a board out."""
    about = [key for key in table.about if _is_filled(table, key)]
    headings = [column.heading for column in table.columns] + ([""] if table.mean_label else [])
    labels = [column.label for column in table.columns] + ([table.mean_label] if table.mean_label else [])
    return Grid(
        title=table.title,
        about=tuple(_ABOUT[key] for key in about),
        groups=tuple((heading, len(list(columns))) for heading, columns in groupby(headings)),
        labels=tuple(labels),
        sections=tuple(section for section in _sections(table, about) if section.lines),
        has_coverage=bool(table.rows),
        notes=footnotes(table),
    )


def _sections(table: BoardTable, about: list[str]) -> list[Section]:
    width = len(table.columns) + (table.mean_label is not None)
    measured = [_measured_line(table, row, about) for row in table.rows]
    for reference in table.references:
        values = [
            MISSING if value is None else number(value, column.metric)
            for value, column in zip(reference.values, table.columns, strict=True)
        ]
        entries = tuple(map(Entry, values + [""] * (width - len(values))))
        measured.append(Line(reference.name, ("",) * len(about), entries, is_reference=True))
    sections = [Section("", tuple(measured))]
    lines = [_delta_line(table, deltas, about) for deltas in _by_model(table.deltas).values()]
    sections.append(Section(f"Measured {MINUS} published {DAGGER}", tuple(lines)))
    opening = f"{DAGGER} {table.published_note}" if table.rows else ""
    for section in table.sections:
        title = ": ".join(part for part in (opening, section.title) if part)
        sections.append(Section(title, tuple(_published_line(table, row, about) for row in section.rows)))
        opening = ""
    return sections


def _measured_line(table: BoardTable, row: Row, about: list[str]) -> Line:
    entries = [_entry(cell, column.metric) for cell, column in zip(row.cells, table.columns, strict=True)]
    if table.mean_label:
        entries.append(Entry(MISSING if row.mean is None else percent(row.mean)))
    label = f"{row.rank}. {row.model}" if row.rank is not None else row.model
    return Line(label, _picked(_about_measured(row), about), tuple(entries), row.coverage)


def _entry(cell: Cell | None, metric: str) -> Entry:
    if cell is None:
        return Entry(MISSING)
    ends = f"[{number(cell.low, metric)}, {number(cell.high, metric)}]"
    return Entry(number(cell.value, metric), ends, seeds(cell, metric), cell.mark)


def _delta_line(table: BoardTable, deltas: list[Delta], about: list[str]) -> Line:
    entries = [Entry(MISSING)] * (len(table.columns) + (table.mean_label is not None))
    for delta in deltas:
        metric = table.columns[delta.column].metric
        ends = f"[{signed(delta.low, metric)}, {signed(delta.high, metric)}]"
        entries[delta.column] = Entry(signed(delta.value, metric), ends, delta.verdict)
    return Line(f"{deltas[0].model} {MINUS} {deltas[0].published} {DAGGER}", ("",) * len(about), tuple(entries))


def _published_line(table: BoardTable, row: PublishedRow, about: list[str]) -> Line:
    mark = DAGGER if row.origin == "published" else DOUBLE_DAGGER
    after = mark if table.rows else ""
    entries = [
        Entry(MISSING if value is None else number(value, column.metric) + after, mark=best)
        for value, best, column in zip(row.values, row.marks, table.columns, strict=True)
    ]
    if table.mean_label:
        entries.append(Entry(MISSING if row.mean is None else percent(row.mean) + after, mark=row.mean_mark))
    return Line(f"{row.label} {mark}", _picked(row.about, about), tuple(entries))


def _by_model(deltas: tuple[Delta, ...]) -> dict[str, list[Delta]]:
    found: dict[str, list[Delta]] = {}
    for delta in deltas:
        found.setdefault(delta.model, []).append(delta)
    return found


def _about_measured(row: Row) -> dict[str, str]:
    return {
        "pretrain_data": row.pretraining_data or "",
        "pretrain_epochs": "" if row.pretraining_epochs is None else str(row.pretraining_epochs),
        "parameters": "" if row.num_parameters is None else f"{row.num_parameters / 1e6:.1f} M",
    }


def _picked(cells: Mapping[str, str], about: list[str]) -> tuple[str, ...]:
    return tuple(cells.get(key, "") for key in about)


def _is_filled(table: BoardTable, key: str) -> bool:
    measured = any(_about_measured(row).get(key) for row in table.rows)
    return measured or any(row.about.get(key) for row in table.published)
