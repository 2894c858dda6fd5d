"""Two models side by side: the differences per task and per sample, as a frame, as text and in a notebook."""

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from sigma_bench.leaderboard.html_table import frame_html
from sigma_bench.leaderboard.notes import rough_words
from sigma_bench.leaderboard.numbers import number
from sigma_bench.leaderboard.paired_bootstrap import Difference
from sigma_bench.specs.untrusted import with_visible_controls

_TEXT_WIDTH = 110
"""Width of a comparison as text, in characters."""
_UNLIMITED = 100_000
"""Width of a terminal, in characters, that holds every table."""


@dataclass(frozen=True, kw_only=True)
class TaskComparison:
    """Two models on the first metric of one task."""

    task: str
    metric: str
    first: float
    second: float
    difference: Difference
    differing: tuple[tuple[str, float, float], ...]
    """Samples with the largest differences: id, value of the first model, value of the second."""
    num_differing: int
    """Number of samples on which the models differ, of which ``differing`` may hold the first ones only."""
    order: str
    """The order of ``differing`` in words."""


@dataclass(frozen=True, kw_only=True)
class ModelComparison:
    """Two models on all tasks on which both were measured under the same conditions."""

    first: str
    """Name of the first model."""
    second: str
    """Name of the second model."""
    tasks: tuple[TaskComparison, ...]
    """One entry per task, with its ``difference`` and the samples on which the models differ most, ``differing``."""
    overall: Difference
    """Difference of the means over the tasks: ``value`` with ``low`` and ``high`` as fractions, ``is_tie``."""
    left_out: tuple[str, ...]
    """A line with the reason for each evaluation that is not compared."""

    def frame(self) -> pd.DataFrame:
        """One row per task, and the mean over the tasks as the last one.

        Columns: ``task``, ``metric``, the scores of the ``first`` and the ``second`` model; their ``difference`` as a
        fraction, positive if the first is better, with the ends ``low`` and ``high`` of its interval; ``num_units``
        (test units that are resampled); ``better``, the name of the better model or ``neither``.
        """
        rows: list[tuple[object, ...]] = [
            (task.task, task.metric, task.first, task.second, *self._words(task.difference)) for task in self.tasks
        ]
        rows.append(("mean over tasks", "", None, None, *self._words(self.overall)))
        columns = ["task", "metric", "first", "second", "difference", "low", "high", "num_units", "better"]
        return pd.DataFrame(rows, columns=columns).astype({"first": float, "second": float})

    def better(self, difference: Difference) -> str:
        """The name of the better model; ``neither`` if the interval of the difference holds 0."""
        if difference.is_tie:
            return "neither"
        return self.first if difference.value > 0 else self.second

    def __str__(self) -> str:
        console = Console(file=io.StringIO(), width=_TEXT_WIDTH, color_system=None, force_jupyter=False)
        with console.capture() as captured:
            print_comparison(self, console)
        return "\n".join(with_visible_controls(line.rstrip()) for line in captured.get().rstrip("\n").split("\n"))

    def _words(self, difference: Difference) -> tuple[float, float, float, int, str]:
        return difference.value, difference.low, difference.high, difference.num_units, self.better(difference)

    def _repr_html_(self) -> str:
        notes = f"; {len(self.left_out)} evaluations are not compared" if self.left_out else ""
        return frame_html(self.frame(), f"{self.first} (first) and {self.second} (second){notes}")


def print_comparison(result: ModelComparison, console: Console) -> None:
    """Print all differences; long names of models are printed above the table and replaced in it."""
    labels = {result.first: result.first, result.second: result.second}
    unlimited = console.options.update(width=_UNLIMITED)
    lines = []
    if console.measure(_listing(result, labels), options=unlimited).maximum > console.width and len(labels) == 2:
        labels = {result.first: "first", result.second: "second"}
        lines = [f"{label}: {model}" for model, label in labels.items()]
    _print_lines(console, lines)
    console.print(_listing(result, labels))
    better = f"+ means that {result.first} is better, also where lower is better"
    console.print(f"differences in percentage points; {better}", markup=False, highlight=False)
    rough = [(task.task, rough_words(task.difference.num_units, "test units")) for task in result.tasks]
    _print_lines(console, [f"{task}: {words}" for task, words in rough if words])
    _print_lines(console, [f"not compared: {line}" for line in result.left_out])
    for task in result.tasks:
        if task.differing:
            number_of = f"{len(task.differing)} of {task.num_differing} samples on which they differ"
            words = f"  {number_of}, {task.order}, with {task.metric} of each model"
            console.print(Text.assemble("\n", (task.task, "bold"), words), soft_wrap=True)
            console.print(_samples(task, result, labels))


def _print_lines(console: Console, lines: Iterable[str]) -> None:
    """Print lines as they are: brackets are not markup, and long lines are not broken."""
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _samples(task: TaskComparison, result: ModelComparison, labels: Mapping[str, str]) -> Table:
    """The samples of a task that differ most, with the score of each model."""
    listing = Table(box=None, header_style="bold", pad_edge=False)
    listing.add_column("sample", overflow="fold")
    for model in (result.first, result.second):
        listing.add_column(escape(labels[model]), justify="right", overflow="fold")
    for name, a, b in task.differing:
        listing.add_row(escape(name), f"{a:.3g}", f"{b:.3g}")
    return listing


def _listing(result: ModelComparison, labels: Mapping[str, str]) -> Table:
    """The differences per task; ``labels`` are the words for the models, which are their names if the table fits."""
    listing = Table(box=None, header_style="bold", pad_edge=False)
    models = (escape(labels[result.first]), escape(labels[result.second]))  # a name in brackets is a name, not a style
    for column in ("task", "metric", *models, "difference", "95 % interval", "units", "better"):
        listing.add_column(
            column, justify="left" if column in ("task", "metric", "better") else "right", overflow="fold"
        )
    for task in result.tasks:
        scores = (number(task.first, task.metric), number(task.second, task.metric))
        listing.add_row(escape(task.task), task.metric, *scores, *_words(task.difference, result, labels))
    listing.add_section()
    listing.add_row("mean over tasks", "", "", "", *_words(result.overall, result, labels), style="bold")
    return listing


def _words(difference: Difference, result: ModelComparison, labels: Mapping[str, str]) -> tuple[str, ...]:
    better = result.better(difference)
    ends = f"{100 * difference.low:+.1f} to {100 * difference.high:+.1f}"
    return (
        f"{round(100 * difference.value, 1) + 0.0:+.1f}",
        ends,
        f"{difference.num_units}",
        escape(labels.get(better, better)),
    )
