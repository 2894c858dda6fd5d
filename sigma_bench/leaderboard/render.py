"""A board as a terminal table and as Markdown."""

import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import accumulate

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from sigma_bench.leaderboard.board_table import BoardTable
from sigma_bench.leaderboard.escaping import markdown_text
from sigma_bench.leaderboard.notes import brief_notes
from sigma_bench.leaderboard.table_layout import Entry, Line, Section, TableLayout, layout

_LEAST_LABEL = 14
"""Width to which longer model names are folded before columns move to another table."""
_UNBOUNDED = 100_000
_STYLES = {"best": "bold", "second": "underline", None: ""}


def terminal_table(table: BoardTable, *, details: bool = True) -> "TerminalBoard":
    """A board that rich prints as one or several tables.

    Args:
        details: whether all rows, deviations and notes are shown; otherwise measured scores with their intervals,
            floors such as chance, and what the marks mean.
    """
    return TerminalBoard(table, details)


@dataclass(frozen=True)
class TerminalBoard:
    """A board as one table, or as several below each other if the terminal is too narrow; numbers are never cut.

    Groups of columns stay together if they fit.  Each table begins with the names of the models; only the first one
    has the columns that describe them.  The notes follow the last table.
    """

    table: BoardTable
    details: bool

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        lay_out = layout if self.details else _brief_layout
        laid_out = lay_out(self.table, has_styles=console.color_system is not None)
        unbounded = options.update(max_width=_UNBOUNDED)

        def fits(part: TableLayout) -> bool:
            narrow = _table(part, longest_label=_LEAST_LABEL)
            return Measurement.get(console, unbounded, narrow).maximum <= options.max_width

        for part in _parts(laid_out, fits):
            yield _table(part, longest_label=_longest_label(part))
            yield Text("")
        yield Text("\n".join(laid_out.notes), style="table.caption")


def _brief_layout(table: BoardTable, *, has_styles: bool) -> TableLayout:
    """The layout of measured scores with intervals and of floors; details are left out."""
    rows = tuple(row for row in table.rows if row.num_covered)
    floors = tuple(reference for reference in table.references if reference.kind == "floor")
    measured = replace(table, rows=rows, references=floors, sections=(), deltas=())
    whole = layout(measured)
    lines = [line for section in whole.sections for line in section.lines]
    brief = tuple(
        replace(line, coverage="", entries=tuple(replace(entry, spread="") for entry in line.entries)) for line in lines
    )
    notes = brief_notes(measured, has_styles=has_styles)
    return replace(whole, sections=(Section("", brief),), notes=notes)


def _parts(whole: TableLayout, fits: Callable[[TableLayout], bool]) -> list[TableLayout]:
    """A layout divided into as few layouts as possible that fit; a group that is too wide is divided as well."""
    ends = list(accumulate(width for _, width in whole.groups))
    parts: list[list[int]] = [[]]

    def fit(columns: list[int]) -> bool:
        return fits(_part(whole, columns, is_first=len(parts) == 1))

    for end, (_, width) in zip(ends, whole.groups, strict=True):
        group = list(range(end - width, end))
        if parts[-1] and not fit(parts[-1] + group):
            parts.append([])
        for column in group:
            if parts[-1] and not fit([*parts[-1], column]):
                parts.append([])
            parts[-1].append(column)
    return [_part(whole, columns, is_first=number == 0) for number, columns in enumerate(parts)]


def _part(whole: TableLayout, columns: list[int], *, is_first: bool) -> TableLayout:
    """Some columns of a layout, with their headers."""

    def part(line: Line) -> Line:
        about, coverage = (line.about, line.coverage) if is_first else ((), "")
        return replace(line, about=about, coverage=coverage, entries=tuple(line.entries[i] for i in columns))

    return replace(
        whole,
        title=whole.title if is_first else f"{whole.title}, continued",
        about=whole.about if is_first else (),
        headers=tuple(whole.headers[column] for column in columns),
        sections=tuple(replace(section, lines=tuple(map(part, section.lines))) for section in whole.sections),
    )


