"""``sigma-bench import``: published numbers from the user's own file, marked as imported."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from sigma_bench.cli.console import err, out
from sigma_bench.resources import RUNS

if TYPE_CHECKING:
    from sigma_bench.records.published import PublishedScore


def import_numbers(
    file: Path = typer.Argument(..., help="A CSV file in the layout of results/published."),
    output: Path = typer.Option(RUNS, help="Folder of the records that the numbers are shown with."),
) -> None:
    """Check a file of published numbers and keep it beside the records; boards show it in a section of its own."""
    from sigma_bench.leaderboard.fill import IMPORTED
    from sigma_bench.leaderboard.published_rows import is_shown
    from sigma_bench.records.published import read_published
    from sigma_bench.records.store import write_atomically
    from sigma_bench.specs.board import board_names, load_board

    numbers = read_published(file, origin="imported")
    content, target = file.read_bytes(), output / IMPORTED / f"{file.stem}.csv"
    if target.exists() and target.read_bytes() != content:
        raise ValueError(f"{target}: other numbers of this name were imported before; rename the new file")
    _require_new(numbers, file, target)
    write_atomically(target, content)
    out.print_plain(f"{len(numbers)} numbers of {len({n.source for n in numbers})} sources in {target}")
    boards = [load_board(name) for name in board_names()]
    for number in numbers:
        if not any(is_shown(board, number) for board in boards):
            err.print_plain(
                f"no board of results/boards has a column for table {number.table}, task {number.task}, dataset "
                f"{number.dataset}, metric {number.metric} ({number.method})"
            )


def _require_new(numbers: "Sequence[PublishedScore]", file: Path, target: Path) -> None:
    """ValueError if another imported file has a number of the same quantity from the same source."""
    from sigma_bench.records.published import read_published

    known = {number.model_copy(update={"value": 0.0}) for number in numbers}
    for other in sorted(set(target.parent.glob("*.csv")) - {target}):
        for number in read_published(other, origin="imported"):
            if number.model_copy(update={"value": 0.0}) in known:
                quantity = f"{number.method}, {number.task} on {number.dataset}, {number.metric}"
                raise ValueError(f"{file}: '{number.source}' on {quantity} was imported before, in {other}; keep one")
