"""Progress bars of long work, in a terminal, a notebook or a file."""

import io
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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

from sigma_bench.specs.untrusted import with_visible_controls

PLAIN_WIDTH = 110
"""Number of columns of text that is written to a file or a pipe."""
SECONDS_BETWEEN_DRAWINGS = 0.5
"""Least time between two drawings in a notebook."""
SECONDS_BETWEEN_LINES = 30.0
"""Least time between two lines in a file or a pipe."""


class HarmlessConsole(Console):
    """Console that shows control characters as numbers, so that a name or path from a file cannot control the terminal.

    Colours and other escape codes of rich come from styles, which are not part of the text.
    """

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            is_plain = segment.control is not None or segment.text.isprintable()
            yield segment if is_plain else segment._replace(text=with_visible_controls(segment.text))

    def print_plain(self, text: str) -> None:
        """Print a text as it is: brackets are not markup, and long lines are not broken."""
        self.print(text, markup=False, soft_wrap=True)


err = HarmlessConsole(stderr=True, highlight=False, width=None if sys.stderr.isatty() else PLAIN_WIDTH)


def is_main_process() -> bool:
    """Whether this process shows progress and errors; only the main process of a run does."""
    return os.environ.get("RANK", "0") == "0"


class TimedProgress(Progress):
    """Progress bars that are drawn after some seconds at least, instead of being animated.

    Subclasses define ``_draw``.
    """

    seconds_between_drawings: float

    def start(self) -> None:
        self._drawn = time.monotonic()

    def stop(self) -> None:
        if not self.disable:
            self._draw()

    def update(self, *args: Any, **changes: Any) -> None:
        super().update(*args, **changes)
        if not self.disable and time.monotonic() - self._drawn >= self.seconds_between_drawings:
            self._draw()
            self._drawn = time.monotonic()

    def _draw(self) -> None:
        raise NotImplementedError


class PlainProgress(TimedProgress):
    """Progress bars as lines of a file or a pipe: unfinished bars every half minute, and all bars at the end."""

    seconds_between_drawings = SECONDS_BETWEEN_LINES

    def stop(self) -> None:
        counted = [task for task in self.tasks if task.total is not None]
        if counted and not self.disable:
            self.console.print(self.make_tasks_table(counted))

    def _draw(self) -> None:
        self.console.print(self.make_tasks_table([task for task in self.tasks if not task.finished]))


class NotebookProgress(TimedProgress):
    """Progress bars in one output of a notebook cell, redrawn in place without widgets."""

    seconds_between_drawings = SECONDS_BETWEEN_DRAWINGS

    def start(self) -> None:
        from IPython.display import display

        super().start()
        if not self.disable:
            self._handle = display(self._content(), raw=True, display_id=True)  # type: ignore[no-untyped-call]

    def _draw(self) -> None:
        self._handle.update(self._content(), raw=True)

    def _content(self) -> dict[str, str]:
        page = HarmlessConsole(file=io.StringIO(), record=True, width=PLAIN_WIDTH, force_jupyter=False)
        page.print(self.get_renderable())
        return {"text/plain": page.export_text()}


@contextmanager
def progress_bars(*columns: ProgressColumn, disable: bool = False) -> Iterator[Progress]:
    """Context with a progress bar per task, shown by the main process only; plain lines if there is no terminal."""
    shown = (
        SpinnerColumn(finished_text=" "),
        TextColumn("{task.description}"),
        BarColumn(bar_width=16),
        TaskProgressColumn(),
        *columns,
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    kind = NotebookProgress if err.is_jupyter else Progress if err.is_terminal else PlainProgress
    with kind(*shown, console=err, disable=disable or not is_main_process()) as display:
        yield display
