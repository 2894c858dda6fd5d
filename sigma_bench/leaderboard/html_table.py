"""Small tables in HTML for notebooks: no script, no style sheet, and no text that is read as HTML."""

from collections.abc import Iterable, Sequence

import pandas as pd
from markupsafe import escape

from sigma_bench.leaderboard.board_table import BoardTable
from sigma_bench.leaderboard.table_layout import Entry, layout
from sigma_bench.specs.untrusted import one_line

MAX_ROWS = 60
"""Rows of a frame that a notebook shows."""
_TAGS = {"best": "b", "second": "u", None: "span"}


def board_html(table: BoardTable) -> str:
    """A board with its notes as a list."""
    laid_out = layout(table)
    width = len(laid_out.about) + len(laid_out.labels) + laid_out.has_coverage
    over = "".join(f'<th colspan="{span}">{_text(heading)}</th>' for heading, span in laid_out.groups)
    heads = ["Model", *laid_out.about, *laid_out.labels, *(["Covered"] if laid_out.has_coverage else [])]
    rows = []
    for section in laid_out.sections:
        if section.title:
            rows.append(f'<tr><th colspan="{width + 1}">{_text(section.title)}</th></tr>')
        for line in section.lines:
            cells = [*map(_text, line.about), *map(_entry, line.entries)]
            cells += [_text(line.coverage)] if laid_out.has_coverage else []
            rows.append(_row(f"<th>{_text(line.label)}</th>", cells))
    first = f'<tr><th colspan="{1 + len(laid_out.about)}"></th>{over}{"<th></th>" * laid_out.has_coverage}</tr>'
    notes = "".join(f"<li>{_text(note)}</li>" for note in laid_out.notes)
    head = first + "<tr>" + "".join(f"<th>{_text(word)}</th>" for word in heads) + "</tr>"
    return f"{_table(laid_out.title, head, rows)}<ul>{notes}</ul>"


def frame_html(frame: pd.DataFrame, caption: str) -> str:
    """The first rows of a frame; values between 0 and 1 with four digits."""
    head = "<tr>" + "".join(f"<th>{_text(name)}</th>" for name in frame.columns) + "</tr>"
    rows = [_row("", list(map(_value, values))) for values in frame.head(MAX_ROWS).itertuples(index=False)]
    more = f"; the first {MAX_ROWS} of {len(frame)} rows" if len(frame) > MAX_ROWS else ""
    return _table(caption + more, head, rows)


def _table(caption: str, head: str, rows: Iterable[str]) -> str:
    return f"<table><caption>{_text(caption)}</caption><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"


def _row(opening: str, cells: Sequence[str]) -> str:
    return f"<tr>{opening}{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _entry(entry: Entry) -> str:
    tag = _TAGS[entry.mark]
    small = "".join(f"<br><small>{_text(words)}</small>" for words in (entry.interval, entry.spread) if words)
    return f"<{tag}>{_text(entry.text)}</{tag}>{small}"


def _value(value: object) -> str:
    return _text(f"{value:.4f}" if isinstance(value, float) else "" if value is None else str(value))


def _text(text: object) -> str:
    return str(escape(one_line(str(text))))
