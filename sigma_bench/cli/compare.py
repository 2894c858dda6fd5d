"""``sigma-bench compare``: differences between two models, per task and per sample."""

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
    from sigma_bench.leaderboard.model_comparison import ModelComparison
    from sigma_bench.leaderboard.paired_bootstrap import Difference


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
        out.print(_listing(result))
        out.print(
            f"differences in percentage points; + means that {result.first} is better, also where lower is better",
            markup=False,
        )
        for line in result.left_out:
            out.print(f"not compared: {line}", soft_wrap=True, markup=False)
        for task in result.tasks:
            if task.differing:
                words = f"{task.metric} of {result.first} and {result.second}"
                out.print(f"\n[bold]{escape(task.task)}[/]  {escape(words)}")
            for name, a, b in task.differing:
                out.print(f"  {name}  {a:.3g}  {b:.3g}", markup=False)


def _listing(result: "ModelComparison") -> Table:
    listing = Table(box=None, header_style="bold", pad_edge=False)
    models = (escape(result.first), escape(result.second))  # a name in brackets is a name, not a style
    for column in ("task", "metric", *models, "difference", "95 % interval", "units", "better"):
        listing.add_column(
            column, justify="left" if column in ("task", "metric", "better") else "right", overflow="fold"
        )
    for task in result.tasks:
        scores = (number(task.first, task.metric), number(task.second, task.metric))
        listing.add_row(escape(task.task), task.metric, *scores, *_words(task.difference, result))
    listing.add_section()
    listing.add_row("mean over tasks", "", "", "", *_words(result.overall, result), style="bold")
    return listing


def _words(difference: "Difference", result: "ModelComparison") -> tuple[str, ...]:
    ends = f"{100 * difference.low:+.1f} to {100 * difference.high:+.1f}"
    return (
        f"{round(100 * difference.value, 1) + 0.0:+.1f}",
        ends,
        f"{difference.num_units}",
        escape(result.better(difference)),
    )
