"""What every verb shares: consoles, progress bars, and the rule for bad input.

A ValueError is the user's mistake or the data's: one sentence on stderr, exit code 2, no traceback.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.segment import Segment

from sigma_bench.specs.text import harmless

PLAIN_WIDTH = 110
"""Columns of a table that goes to a file or a pipe."""


class HarmlessConsole(Console):
    """Shows control characters by number, so that a name or path from a file cannot control the terminal.

    Colours and other escape codes of rich come from styles, which are not part of the text.
    """

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            is_plain = segment.control is not None or segment.text.isprintable()
            yield segment if is_plain else segment._replace(text=harmless(segment.text))


out = HarmlessConsole(highlight=False, width=None if sys.stdout.isatty() else PLAIN_WIDTH)
err = HarmlessConsole(stderr=True, highlight=False, width=None if sys.stderr.isatty() else PLAIN_WIDTH)


@contextmanager
def progress(*columns: ProgressColumn, disable: bool = False) -> Iterator[Progress]:
    """A progress display that leaves one line per finished task; plain where there is no terminal."""
    shown = (
        SpinnerColumn(finished_text=" "),
        TextColumn("{task.description}"),
        BarColumn(bar_width=16),
        TaskProgressColumn(),
        *columns,
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*shown, console=err, disable=disable) as display:
        yield display
