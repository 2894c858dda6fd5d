"""Renderers: a BoardTable as a terminal table, Markdown or CSV.  Percent exist here and nowhere before."""

import csv
import io
import textwrap

from rich import box
from rich.table import Table
from rich.text import Text

from sigma_bench.leaderboard.board_table import BoardTable, Cell, Counts

MISSING = "–"
DAGGER = "†"
_CSV_COLUMNS = (
    *("board", "origin", "model", "task", "metric", "value", "low", "high"),
    *("num_seeds", "seed_std", "among_best", "record_ids", "source"),
)
_WORLDS = {
    "mini": "mini world",
    "official": "official data",
    "user": "the user's own data",
    "transcoded": "transcoded videos",
}


def percent(value: float) -> str:
    """A fraction as percent with one decimal."""
    return f"{100 * value:.1f}"


def interval(cell: Cell) -> str:
    """A cell's interval in percent, such as ``70.1–77.2``."""
    return f"{percent(cell.low)}–{percent(cell.high)}"


def seeds(cell: Cell) -> str:
    """Spread over seeds, ``±0.8, n=3``; empty for one seed."""
    return "" if cell.seed_std is None else f"±{percent(cell.seed_std)}, n={cell.num_seeds}"


def terminal_table(table: BoardTable) -> Table:
    """A rich table that fits into 100 columns; its caption holds the footnotes."""
    shown = Table(
        title=Text(table.title),
        caption=Text("\n".join(footnotes(table))),
        caption_justify="left",
        box=box.HORIZONTALS,
        padding=0,
        pad_edge=False,
        show_edge=False,
    )
    shown.add_column("Model", overflow="fold", min_width=14)
    for heading in _terminal_headings(table):
        shown.add_column(Text(heading), justify="right", no_wrap=True)
    for row in table.rows:
        name = Text.assemble((row.model, ""), (f"\n{row.coverage}", "dim"))
        shown.add_row(name, *(_terminal_cell(cell) for cell in row.cells))
    for reference in table.references:
        values = [MISSING if value is None else percent(value) for value in reference.values]
        shown.add_row(Text(reference.name, style="italic"), *values)
    shown.add_section()
    for published in table.published:
        values = [MISSING if value is None else percent(value) + DAGGER for value in published.values]
        shown.add_row(Text(f"{published.label} {DAGGER}"), *values)
    return shown


def markdown(table: BoardTable) -> str:
    """A Markdown table with its footnotes as a list."""
    headings = [f"{column.heading} {column.label}" for column in table.columns]
    lines = [_line(["Model", *headings, "covered"]), _line(["---", *("---:" for _ in headings), "---:"])]
    lines += [_line([row.model, *(_markdown_cell(cell) for cell in row.cells), row.coverage]) for row in table.rows]
    for reference in table.references:
        values = [MISSING if value is None else percent(value) for value in reference.values]
        lines.append(_line([f"_{reference.name}_", *values, ""]))
    if table.published:
        lines.append(_line([f"_{DAGGER} {table.published_note}_", *("" for _ in headings), ""]))
    for published in table.published:
        values = [MISSING if value is None else f"{percent(value)}{DAGGER}" for value in published.values]
        lines.append(_line([f"{published.label} {DAGGER}", *values, ""]))
    notes = [f"- {note}" for note in footnotes(table)]
    return "\n".join([f"## {table.title}", "", *lines, "", *notes, ""])


