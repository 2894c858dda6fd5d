"""``sigma-bench import``: other people's numbers beside one's own, always marked as what they are."""

from pathlib import Path

import typer

from sigma_bench.cli.console import out
from sigma_bench.cli.folders import RUNS


def import_numbers(
    file: Path = typer.Argument(..., help="A CSV file in the layout of results/published."),
    output: Path = typer.Option(RUNS, help="Folder of the records they shall stand beside."),
) -> None:
    """Check a file of published numbers and keep it beside the records; boards show it in a section of its own."""
    from sigma_bench.leaderboard.fill import IMPORTED
    from sigma_bench.records.published import read_published
    from sigma_bench.records.store import write_atomically

    numbers = read_published(file, origin="imported")
    content, target = file.read_bytes(), output / IMPORTED / f"{file.stem}.csv"
    if target.exists() and target.read_bytes() != content:
        raise ValueError(f"{target}: other numbers of this name were imported before; rename the new file")
    write_atomically(target, content)
    out.print(f"{len(numbers)} numbers of {len({n.source for n in numbers})} sources in {target}", soft_wrap=True)
