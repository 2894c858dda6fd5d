"""``sigma-bench data verify``: reads every file once and names the broken ones."""

import os
from pathlib import Path

import typer
from rich.markup import escape
from rich.progress import TextColumn
from rich.table import Table

from sigma_bench.api.progress import progress_bars
from sigma_bench.cli.chosen_data import CSV, FOLDERS, WORDS, chosen, root_and_names
from sigma_bench.cli.console import out
from sigma_bench.specs.untrusted import one_line

SHOWN = 20


def verify(
    words: list[str] = typer.Argument(
        None, metavar="[ROOT] [DATASET]...", help=f"{WORDS} Without names: all datasets below the root."
    ),
    csv: Path = CSV,
    folders: Path = FOLDERS,
    num_workers: int = typer.Option(os.cpu_count() or 1, min=1, help="Number of processes."),
    ledger: Path = typer.Option(
        None, help="Folder for the ledgers. Default: the data root or that of custom data, as for other commands."
    ),
) -> None:
    """Decode every file once to find broken, truncated, missing and duplicate files, and to choose decoders.

    The results are stored in a ledger beside the dataset's folder or the CSV, which other commands use.  An interrupted
    run continues where it stopped, and a second run reads only files that have changed.  The exit code is 1 if a file
    is broken or missing.
    """
    from sigma_bench.data.data_verification import reports
    from sigma_bench.data.data_verification import verify as run
    from sigma_bench.data.ledger import Ledger

    listing = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("dataset", "split", "expected", "listed", "found", "broken", "duplicates", "read by"):
        numeric = column not in ("dataset", "split", "read by")
        listing.add_column(column, justify="right" if numeric else "left", overflow="fold")
    lines, ledgers, is_clean = [], [], True
    for name, title, manifest in chosen(words, csv, folders):
        assert manifest.ledger is not None
        place, folder = manifest.ledger
        place = place if ledger is None else ledger / place.name
        ledgers.append(str(place))
        with progress_bars(TextColumn("{task.completed} of {task.total} files")) as display:
            bar = display.add_task(f"reading {escape(one_line(title))}", total=None)
            for done, total in run(manifest, folder, place, num_workers=num_workers):
                display.update(bar, completed=done, total=total)
        for report in reports(manifest, folder, Ledger.read(place)):
            counts = (report.expected, report.listed, report.found, len(report.broken), len(report.duplicates))
            readers = ", ".join(f"{name} {count:,}" for name, count in report.decoders.items())
            listing.add_row(escape(one_line(name)), report.name, *(f"{count:,}" for count in counts), readers)
            where = f"{name} {report.name}"
            lines += [f"{where}: {one} is missing" for one in report.missing]
            lines += [f"{where}: {one} is broken: {reason}" for one, reason in report.broken.items()]
            lines += [f"{where}: {one} has the content of {first}" for one, first in report.duplicates]
            is_clean &= report.is_clean
    out.print(listing)
    for line in lines[:SHOWN]:
        out.print_plain(line)
    if len(lines) > SHOWN:
        out.print_plain(f"and {len(lines) - SHOWN} more, all in {', '.join(ledgers)}")
    if root_and_names(words or ())[0] is None:
        out.print_plain(f"kept in {', '.join(ledgers)}, which other commands use")
    if not is_clean:
        raise typer.Exit(1)