def csv_text(table: BoardTable) -> str:
    """Long format, one line per filled cell: fractions in full precision, record ids separated by spaces."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_CSV_COLUMNS)
    for row in table.rows:
        for column, cell in zip(table.columns, row.cells, strict=True):
            if cell is not None:
                writer.writerow((table.name, "measured", row.model, column.task, column.metric, *_csv_cell(cell), None))
    for published in table.published:
        for column, value in zip(table.columns, published.values, strict=True):
            if value is not None:
                place = (table.name, "published", published.label, column.task, column.metric, value)
                writer.writerow((*place, None, None, None, None, None, None, published.source))
    return stream.getvalue()


def footnotes(table: BoardTable) -> tuple[str, ...]:
    """What a reader must know to read the table: marks, uncertainty, completeness of the data, sources."""
    notes = [table.note] if table.note else []
    if any(row.num_covered for row in table.rows):
        notes.append(f"Percent with {level_words(table)} bootstrap intervals over test units. {_bold_words(table)}")
    else:
        notes.append("No record fits this board yet.")
    if any(cell is not None and cell.num_seeds > 1 for row in table.rows for cell in row.cells):
        notes.append("Several seeds (n): value and interval ends are means; ± is the standard deviation over seeds.")
    if any(row.num_covered < len(row.cells) for row in table.rows):
        notes.append(f"{MISSING} not measured. The fraction beside a model counts its measured columns.")
    by_dataset: dict[str, list[Counts]] = {}
    for counts in table.counts:
        by_dataset.setdefault(counts.dataset, []).append(counts)
    notes += [_counts_words(dataset, counts) for dataset, counts in by_dataset.items()]
    if table.published:
        notes.append(f"{DAGGER} {table.published_note}")
        for source in dict.fromkeys(row.source for row in table.published):
            labels = ", ".join(row.label for row in table.published if row.source == source)
            notes.append(f"{DAGGER} {labels}: {source}")
    return tuple(notes)


def level_words(table: BoardTable) -> str:
    """Level of the intervals: ``95 %``."""
    return " or ".join(f"{100 * level:g} %" for level in table.levels)


def _bold_words(table: BoardTable) -> str:
    lower = [f"{c.heading} {c.label}" for c in table.columns if c.higher_is_better is False]
    direction = f" Lower is better in {', '.join(lower)}." if lower else ""
    return f"Bold: not separable from the best of its column, that is, the intervals overlap.{direction}"


def _counts_words(dataset: str, counts: list[Counts]) -> str:
    """One line per dataset; where models were measured on different files, every variant names its models."""
    variants = []
    for entry in counts:
        words = f"expected {entry.num_expected}, found {entry.num_found}, scored {entry.num_scored}"
        failed = f", {entry.num_failed} not decoded" if entry.num_failed else ""
        models = f" ({', '.join(entry.models)})" if len(counts) > 1 else ""
        variants.append(words + failed + models)
    differ = " Different files:" if len({entry.manifest for entry in counts}) > 1 else ""
    worlds = " and ".join(sorted({_WORLDS.get(entry.world, entry.world) for entry in counts}))
    return f"{dataset} ({worlds}):{differ} {'; '.join(variants)}."


def _terminal_headings(table: BoardTable) -> list[str]:
    """Group and what it asks above the first column of a group, the label above each."""
    headings = []
    for index, column in enumerate(table.columns):
        opens = index == 0 or table.columns[index - 1].heading != column.heading
        above = [column.group, column.asks or ""] if opens else ["", ""]
        below = textwrap.wrap(column.label, 10, break_long_words=False) or [""]
        headings.append([*above, *below])
    height = max(map(len, headings))
    return ["\n".join(lines + [""] * (height - len(lines))) for lines in headings]


def _terminal_cell(cell: Cell | None) -> Text:
    if cell is None:
        return Text(MISSING)
    spread = f"\n{seeds(cell).replace(', ', chr(10))}" if cell.num_seeds > 1 else ""
    return Text.assemble(
        (percent(cell.value), "bold" if cell.among_best else ""), (f"\n{interval(cell)}{spread}", "dim")
    )


def _csv_cell(cell: Cell) -> tuple[object, ...]:
    best, ids = str(cell.among_best).lower(), " ".join(cell.record_ids)
    return cell.value, cell.low, cell.high, cell.num_seeds, cell.seed_std, best, ids


def _markdown_cell(cell: Cell | None) -> str:
    if cell is None:
        return MISSING
    value = f"**{percent(cell.value)}**" if cell.among_best else percent(cell.value)
    return f"{value} [{percent(cell.low)}, {percent(cell.high)}]" + (f" {seeds(cell)}" if cell.num_seeds > 1 else "")


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
