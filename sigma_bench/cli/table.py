"""``sigma-bench table``: a leaderboard from records, in the terminal, Markdown, CSV, LaTeX and HTML."""

import gc
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from sigma_bench.cli.console import err, out
from sigma_bench.cli.left_out import left_out_named
from sigma_bench.cli.options import WHERE_HELP, by_dataset_option, settings_given
from sigma_bench.resources import RUNS

if TYPE_CHECKING:
    from sigma_bench.api.boards import Leaderboard
    from sigma_bench.api.records import Records


def table(
    board: list[str] = typer.Argument(
        None,
        help="Board names, see results/boards, or a file such as mine.yaml; default: every declared board that a "
        "record fits, and one per dataset for the records that fit none.",
    ),
    output: Path = typer.Option(RUNS, help="Folder that holds the records; the tables go there too."),
    by_dataset: bool = by_dataset_option(),
    where: list[str] = typer.Option([], metavar="KEY=VALUE", help=WHERE_HELP),
    data: Path = typer.Option(None, help="Data root, for segmentation pictures in the report."),
    published_only: bool = typer.Option(False, help="Show published numbers and no records."),
    tables: Path = typer.Option(None, help="Folder for <board>.md, .csv and .tex instead of a report."),
    records: Path = typer.Option(None, help="With --tables: keep the records behind them here, predictions reduced."),
    check: bool = typer.Option(False, help="Write nothing; exit code 1 if a file in --tables is not up to date."),
) -> None:
    """Print boards and write them beside the records as Markdown, CSV, LaTeX and HTML.

    A damaged record is named and left out; the others are shown, and the exit code is 1.
    """
    names, settings = board or [], settings_given(where)
    if check and tables is None:
        raise ValueError("--check compares the files of a folder; name it with --tables, such as results/tables")
    if records is not None and (published_only or check or tables is None):
        raise ValueError(
            "--records keeps what written tables were made from; give --tables, no --published-only, no --check"
        )
    if data is not None and (published_only or tables is not None):
        raise ValueError("--data is for the pictures of a page, which --tables and --published-only do not write")
    if published_only and (not names or by_dataset or settings):
        raise ValueError("--published-only shows the boards that are named, such as frozen; give no other choice")
    if by_dataset and names:
        raise ValueError("--by-dataset makes the boards from the records; leave it out, or name no board")
    if published_only:
        from sigma_bench.api.records import board as published

        is_current = _show_or_check([published(name) for name in names], tables, check=check)
    elif tables is None:
        show_boards(names, output, data=data, by_dataset=by_dataset, where=settings)
        return
    else:
        with left_out_named(output):
            found, _ = _filled(names, output, by_dataset, settings)
            if records is not None:
                _keep(found, output, records)
                found, _ = _filled(names, records, by_dataset, settings)  # the kept records have other ids
            is_current = _show_or_check(found, tables, check=check)
    if not is_current:
        raise typer.Exit(1)


def show_boards(
    names: list[str],
    output: Path,
    *,
    data: Path | None,
    by_dataset: bool = False,
    where: Mapping[str, str] | None = None,
    details: bool = True,
) -> None:
    """Print boards and write them into the folder of their records: .md, .csv, .tex, and one report.html for all.

    Args:
        details: as for ``terminal_table``; the files hold all details.

    Raises:
        typer.Exit: at the end, with code 1, if records were left out.
    """
    from sigma_bench.api.page import write_page

    with left_out_named(output):
        found, records = _filled(names, output, by_dataset, where or {})
        for one in found:
            _print(one, details=details)
            if not one.table.record_ids:
                _name_fitting(one, records)
        shown = {path: (path, record) for one in found if one.filled for path, record in one.filled.records}
        kinds = {record.task.protocol.kind for _, record in shown.values()}
        if data is None and kinds & {"segmentation", "propagation"}:
            err.print("no --data, so the report has no segmentation pictures")
        _name_files(write_page([one.table for one in found], records.store, list(shown.values()), data=data))


def _name_files(files: "Sequence[Path]") -> None:
    """Print a line with the page, if there is one, and the tables."""
    tables = ", ".join(str(path) for path in files if path.suffix == ".md")
    page = "".join(f"page: {path}; " for path in files if path.suffix == ".html")
    out.print_plain(f"{page}tables: {tables} (also as .csv and .tex)")


def _name_fitting(one: "Leaderboard", records: "Records") -> None:
    from sigma_bench.leaderboard.record_boards import declared_boards

    fitting = ", ".join(board.name for board in declared_boards(records)) or "none"
    err.print_plain(
        f"no record in {records.folder} fits the board '{one.table.name}'; boards that one fits: {fitting}; without a "
        "name, boards are made from the records"
    )


def _filled(
    names: list[str], output: Path, by_dataset: bool, where: Mapping[str, str]
) -> "tuple[list[Leaderboard], Records]":
    """Boards by name, or those of the records, and the records."""
    from sigma_bench.api.records import Records, fill_boards
    from sigma_bench.specs.board import load_board

    boards = [load_board(name) for name in names]
    records = Records(output).where(where)
    gc.freeze()  # the garbage collector need not search thousands of records again
    return (fill_boards(boards, records) if boards else records.boards(by_dataset=by_dataset)), records


def _keep(found: "list[Leaderboard]", output: Path, folder: Path) -> None:
    from sigma_bench.leaderboard.fill import keep_records
    from sigma_bench.records.store import Store

    number = keep_records([one.filled for one in found if one.filled], Store(output), folder)
    out.print_plain(f"{number} records in {folder}")


def _print(one: "Leaderboard", *, details: bool = True) -> None:
    from sigma_bench.leaderboard.render import terminal_table

    out.print(terminal_table(one.table, details=details))


def _show_or_check(found: "Sequence[Leaderboard]", folder: Path | None, *, check: bool) -> bool:
    """Print boards and write their files into a folder; or compare these files and name each one that differs.

    Returns:
        Whether no file differs.
    """
    from sigma_bench.leaderboard.exports import table_files
    from sigma_bench.records.store import write_atomically

    files: dict[Path, str] = {}
    for one in found:
        if not check:
            _print(one)
        if folder is not None:  # a board given by its path is written under its name, not beside itself
            files |= {folder / name: text for name, text in table_files(one.table, one.table.name).items()}
    if not check:
        for path, text in files.items():
            write_atomically(path, text.encode())
        if files:
            _name_files(list(files))
        return True
    stale = [p for p, text in files.items() if not p.is_file() or p.read_text(encoding="utf-8") != text]
    for path in stale:
        out.print_plain(f"{path}: not what the records and published numbers give now")
    return not stale
