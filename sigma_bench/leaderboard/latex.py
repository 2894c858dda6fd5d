"""LaTeX: a board as a booktabs ``tabular`` to ``\\input``, and a document that compiles as it is and shows several.

Bold and underlined numbers have the same meaning as in the other renderers; intervals are in small print.
"""

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from sigma_bench.leaderboard.board_table import BoardTable
from sigma_bench.leaderboard.table_layout import Entry, TableLayout, layout

_HERE = Path(__file__).resolve().parent
_CHARACTERS = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    **{"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}"},
    **{"†": r"\textsuperscript{$\dagger$}", "‡": r"\textsuperscript{$\ddagger$}", "±": r"$\pm$", "×": r"$\times$"},
    **{"–": "--", "\u2212": "$-$", "↓": r"$\downarrow$", "↑": r"$\uparrow$", "✓": r"$\surd$", "|": r"\textbar{}"},
}
_DOCUMENT = r"""\documentclass{article}
\usepackage[utf8]{inputenc}
\usepackage{booktabs}
\usepackage{graphicx}
\usepackage[a4paper,landscape,margin=1.5cm]{geometry}
\setlength{\parindent}{0pt}
%s\begin{document}
%s
\end{document}
"""


def latex(table: BoardTable) -> str:
    """A ``tabular`` with a header, sections and marks; the notes follow as comments."""
    laid_out = layout(table)
    return (
        _environment()
        .get_template("board.tex.j2")
        .render(layout=laid_out, spans=_spans(laid_out), width=1 + len(laid_out.about) + len(laid_out.labels))
    )


def latex_document(tables: Sequence[BoardTable], files: Sequence[str]) -> str:
    """A document that shows tables with their notes; each is read from its file beside the document."""
    pages = []
    for table, file in zip(tables, files, strict=True):
        notes = "\n\n".join(escaped(note) for note in layout(table).notes)
        shown = rf"\resizebox{{\ifdim\width>\linewidth\linewidth\else\width\fi}}{{!}}{{\input{{{file}}}}}"
        pages.append(
            rf"\section*{{{escaped(table.title)}}}" + f"\n{shown}\n\n" + rf"\bigskip{{\footnotesize {notes}\par}}"
        )
    body = "\n\\clearpage\n".join(pages)
    return _DOCUMENT % (_stand_ins(body + "".join(map(latex, tables))), body)


def escaped(text: str) -> str:
    """Text with LaTeX's special characters escaped; line breaks and control characters become spaces."""
    return "".join(_CHARACTERS.get(c, c if c.isprintable() else " ") for c in text)


def _label(text: str) -> str:
    """The first cell of a line, protected from being read as an argument of the preceding line break."""
    return ("{}" if text.startswith(("[", "*")) else "") + escaped(text)


def _stand_ins(text: str) -> str:
    """Declarations for pdflatex that show the code points of characters its fonts lack, where it would stop."""
    return "".join(
        rf"\ifcsname u8:\detokenize{{{c}}}\endcsname\else"
        rf"\DeclareUnicodeCharacter{{{ord(c):04X}}}{{[U+{ord(c):04X}]}}\fi" + "\n"
        for c in sorted(set(text))
        if not c.isascii()
    )


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        undefined=StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<<",
        variable_end_string=">>>",
        comment_start_string="<#",
        comment_end_string="#>",
    )
    environment.filters |= {"tex": escaped, "label": _label, "cell": _cell}
    return environment


def _cell(entry: Entry) -> str:
    text = escaped(entry.text)
    marked = {"best": rf"\textbf{{{text}}}", "second": rf"\underline{{{text}}}", None: text}[entry.mark]
    small = " ".join(part for part in (entry.interval, entry.spread) if part)
    return marked + (rf" {{\scriptsize {escaped(small)}}}" if small else "")


def _spans(laid_out: TableLayout) -> list[tuple[int, int]]:
    """First and last table column below each group's header."""
    before = 1 + len(laid_out.about)
    ends = list(accumulate(width for _, width in laid_out.groups))
    widths = [width for _, width in laid_out.groups]
    return [
        (before + end - width + 1, before + end)
        for end, width, (heading, _) in zip(ends, widths, laid_out.groups, strict=True)
        if heading
    ]
