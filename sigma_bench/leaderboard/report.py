"""The page: boards, figures and records in one self-contained HTML file.

Style, script and pictures are part of the file; its content security policy forbids all requests.  Each number opens
its record in a dialog that ``report.js`` fills from JSON.  Only the first rows of a section are
laid out at first, so that a page of thousands of records loads quickly.  This module prepares the content,
``report.html.j2`` is the template, and ``report.css`` the style.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from sigma_bench.leaderboard.board_table import BoardTable
from sigma_bench.leaderboard.figures import Styles, axes_dots, has_axes, score_dots
from sigma_bench.leaderboard.model_styles import model_styles, names_of_records
from sigma_bench.leaderboard.notes import data_source_words, level_words
from sigma_bench.leaderboard.numbers import MISSING
from sigma_bench.leaderboard.record_view import Texts, record_view
from sigma_bench.leaderboard.summary import Statement, summary
from sigma_bench.leaderboard.table_layout import Entry, Header, Line, Section, TableLayout, layout
from sigma_bench.leaderboard.training_figure import Curves, training_curves
from sigma_bench.records.record import Record
from sigma_bench.specs.untrusted import with_visible_controls

_HERE = Path(__file__).resolve().parent
MAX_PLOTTED_MODELS = 40
"""Largest number of models in one dot plot; a larger one cannot be read."""
_NOT_DRAWN = f"No dot plot: it holds {MAX_PLOTTED_MODELS} models at most."
LONGEST_WORD = 20
"""Number of characters of a word of a model's name up to which no line breaks inside it."""
FIRST_ROWS = 100
"""Number of rows of a section that are laid out at once, so that large pages load quickly."""


@dataclass(frozen=True)
class Picture:
    """An embedded picture and what it shows in words."""

    source: str
    """A data URI."""
    alt: str
    caption: str


@dataclass(frozen=True)
class Gallery:
    """Pictures below one heading; ``kind`` is plot (lines on white) or photo."""

    title: str
    kind: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Summary:
    """The statements about a board."""

    title: str
    data: str
    """Data sources of the scores; empty if all are official."""
    statements: tuple[Statement, ...]


