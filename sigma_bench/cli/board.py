"""``sigma-bench board new``: the file of a board, for editing."""

from pathlib import Path

import typer

from sigma_bench.cli.console import out
from sigma_bench.cli.left_out import left_out_named
from sigma_bench.cli.options import WHERE_HELP, settings_given
from sigma_bench.resources import RUNS

app = typer.Typer(help="Boards: which numbers a table shows.", no_args_is_help=True)


@app.callback()
def _board() -> None:
    """Boards: which numbers a table shows."""


@app.command()
def new(
    name: str = typer.Argument(..., help="Name of the board and of its file."),
    task: list[str] = typer.Option(
        [],
        help="Task for a column, as in the records or in the catalogue, or a pattern such as 'ssv2/*'; repeatable; "
        "default: all tasks of the records.",
    ),
    output: Path = typer.Option(RUNS, help="Folder that holds the records."),
    where: list[str] = typer.Option([], metavar="KEY=VALUE", help=WHERE_HELP),
    folder: Path = typer.Option(
        Path(), help="Folder for boards/<name>.yaml; --include FOLDER finds the board by its name."
    ),
) -> None:
    """Write the YAML file of a board with a column per task; an existing file is not overwritten."""
    from sigma_bench.api.new_board import new_board
    from sigma_bench.api.records import Records
    from sigma_bench.records.store import Store

    settings = settings_given(where)
    has_records = bool(Store(output).paths())
    with left_out_named(output):
        records = Records(output).where(settings) if has_records or not task or settings else None
        path = new_board(name, records, tasks=task, folder=folder)
        out.print_plain(str(path))
        shown = f"sigma-bench --include {folder} table {name} --output {output}"
        out.print_plain(f"edit it, then show it: {shown}")
