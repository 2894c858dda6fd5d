"""``sigma-bench table``: a leaderboard from records, in the terminal, Markdown, CSV, LaTeX and HTML."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, cast

import typer

from sigma_bench.cli.console import err, out
from sigma_bench.cli.folders import RUNS
from sigma_bench.cli.left_out import LeftOut
from sigma_bench.specs.bounded import parse_json, read_bounded

MOST_HISTORY_BYTES = 256 << 20

if TYPE_CHECKING:
    from sigma_bench.leaderboard.board_table import BoardTable
    from sigma_bench.leaderboard.fill import Filled
    from sigma_bench.records.record import Record
    from sigma_bench.records.store import Store
    from sigma_bench.specs.board import Board


def table(
    board: list[str] = typer.Argument(
        None, help="Board names, see results/boards, or a file such as mine.yaml; default: mini."
    ),
    output: Path = typer.Option(RUNS, help="Folder that holds the records; the tables go there too."),
    data: Path = typer.Option(None, help="Data root, for segmentation pictures in the report."),
    published_only: bool = typer.Option(False, help="Show what was published and no record."),
    tables: Path = typer.Option(None, help="Folder for <board>.md, .csv and .tex instead of a report."),
    records: Path = typer.Option(None, help="With --tables: keep the records behind them here, predictions reduced."),
    check: bool = typer.Option(False, help="Write nothing; exit code 1 when a file in --tables is not up to date."),
) -> None:
    """Print boards and write them beside the records as Markdown, CSV, LaTeX and HTML.

    A damaged record is named and left out; the others are shown, and the exit code is 1.
    """
    names = board or ["mini"]
    if check and tables is None:
        raise ValueError("--check compares the files of a folder; name it with --tables, such as results/tables")
    if records is not None and (published_only or check or tables is None):
        raise ValueError(
            "--records keeps what written tables were made from; give --tables, no --published-only, no --check"
        )
    if data is not None and (published_only or tables is not None):
        raise ValueError("--data is for the pictures of a page, which --tables and --published-only do not write")
    if not (published_only or tables):
        show_boards(names, output, world=data)
        return
    left_out = LeftOut()
    filled = [] if published_only else _filled(names, output, left_out)
    if records is not None:
        _keep(filled, output, records)
        filled = _filled(names, records, LeftOut())  # the tables name records, and those kept have names of their own
    results = [_published(name) for name in names] if published_only else [one.table for one in filled]
    stale = []
    for result in results:
        files = _files(result, result.name)  # a board given by its path is written under its name, not beside itself
        if tables is None or not check:
            out.print(_terminal(result))
        if tables is not None:
            stale += _compare(tables, files) if check else _write(tables, files)
    for path in stale:
        out.print(f"{path}: not what the records and published numbers give now", soft_wrap=True, markup=False)
    left_out.end()
    if stale:
        raise typer.Exit(1)


def show_boards(names: list[str], output: Path, *, world: Path | None) -> None:
    """Print boards and write them into the folder of their records: .md, .csv, .tex, and one report.html for all.

    Raises:
        typer.Exit: at the end, with code 1, if records were left out.
    """
    from sigma_bench.leaderboard.confusion import confusion_pictures
    from sigma_bench.leaderboard.figures import training_curves
    from sigma_bench.leaderboard.fill import predictions_of
    from sigma_bench.leaderboard.picture_folder import FOLDER, load_pictures
    from sigma_bench.leaderboard.report import render_report
    from sigma_bench.records.store import Store, write_atomically
    from sigma_bench.specs.board import load_board

    boards = [load_board(name) for name in names]
    store, left_out = Store(output), LeftOut()
    records = left_out.records(store)
    files: dict[str, str] = {}
    results = [one.table for one in left_out.fill(boards, store, records)]
    records = [pair for pair in records if pair[0] not in left_out.paths]
    for result in results:
        out.print(_terminal(result))
        if not result.record_ids:
            fitting = ", ".join(board.name for board in boards_for(records)) or "none"
            err.print(
                f"no record in {output} fits the board '{result.name}'; boards that one fits: {fitting}",
                soft_wrap=True,
                markup=False,
            )
        files |= _files(result, "table" if len(names) == 1 else result.name)
    curves, overlays = training_histories(output), _overlays(store, records, world)
    title = f"sigma-bench: {boards[0].title}" if len(boards) == 1 else "sigma-bench"
    confusions = confusion_pictures(results, records, predictions_of(store))
    pictures = {
        "Segmentation examples": overlays,
        **load_pictures(output / FOLDER),
        "Confusion matrices": confusions,
    }
    shown = {heading: found for heading, found in pictures.items() if found}
    files["report.html"] = render_report(results, records, curves=curves, pictures=shown, title=title)
    if curves:
        files["figures/training.svg"] = training_curves(curves)
    _write(output, files)
    for number, (_, picture) in enumerate(overlays, start=1):
        write_atomically(output / f"figures/segmentation-{number}.png", picture)
    left_out.end()


def boards_for(records: "list[tuple[Path, Record]]") -> "list[Board]":
    """Every board of the catalogue that one of these records fits."""
    from sigma_bench.leaderboard.select import fits
    from sigma_bench.specs.board import board_names, load_board

    return [b for b in map(load_board, board_names()) if any(fits(record, b) for _, record in records)]


def training_histories(output: Path) -> dict[str, list[dict[str, float]]]:
    """Training histories below the folder, by run name, with its folders where two have one.

    Raises:
        ValueError: a file that is no history.
    """
    runs = {path.parent: _history(path) for path in sorted(output.rglob("history.json"))}
    times = Counter(run.name for run in runs)
    return {
        run.name if times[run.name] == 1 else run.relative_to(output).as_posix(): history
        for run, history in runs.items()
    }


def _history(path: Path) -> list[dict[str, float]]:
    try:
        history = parse_json(read_bounded(path, MOST_HISTORY_BYTES))
    except ValueError as error:
        raise ValueError(f"{path}: not a training history ({error}); move it away, or continue its run") from error
    is_list = isinstance(history, list) and all(isinstance(line, dict) for line in history)
    if not is_list or not all(type(value) in (int, float) for line in history for value in line.values()):
        raise ValueError(f"{path}: not a training history (expected lists of numbers by name); move it away")
    return cast(list[dict[str, float]], history)


def _published(name: str) -> "BoardTable":
    from sigma_bench.leaderboard.fill import fill_published
    from sigma_bench.specs.board import load_board

    return fill_published(load_board(name))


def _filled(names: list[str], output: Path, left_out: LeftOut) -> "list[Filled]":
    from sigma_bench.records.store import Store
    from sigma_bench.specs.board import load_board

    store = Store(output)
    return left_out.fill([load_board(name) for name in names], store, left_out.records(store))


def _keep(filled: "list[Filled]", output: Path, folder: Path) -> None:
    from sigma_bench.leaderboard.fill import keep_records
    from sigma_bench.records.store import Store

    number = keep_records(filled, Store(output), folder)
    out.print(f"{number} records in {folder}", soft_wrap=True, markup=False)


def _terminal(result: "BoardTable") -> object:
    from sigma_bench.leaderboard.render import terminal_table

    return terminal_table(result)


def _files(result: "BoardTable", stem: str) -> dict[str, str]:
    from sigma_bench.leaderboard.exports import table_files

    return table_files(result, stem)


def _write(folder: Path, files: dict[str, str]) -> list[Path]:
    from sigma_bench.records.store import write_atomically

    for file, text in files.items():
        write_atomically(folder / file, text.encode())
    return []


def _compare(folder: Path, files: dict[str, str]) -> list[Path]:
    """Files that are missing or say something else."""
    return [
        folder / file
        for file, text in files.items()
        if not (folder / file).is_file() or (folder / file).read_text(encoding="utf-8") != text
    ]


def _overlays(store: "Store", records: "list[tuple[Path, Record]]", world: Path | None) -> list[tuple[str, bytes]]:
    """Pictures of segmentation and propagation by the first pretraining seed's models; one seed's frames are shared."""
    from sigma_bench.evaluation.overlays import PICTURES, segmentation_overlays

    if world is None:
        err.print("no --data, so the report has no segmentation pictures")
        return []
    by_task: dict[tuple[str, str, int], dict[str, Record]] = {}
    for _, record in records:
        has_masks = record.task.protocol.kind in PICTURES
        if has_masks and record.model.pretraining_seed in (0, None):
            key = (record.task.task, record.fingerprint, record.seed)
            by_task.setdefault(key, {})[record.model.model] = record
    return [
        picture
        for of_task in by_task.values()
        for picture in segmentation_overlays(store, of_task, world, num_sequences=2)
    ]
