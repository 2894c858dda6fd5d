"""``sigma-bench table``: a leaderboard from records, in the terminal, Markdown, CSV and HTML."""

import json
from pathlib import Path

import typer

from sigma_bench.cli.console import err, out


def table(
    board: str = typer.Argument("mini", help="Board name, see results/boards."),
    output: Path = typer.Option(Path("results/demo"), help="Folder that holds the records; the tables go there too."),
    data: Path = typer.Option(None, help="Data root, for segmentation pictures in the report."),
) -> None:
    """Print a board and write it beside the records as Markdown, CSV and HTML."""
    show_board(board, output, world=data)


def show_board(name: str, output: Path, *, world: Path | None) -> None:
    """Print a board, and write table.md, table.csv and report.html into the folder of its records."""
    from sigma_bench.leaderboard.aggregate import aggregate
    from sigma_bench.leaderboard.figures import training_curves
    from sigma_bench.leaderboard.render import csv_text, markdown, terminal_table
    from sigma_bench.leaderboard.report import render_report
    from sigma_bench.leaderboard.select import select
    from sigma_bench.records.published import load_published
    from sigma_bench.records.store import Store, write_atomically
    from sigma_bench.specs.board import load_board

    board = load_board(name)
    store = Store(output)
    records = list(store.records())
    if not records:
        raise ValueError(f"{output}: no records here yet; run 'sigma-bench evaluate' or 'sigma-bench demo' first")
    published = load_published(board.published.file) if board.published else ()
    result = aggregate(board, select(records, board), published)
    out.print(terminal_table(result))
    curves, overlays = _curves(output), _overlays(output, world)
    title = f"sigma-bench: {board.title}"
    page = render_report(result, records, curves=curves, overlays=overlays, title=title, subtitle=board.note)
    files = {"table.md": markdown(result), "table.csv": csv_text(result), "report.html": page}
    if curves:
        files["figures/training.svg"] = training_curves(curves)
    for file, text in files.items():
        write_atomically(output / file, text.encode())
    for number, (_, picture) in enumerate(overlays, start=1):
        write_atomically(output / f"figures/segmentation-{number}.png", picture)


def _curves(output: Path) -> dict[str, list[dict[str, float]]]:
    """Training histories below the folder, by run name."""
    return {path.parent.name: json.loads(path.read_text()) for path in sorted(output.rglob("history.json"))}


def _overlays(output: Path, world: Path | None) -> list[tuple[str, bytes]]:
    """Pictures of both clusterings of the first pretraining seed's models."""
    from sigma_bench.records.store import Store
    from sigma_bench.runs.overlays import segmentation_overlays
    from sigma_bench.specs.segmentation import SegmentationProtocol

    if world is None:
        err.print("no --data, so the report has no segmentation pictures")
        return []
    store = Store(output)
    by_task: dict[str, dict[str, object]] = {}
    for _, record in store.records():
        if isinstance(record.task.protocol, SegmentationProtocol) and record.model.pretraining_seed in (0, None):
            by_task.setdefault(record.task.task, {})[record.model.model] = record
    pictures = []
    for task_records in by_task.values():
        pictures += segmentation_overlays(store, task_records, world, num_sequences=2)  # type: ignore[arg-type]
    return pictures