def render_report(
    tables: Sequence[BoardTable],
    records: Sequence[tuple[Path, Record]],
    *,
    curves: Curves,
    pictures: Mapping[str, Sequence[tuple[str, bytes]]],
    title: str,
) -> str:
    """A whole HTML page.

    Args:
        tables: the boards to show, in order.
        records: path and record of at least every record behind them; others are left out.
        curves: training logs by model, as ``training_curves`` takes them; may be empty.
        pictures: by heading, caption and PNG bytes; may be empty.
        title: heading of the page.

    Raises:
        ValueError: a record behind a table is not among ``records``, or a training log is invalid.
    """
    known = {record.id: (path, record) for path, record in records}
    cited = list(dict.fromkeys(name for table in tables for name in table.record_ids))
    missing = [name for name in cited if name not in known]
    if missing:
        raise ValueError(f"the table cites records that were not given: {', '.join(missing)}")
    boards = [_page_layout(table) for table in tables]
    styles = model_styles(tables, curves)
    style, script = ((_HERE / f"report.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    return _template().render(
        title=with_visible_controls(title),
        boards=boards,
        summaries=[shown for table in tables if (shown := _summary(table)).statements],
        plots=[_plots(table, styles) for table in tables],
        origins=_origins(boards),
        galleries=[*_curves(curves, styles), *(_photos(heading, shown) for heading, shown in pictures.items())],
        data=_data({name: known[name] for name in cited}, names_of_records(tables)),
        style=Markup(style),
        style_digest=_digest(style),
        script=Markup(script),
        script_digest=_digest(script),
    )


def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    limits = {"first_rows": FIRST_ROWS, "longest_word": LONGEST_WORD}
    return environment.get_template(
        "report.html.j2", globals={"aria": _aria, "folded": _folded, "missing": MISSING, **limits}
    )


def _page_layout(table: BoardTable) -> TableLayout:
    """The layout of a board, with a note where the board is too large for a dot plot."""
    laid_out = layout(table)
    return laid_out if _is_drawn(table) else replace(laid_out, notes=(*laid_out.notes, _NOT_DRAWN))


def _is_drawn(table: BoardTable) -> bool:
    return sum(bool(row.num_covered) for row in table.rows) <= MAX_PLOTTED_MODELS


def _summary(table: BoardTable) -> Summary:
    statements = [Statement(*map(with_visible_controls, (one.question, one.sentence))) for one in summary(table)]
    explained = {"mini": " (generated miniature datasets)"}
    sources = [data_source_words(source) + explained.get(source, "") for source in table.data_sources]
    data = f"Data: {' and '.join(sources)}." if sources != ["official data"] else ""
    return Summary(with_visible_controls(table.title), data, tuple(statements))


def _plots(table: BoardTable, styles: Styles) -> tuple[Gallery, ...]:
    if not _is_drawn(table):
        return ()
    plots = []
    if table.record_ids:
        caption = _scores_caption(table)
        alt = "Dot plot of the measured scores in the table above, one panel per column."
        plots.append(Picture(_data_uri(score_dots(table, styles).encode(), "image/svg+xml"), alt, caption))
    if has_axes(table):
        caption = (
            "Each axis is the mean of its columns, an error e counted as 1 - e. "
            "Filled: measured; hollow: published. A row is shown only if it has a value in every column of the axis."
        )
        alt = "Dot plot of the axes in the table above, one panel per axis."
        plots.append(Picture(_data_uri(axes_dots(table, styles).encode(), "image/svg+xml"), alt, caption))
    return (Gallery("In pictures", "plot", tuple(plots)),) if plots else ()


def _scores_caption(table: BoardTable) -> str:
    """What the dot plot draws."""
    has_seeds = any(cell is not None and cell.num_seeds > 1 for row in table.rows for cell in row.cells)
    has_lines = any(reference.kind != "note" for reference in table.references)
    parts = [
        f"Dots: scores; bars: {level_words(table)} bootstrap intervals over test units",
        *(["ticks: single seeds"] if has_seeds else []),
        *(["dashed lines: reference values such as chance"] if has_lines else []),
    ]
    return "; ".join(parts) + "."


def _curves(curves: Curves, styles: Styles) -> list[Gallery]:
    if not curves:
        return []
    caption = (
        "Every model minimises its own objective: compare the shape of the losses, not their height. Each model has "
        "the same colour in all figures of this page."
    )
    alt = with_visible_controls(f"Training curves over steps of {', '.join(styles[model].name for model in curves)}.")
    picture = Picture(_data_uri(training_curves(curves, styles).encode(), "image/svg+xml"), alt, caption)
    return [Gallery("Pretraining", "plot", (picture,))]


def _photos(heading: str, shown: Sequence[tuple[str, bytes]]) -> Gallery:
    words = [(with_visible_controls(caption), png) for caption, png in shown]
    pictures = tuple(Picture(_data_uri(png, "image/png"), caption, caption) for caption, png in words)
    return Gallery(with_visible_controls(heading), "photo", pictures)


def _data_uri(content: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def _digest(text: str) -> str:
    """Digest of a style or script in the notation of a content security policy."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _origins(boards: Sequence[TableLayout]) -> list[str]:
    """Origins of the lines of all boards, as choices of the filter."""
    found = {line.origin for board in boards for section in board.sections for line in section.lines}
    return [origin for origin in ("measured", "published", "imported") if origin in found]


def _data(records: Mapping[str, tuple[Path, Record]], names: Mapping[str, str]) -> Markup:
    """The records as JSON, escaped for a script element; ``names`` are those of their models in tables."""
    texts = Texts()
    views = {key: record_view(path, record, texts, names[key]) for key, (path, record) in records.items()}
    content = {"records": views, "texts": texts.list}
    return htmlsafe_json_dumps(content, ensure_ascii=False, separators=(",", ":"))


def _folded(section: Section) -> tuple[list[Line], list[Line], list[Line]]:
    """Lines that are laid out at once, lines that are laid out on request, and reference lines at the end."""
    lines = [line for line in section.lines if not line.is_reference]
    last = [line for line in section.lines if line.is_reference]
    return lines[:FIRST_ROWS], lines[FIRST_ROWS:], last


def _aria(entry: Entry, line: Line, header: Header) -> str:
    """Label for screen readers of a number that is a button."""
    seeds = f"{len(entry.record_ids)} records" if len(entry.record_ids) > 1 else "record"
    what = seeds if entry.record_ids else "source"
    return f"{entry.text}: {what} of {line.label}, {header.place}"
