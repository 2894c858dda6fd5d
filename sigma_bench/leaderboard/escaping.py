"""Text of names for each format that is written: what a format would obey is shown as it is.

A name of a model, task or class may be anything.  The page escapes through Jinja, LaTeX through ``latex.escaped``.
"""

import re

from sigma_bench.specs.text import harmless, one_line

_MARKDOWN = re.compile(r"[\\`\[\]<>|$~]|(?<!^)\*(?!$)|^\*(?!:)|(?<!\s)\*$|(?<!\w)_|_(?!\w)|&(?=#?\w+;)|^#")
"""Without the mark of a computed number, ``*`` at the end of a label and at the start of a note: one star is none."""
_FORMULA_STARTS = tuple("=+-@\t\r＝＋－＠")  # noqa: RUF001  a spreadsheet also obeys the wide forms
_LONGEST_IN_FIGURE = 60


def markdown_text(text: str) -> str:
    """In one line, without raw HTML, links, emphasis, formulas and cell borders."""
    return _MARKDOWN.sub(lambda found: f"\\{found[0]}", one_line(text))


def csv_cell(value: object) -> object:
    """A text that a spreadsheet would take for a formula, behind an apostrophe (OWASP); numbers stay numbers."""
    if not isinstance(value, str):
        return value
    return f"'{harmless(value)}" if value.startswith(_FORMULA_STARTS) else harmless(value)


def figure_text(text: str) -> str:
    """In one line that fits into a figure; Matplotlib leaves out of a legend what begins with an underscore."""
    line = one_line(text)
    line = line if len(line) <= _LONGEST_IN_FIGURE else f"{line[: _LONGEST_IN_FIGURE - 3]}..."
    return f" {line}" if line.startswith("_") else line
