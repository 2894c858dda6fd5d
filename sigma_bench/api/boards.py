"""``Leaderboard``: a board filled with numbers, which can be shown in a notebook, used as a frame, or saved."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from sigma_bench.api.arguments import path_of
from sigma_bench.api.page import render_page
from sigma_bench.leaderboard.board_table import BoardTable
from sigma_bench.leaderboard.exports import board_frame, csv_text
from sigma_bench.leaderboard.fill import Filled
from sigma_bench.leaderboard.html_table import board_html
from sigma_bench.leaderboard.latex import latex
from sigma_bench.leaderboard.render import markdown
from sigma_bench.records.store import Store, write_atomically

_TEXTS: Mapping[str, Callable[[BoardTable], str]] = {".md": markdown, ".csv": csv_text, ".tex": latex}


@dataclass(frozen=True, eq=False)
class Leaderboard:
    """A board filled with numbers; as text, it is the table in Markdown, and a notebook shows it as a table."""

    table: BoardTable
    filled: Filled | None
    """The records behind the numbers; None for published numbers only."""
    store: Store | None
    """The folder of the records; None for published numbers only."""

    def frame(self) -> pd.DataFrame:
        """One row per number, measured ones first.

        Columns: ``board``, ``origin`` (measured, published, imported or computed), ``model``, ``task``, ``metric``;
        ``value``, ``low`` and ``high`` as fractions; ``num_seeds``, ``seed_std``, ``repeat_std``, ``among_best``,
        ``record_ids`` and ``source``, where they apply.
        """
        return board_frame(self.table)

    def save(self, path: str | Path, *, data: str | Path | None = None) -> Path:
        """Write the board as a page (.html), Markdown (.md), a long table (.csv) or LaTeX (.tex).

        Args:
            path: file to write, whose ending chooses the format; an existing file is replaced.
            data: root of the datasets, for pictures of segmentations on a page.

        Returns:
            The path of the file.

        Raises:
            ValueError: the path has another ending, or the file cannot be written.
        """
        path = path_of("path", path)
        root = None if data is None else path_of("data", data)
        if path.suffix == ".html":
            text = render_page([self.table], self.store, self.filled.records if self.filled else (), data=root)
        elif path.suffix in _TEXTS:
            text = _TEXTS[path.suffix](self.table)
        else:
            raise ValueError(f"{path}: a board is written as .html, {', '.join(_TEXTS)}; choose one of these endings")
        write_atomically(path, text.encode())
        return path

    def __str__(self) -> str:
        return markdown(self.table)

    def _repr_html_(self) -> str:
        return board_html(self.table)
