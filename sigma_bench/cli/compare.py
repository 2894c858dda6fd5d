"""``sigma-bench compare``: differences between two models, per task and per sample."""

from pathlib import Path

import typer

from sigma_bench.cli.console import out
from sigma_bench.cli.left_out import left_out_named
from sigma_bench.cli.options import CHOOSE_HELP, settings_given
from sigma_bench.resources import RUNS


def compare(
    first: str = typer.Argument(
        ..., help="Model name, as in records; with its settings if it has several: 'mine (image_size=112)'."
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
    from sigma_bench.leaderboard.comparison import print_comparison

    with left_out_named(output):
        result = Records(output).compare(first, second, where=settings_given(where), samples=samples)
        print_comparison(result, out)