def _longest_label(shown: TableLayout) -> int:
    labels = (len(line.label) for section in shown.sections for line in section.lines)
    return max(_LEAST_LABEL, *labels, 0)


def _table(laid_out: TableLayout, longest_label: int) -> Table:
    shown = Table(
        title=Text(laid_out.title),
        box=box.HORIZONTALS,
        padding=0,
        pad_edge=False,
        show_edge=False,
    )
    shown.add_column("Model", overflow="fold", min_width=_LEAST_LABEL, max_width=longest_label)
    for heading in laid_out.about:
        shown.add_column(Text(heading))
    for heading in _terminal_headings(laid_out):
        shown.add_column(Text(heading), justify="right", no_wrap=True)
    for section in laid_out.sections:
        if section.title:
            shown.add_section()
            shown.add_row(Text(section.title, style="italic"))
        for line in section.lines:
            coverage = f"\n{line.coverage}" if line.coverage and laid_out.is_coverage_explained else ""
            name = Text.assemble((line.label, "italic" if line.is_reference else ""), (coverage, "dim"))
            shown.add_row(name, *map(Text, line.about), *map(_terminal_entry, line.entries))
    return shown


def markdown(table: BoardTable) -> str:
    """A Markdown table with its footnotes as a list."""
    laid_out = layout(table)
    headings = [header.place for header in laid_out.headers]
    covered = ["covered"] if laid_out.has_coverage else []
    lines = [
        _line(["Model", *map(markdown_text, laid_out.about), *map(markdown_text, headings), *covered]),
        _line(["---"] * (1 + len(laid_out.about)) + ["---:"] * (len(headings) + len(covered))),
    ]
    width = len(laid_out.about) + len(headings) + len(covered)
    for section in laid_out.sections:
        lines += [_line([f"_{markdown_text(section.title)}_", *[""] * width])] if section.title else []
        for line in section.lines:
            name = markdown_text(line.label)
            label = f"_{name}_" if line.is_reference else name
            entries = map(_markdown_entry, line.entries)
            lines.append(
                _line([label, *map(markdown_text, line.about), *entries, *([line.coverage] if covered else [])])
            )
    notes = [f"- {markdown_text(note)}" for note in laid_out.notes]
    return "\n".join([f"## {markdown_text(laid_out.title)}", "", *lines, "", *notes, ""])


def _terminal_headings(laid_out: TableLayout) -> list[str]:
    """Headers of several lines: the group above its first column, and the label of each column."""
    headings = []
    for heading, width in laid_out.groups:
        group, _, asks = heading.partition(" (")
        above = [*textwrap.wrap(group, 11, break_long_words=False), *([asks.rstrip(")")] if asks else [])]
        headings += [above] + [[]] * (width - 1)
    height = max(map(len, headings))
    labels = [textwrap.wrap(label, 10, break_long_words=False) or [""] for label in laid_out.labels]
    below = max(map(len, labels))
    return [
        "\n".join([*above, *[""] * (height - len(above)), *label, *[""] * (below - len(label))])
        for above, label in zip(headings, labels, strict=True)
    ]


def _terminal_entry(entry: Entry) -> Text:
    small = [entry.interval.strip("[]").replace(", ", "–"), *entry.spread.replace(", ±", "\n±").split("\n")]
    below = "".join(f"\n{words}" for words in small if words)
    return Text.assemble((entry.text, _STYLES[entry.mark]), (below, "dim"))


def _markdown_entry(entry: Entry) -> str:
    marked = {"best": f"**{entry.text}**", "second": f"<ins>{entry.text}</ins>", None: entry.text}[entry.mark]
    return " ".join(part for part in (marked, entry.interval, entry.spread) if part)


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(" ".join(cell.splitlines()) for cell in cells) + " |"
