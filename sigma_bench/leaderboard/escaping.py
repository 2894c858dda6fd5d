"""Escaping of text for Markdown, CSV and figures, so that special characters are shown and not interpreted.

Names of models, tasks and classes may be any text.  Jinja escapes the HTML page, and ``latex.escaped`` the LaTeX
tables.
"""

import re

from sigma_bench.specs.untrusted import one_line, with_visible_controls

_MARKDOWN = re.compile(r"[\\`\[\]<>|$~]|(?<!^)\*(?!$)|^\*(?!:)|(?<!\s)\*$|(?<!\w)_|_(?!\w)|&(?=#?\w+;)|^#")
"""Special characters, except the ``*`` that marks computed numbers (at the end of a label, at the start of a note)."""
_FORMULA_STARTS = tuple("=+-@\t\r＝＋－＠")  # noqa: RUF001  a spreadsheet also obeys the wide forms
_LONGEST_IN_FIGURE = 60


def markdown_text(text: str) -> str:
    """The text in one line, with the characters escaped that make HTML, links, emphasis, formulas and table cells."""
    return _MARKDOWN.sub(lambda found: f"\\{found[0]}", one_line(text))


def csv_cell(value: object) -> object:
    """The value; text that a spreadsheet would read as a formula gets an apostrophe in front (OWASP)."""
    if not isinstance(value, str):
        return value
    return f"'{with_visible_controls(value)}" if value.startswith(_FORMULA_STARTS) else with_visible_controls(value)


def figure_text(text: str) -> str:
    """The text in one line short enough for a figure.

    A blank precedes a leading underscore, because Matplotlib leaves labels that begin with one out of legends.
    """
    line = one_line(text)
    line = line if len(line) <= _LONGEST_IN_FIGURE else f"{line[: _LONGEST_IN_FIGURE - 3]}..."
    return f" {line}" if line.startswith("_") else line
