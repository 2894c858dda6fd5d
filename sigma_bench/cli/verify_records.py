"""``sigma-bench verify``: scores of records computed again from their predictions."""

import os
from pathlib import Path

import typer
from rich.progress import TextColumn

from sigma_bench.api.progress import progress_bars
from sigma_bench.cli.console import out

SHOWN = 50


def verify(
    folder: Path = typer.Argument(..., help="Folder that holds records and predictions."),
    num_workers: int = typer.Option(os.cpu_count() or 1, min=1, help="Number of processes."),
) -> None:
    """Compute every score again from its predictions and compare every digest; exit code 1 if there is a problem."""
    from sigma_bench.api.records import verify_folder

    with progress_bars(TextColumn("{task.completed} of {task.total} records")) as display:
        bar = display.add_task("verifying", total=None)
        result = verify_folder(
            folder, lambda done, total: display.update(bar, completed=done, total=total), num_workers=num_workers
        )
    out.print(f"{result.num_records} records, {result.num_scores} scores computed again, which agree")
    _list("wrong", result.problems, "red")
    _list("not checked", result.unchecked, "yellow")
    if result.problems:
        raise typer.Exit(1)


def _list(title: str, sentences: tuple[str, ...], colour: str) -> None:
    if sentences:
        out.print(f"[bold {colour}]{title}[/] ({len(sentences)})")
    for sentence in sentences[:SHOWN]:
        out.print_plain(f"  {sentence}")
    if len(sentences) > SHOWN:
        out.print(f"  and {len(sentences) - SHOWN} more")
