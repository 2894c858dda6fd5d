"""Renderers for reading: a board as a terminal table and as Markdown."""

import textwrap

from rich import box
from rich.table import Table
from rich.text import Text

from sigma_bench.leaderboard.board_table import BoardTable
from sigma_bench.leaderboard.grid import Entry, Grid, grid

_STYLES = {"best": "bold", "second": "underline", None: ""}


def terminal_table(table: BoardTable) -> Table:
    """A rich table that fits into 100 columns; its caption holds the footnotes."""
    laid_out = grid(table)
    shown = Table(
        title=Text(laid_out.title),
        caption=Text("\n".join(laid_out.notes)),
        caption_justify="left",
        box=box.HORIZONTALS,
        padding=0,
        pad_edge=False,
        show_edge=False,
    )
    longest = max((len(line.label) for section in laid_out.sections for line in section.lines), default=0)
    shown.add_column("Model", overflow="fold", min_width=14, max_width=max(14, longest))
    for heading in laid_out.about:
        shown.add_column(Text(heading))
    for heading in _terminal_headings(laid_out):
        shown.add_column(Text(heading), justify="right", no_wrap=True)
    for section in laid_out.sections:
        if section.title:
            shown.add_section()
            shown.add_row(Text(section.title, style="italic"))
        for line in section.lines:
            coverage = f"\n{line.coverage}" if line.coverage else ""
            name = Text.assemble((line.label, "italic" if line.is_reference else ""), (coverage, "dim"))
            shown.add_row(name, *map(Text, line.about), *map(_terminal_entry, line.entries))
    return shown


def markdown(table: BoardTable) -> str:
    """A Markdown table with its footnotes as a list."""
    laid_out = grid(table)
    spans = [heading for heading, width in laid_out.groups for _ in range(width)]
    headings = [f"{group} {label}".strip() for group, label in zip(spans, laid_out.labels, strict=True)]
    covered = ["covered"] if laid_out.has_coverage else []
    lines = [
        _line(["Model", *laid_out.about, *headings, *covered]),
        _line(["---"] * (1 + len(laid_out.about)) + ["---:"] * (len(headings) + len(covered))),
    ]
    width = len(laid_out.about) + len(headings) + len(covered)
    for section in laid_out.sections:
        lines += [_line([f"_{section.title}_", *[""] * width])] if section.title else []
        for line in section.lines:
            label = f"_{line.label}_" if line.is_reference else line.label
            entries = map(_markdown_entry, line.entries)
            lines.append(_line([label, *line.about, *entries, *([line.coverage] if covered else [])]))
    notes = [f"- {note}" for note in laid_out.notes]
    return "\n".join([f"## {laid_out.title}", "", *lines, "", *notes, ""])


def _terminal_headings(laid_out: Grid) -> list[str]:
    """Group and what it asks above the first column of a group, the label above each."""
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
    small = [entry.interval.strip("[]").replace(", ", "–"), *entry.spread.split(", ")]
    below = "".join(f"\n{words}" for words in small if words)
    return Text.assemble((entry.text, _STYLES[entry.mark]), (below, "dim"))


def _markdown_entry(entry: Entry) -> str:
    marked = {"best": f"**{entry.text}**", "second": f"<ins>{entry.text}</ins>", None: entry.text}[entry.mark]
    return " ".join(part for part in (marked, entry.interval, entry.spread) if part)


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
