"""Exports: a board as files, its cells as CSV, the long table as JSON Lines for pandas."""

import csv
import io
import json
from collections.abc import Iterator

import pandas as pd

from sigma_bench.leaderboard.board_table import BoardTable, Cell, PublishedRow, Row
from sigma_bench.leaderboard.escaping import csv_cell
from sigma_bench.leaderboard.latex import latex
from sigma_bench.leaderboard.render import markdown
from sigma_bench.leaderboard.select import with_unknown_epochs

_CSV_COLUMNS = (
    *("board", "origin", "model", "task", "metric", "value", "low", "high"),
    *("num_seeds", "seed_std", "repeat_std", "among_best", "record_ids", "source"),
)


def table_files(table: BoardTable, stem: str) -> dict[str, str]:
    """A board as Markdown, CSV and LaTeX: file name and content."""
    return {f"{stem}.md": markdown(table), f"{stem}.csv": csv_text(table), f"{stem}.tex": latex(table)}


def csv_text(table: BoardTable) -> str:
    """Long format, one line per filled cell: fractions in full precision, record ids separated by spaces."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_CSV_COLUMNS)
    writer.writerows(map(csv_cell, line) for line in _lines(table))
    return stream.getvalue()


def board_frame(table: BoardTable) -> pd.DataFrame:
    """The lines of ``csv_text`` as a frame."""
    return pd.DataFrame(list(_lines(table)), columns=list(_CSV_COLUMNS))


def _lines(table: BoardTable) -> Iterator[tuple[object, ...]]:
    """Filled cells, measured ones first."""
    for row in table.rows:
        for column, cell in zip(table.columns, row.cells, strict=True):
            if cell is not None:
                about = (table.name, "measured", row.model, column.task, column.metric)
                yield (*about, *_csv_cell(cell), None)
        for axis, mean in _means(table, row):
            yield (table.name, "measured", row.model, *axis, mean, *(None,) * 8)
    for published in table.published:
        quantities = [(c.task or f"{c.group} {c.label}", c.published_metric) for c in table.columns]
        quantities.append(("mean", "mean"))
        for (task, metric), value in zip(quantities, (*published.values, published.mean), strict=True):
            if value is not None:
                place = (table.name, published.origin, _full_label(published), task, metric)
                yield (*place, value, *(None,) * 7, published.source)
        for axis, mean in _axis_means(table, published):
            said = (table.name, "computed", _full_label(published), *axis, mean)
            printed_in = f"mean of numbers printed in {published.source}"
            yield (*said, *(None,) * 7, printed_in)


def jsonl(table: pd.DataFrame) -> str:
    """The long table of ``select``, one score a line: ``pandas.read_json(path, lines=True)`` reads it."""
    table = with_unknown_epochs(table)
    lines = table.astype(object).where(table.notna(), None).to_dict(orient="records")
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def _means(table: BoardTable, row: Row) -> list[tuple[tuple[str, str], float]]:
    """Task, metric and value of the means of a measured row."""
    mean = [] if row.mean is None else [(("mean", "mean"), row.mean)]
    return [*_axis_means(table, row), *mean]


def _axis_means(table: BoardTable, row: Row | PublishedRow) -> list[tuple[tuple[str, str], float]]:
    found = zip(table.axes, row.axis_means, strict=True)
    return [((axis, "axis_mean"), value) for axis, value in found if value is not None]


def _full_label(row: PublishedRow) -> str:
    """A published row's label with everything that tells it from others: ``VideoMAE (vit_s, ssv2, 2400, no)``."""
    told = {"method"} if "backbone" in row.about else {"method", "backbone"}
    more = ", ".join(cell for key, cell in row.cells.items() if cell and key not in told)
    return f"{row.label} ({more})" if more else row.label


def _csv_cell(cell: Cell) -> tuple[object, ...]:
    best, ids = str(cell.among_best).lower(), " ".join(cell.record_ids)
    return cell.value, cell.low, cell.high, cell.num_seeds, cell.seed_std, cell.repeat_std, best, ids
