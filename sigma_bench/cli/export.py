"""``sigma-bench export``: a folder of tables, figures and records to attach to a paper."""

from pathlib import Path

import typer

from sigma_bench.cli.console import out
from sigma_bench.cli.left_out import left_out_named
from sigma_bench.cli.options import WHERE_HELP, by_dataset_option, settings_given
from sigma_bench.resources import RUNS


def export(
    folder: Path = typer.Argument(..., help="Folder to write; must not exist yet."),
    board: list[str] = typer.Option(
        [],
        help="Board names; default: every declared board that a record fits, and one per dataset for "
        "the records that fit none.",
    ),
    by_dataset: bool = by_dataset_option(),
    where: list[str] = typer.Option([], metavar="KEY=VALUE", help=WHERE_HELP),
    output: Path = typer.Option(RUNS, help="Folder that holds records and predictions."),
    predictions: bool = typer.Option(True, help="Copy predictions too, so that the folder can be verified by itself."),
) -> None:
    """Write tables (.tex, .md, .csv, .jsonl, MTEB's layout), figures (.pdf, .png), records and a manifest.

    A damaged record is named and left out; the others are written, and the exit code is 1.
    """
    from sigma_bench.api.export import export as write
    from sigma_bench.api.records import Records

    with left_out_named(output):
        names, files = write(
            Records(output).where(settings_given(where)),
            folder,
            board,
            by_dataset=by_dataset,
            with_predictions=predictions,
        )
        out.print_plain(f"{len(files)} files of the boards {', '.join(names)} in {folder}")
