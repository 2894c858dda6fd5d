"""``sigma-bench data verify``: reads every file once and names the broken ones."""

import os
from pathlib import Path

import typer
from rich.progress import TextColumn
from rich.table import Table

from sigma_bench.api.progress import progress_bars
from sigma_bench.cli.console import out
from sigma_bench.specs import catalogue

SHOWN = 20


def verify(
    root: Path = typer.Argument(..., help="Data root, which contains one folder per dataset."),
    dataset: list[str] = typer.Argument(None, help="Names of dataset cards. Default: all datasets in the root."),
    num_workers: int = typer.Option(os.cpu_count() or 1, min=1, help="Number of processes."),
    ledger: Path = typer.Option(
        None, help="Folder for the ledgers. Default: the data root, in which other commands look for them."
    ),
) -> None:
    """Decode every file once to find broken, truncated, missing and duplicate files, and to choose decoders.

    The results are stored in a ledger beside the dataset's folder, which other commands use.  An interrupted run
    continues where it stopped, and a second run reads only files that have changed.  The exit code is 1 if a file is
    broken or missing.
    """
    from sigma_bench.data.data_verification import reports
    from sigma_bench.data.data_verification import verify as run
    from sigma_bench.data.datasets import open_dataset
    from sigma_bench.data.inventory import cards_below
    from sigma_bench.data.ledger import Ledger, ledger_path

    cards = [catalogue.load_dataset(name) for name in dataset] if dataset else cards_below(root)
    if not cards:
        raise ValueError(f"{root}: there is no folder of a dataset here; see 'sigma-bench data prepare {root}'")
    listing = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("dataset", "split", "expected", "listed", "found", "broken", "duplicates", "read by"):
        numeric = column not in ("dataset", "split", "read by")
        listing.add_column(column, justify="right" if numeric else "left", overflow="fold")
    lines, is_clean = [], True
    for card in cards:
        manifest, place = open_dataset(card, root), ledger_path(ledger or root, card.home)
        with progress_bars(TextColumn("{task.completed} of {task.total} files")) as display:
            bar = display.add_task(f"reading {card.title}", total=None)
            for done, total in run(manifest, root / card.home, place, num_workers=num_workers):
                display.update(bar, completed=done, total=total)
        for report in reports(manifest, root / card.home, Ledger.read(place)):
            counts = (report.expected, report.listed, report.found, len(report.broken), len(report.duplicates))
            readers = ", ".join(f"{name} {count:,}" for name, count in report.decoders.items())
            listing.add_row(card.dataset, report.name, *(f"{count:,}" for count in counts), readers)
            where = f"{card.dataset} {report.name}"
            lines += [f"{where}: {name} is missing" for name in report.missing]
            lines += [f"{where}: {name} is broken: {reason}" for name, reason in report.broken.items()]
            lines += [f"{where}: {name} has the content of {first}" for name, first in report.duplicates]
            is_clean &= report.is_clean
    out.print(listing)
    for line in lines[:SHOWN]:
        out.print(line, soft_wrap=True, markup=False)
    if len(lines) > SHOWN:
        out.print(f"and {len(lines) - SHOWN} more, all in the ledgers in {ledger or root}", soft_wrap=True)
    if not is_clean:
        raise typer.Exit(1)
