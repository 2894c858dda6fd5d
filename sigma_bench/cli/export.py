"""``sigma-bench export``: from records to a folder that can be attached to a paper."""

from pathlib import Path

import typer

from sigma_bench.cli.console import out
from sigma_bench.cli.folders import RUNS


def export(
    folder: Path = typer.Argument(..., help="Folder to write; must not exist yet."),
    board: list[str] = typer.Option([], help="Board names; default: every board that a record fits."),
    output: Path = typer.Option(RUNS, help="Folder that holds records and predictions."),
    predictions: bool = typer.Option(True, help="Copy predictions too, so that the folder can be verified by itself."),
) -> None:
    """Write tables (.tex, .md, .csv, .jsonl, MTEB's layout), figures (.pdf, .png), records and a manifest.

    A damaged record is named and left out; the others are written, and the exit code is 1.
    """
    from sigma_bench.cli.left_out import LeftOut
    from sigma_bench.cli.table import boards_for, training_histories
    from sigma_bench.leaderboard.bundle import write_bundle
    from sigma_bench.records.store import Store
    from sigma_bench.specs.board import load_board

    store, left_out = Store(output), LeftOut()
    records = left_out.records(store)
    fitting = [load_board(name) for name in board] or boards_for(records)
    if not fitting:
        raise ValueError(f"{output}: no board has a column for these records; see results/boards")
    filled = left_out.fill(fitting, store, records)
    files = write_bundle(folder, filled, store, training_histories(output), with_predictions=predictions)
    out.print(
        f"{len(files)} files of the boards {', '.join(b.name for b in fitting)} in {folder}",
        soft_wrap=True,
        markup=False,
    )
    left_out.end()
