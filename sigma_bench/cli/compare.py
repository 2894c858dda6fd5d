"""``sigma-bench compare``: differences between two models, per task and per sample."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.markup import escape
from rich.table import Table

from sigma_bench.cli.console import out
from sigma_bench.cli.left_out import left_out_named
from sigma_bench.cli.options import CHOOSE_HELP, settings_given
from sigma_bench.leaderboard.numbers import number
from sigma_bench.resources import RUNS

if TYPE_CHECKING:
    from sigma_bench.leaderboard.model_comparison import ModelComparison, TaskComparison
    from sigma_bench.leaderboard.paired_bootstrap import Difference

_UNLIMITED = 100_000
"""Width of a terminal, in characters, that holds every table."""


def compare(
    first: str = typer.Argument(
        ..., help="Model name, as in a table; with its settings if it has several: 'mine (image_size=112)'."
    ),
    second: str = typer.Argument(..., help="Another model name."),
    where: list[str] = typer.Option([], metavar="KEY=VALUE", help=CHOOSE_HELP),
    output: Path = typer.Option(RUNS, help="Folder that holds records and predictions."),
    samples: int = typer.Option(5, min=0, help="Samples to list per task, those on which the two differ most."),
) -> None:
    """Paired bootstrap over test units (source videos, people, sequences), per task and over all common tasks.

    Evaluations that both models have under the same protocol, data and evaluation seed are compared; others are listed.
    A model whose name stands for several encoders is refused with the settings that differ, until --where or its name
    chooses one.
    """
    from sigma_bench.api.records import Records

    with left_out_named(output):
        result = Records(output).compare(first, second, where=settings_given(where), samples=samples)
        labels = {result.first: result.first, result.second: result.second}
        unlimited = out.options.update(width=_UNLIMITED)
        if out.measure(_listing(result, labels), options=unlimited).maximum > out.width and len(labels) == 2:
            labels = {result.first: "first", result.second: "second"}
            for model, label in labels.items():
                out.print_plain(f"{label}: {model}")
        out.print(_listing(result, labels))
        out.print(
            f"differences in percentage points; + means that {result.first} is better, also where lower is better",
            markup=False,
        )
        for line in result.left_out:
            out.print_plain(f"not compared: {line}")
        for task in result.tasks:
            if task.differing:
                words = f"samples that differ most, with {task.metric} of each model"
                out.print(f"\n[bold]{escape(task.task)}[/]  {words}", soft_wrap=True)
                out.print(_samples(task, result, labels))


def _samples(task: "TaskComparison", result: "ModelComparison", labels: Mapping[str, str]) -> Table:
    """The samples of a task that differ most, with the score of each model."""
    listing = Table(box=None, header_style="bold", pad_edge=False)
    listing.add_column("sample", overflow="fold")
    for model in (result.first, result.second):
        listing.add_column(escape(labels[model]), justify="right", overflow="fold")
    for name, a, b in task.differing:
        listing.add_row(escape(name), f"{a:.3g}", f"{b:.3g}")
    return listing


def _listing(result: "ModelComparison", labels: Mapping[str, str]) -> Table:
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


def _words(difference: "Difference", result: "ModelComparison", labels: Mapping[str, str]) -> tuple[str, ...]:
    better = result.better(difference)
    ends = f"{100 * difference.low:+.1f} to {100 * difference.high:+.1f}"
    return (
        f"{round(100 * difference.value, 1) + 0.0:+.1f}",
        ends,
        f"{difference.num_units}",
        escape(labels.get(better, better)),
    )
