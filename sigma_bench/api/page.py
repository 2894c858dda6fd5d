"""The page of boards: tables, plots, training curves, pictures and records in one HTML file."""

from collections.abc import Sequence
from pathlib import Path

from sigma_bench.leaderboard.board_table import BoardTable
from sigma_bench.leaderboard.exports import table_files
from sigma_bench.leaderboard.fill import predictions_of
from sigma_bench.leaderboard.model_styles import model_styles, names_of_records
from sigma_bench.leaderboard.report import render_report
from sigma_bench.leaderboard.settings import Filed
from sigma_bench.leaderboard.training_figure import training_curves, training_histories
from sigma_bench.pictures.confusion import confusion_pictures
from sigma_bench.pictures.saved_pictures import FOLDER, load_pictures
from sigma_bench.records.store import Store, write_atomically

Pictures = list[tuple[str, bytes]]
"""Captions and PNG bytes."""


def render_page(
    tables: Sequence[BoardTable], store: Store | None, records: Sequence[Filed], *, data: str | Path | None = None
) -> str:
    """One self-contained HTML page of several boards from the same records.

    Args:
        store: the folder of the records; its training histories and pictures are shown too.
        records: at least those behind the boards.
        data: root of the datasets, for pictures of segmentations; without it there are none.

    Raises:
        ValueError: a training history or picture in the folder is damaged, or the data are not those that the records
            were measured on.
    """
    return _render(tables, store, records, _overlays(tables, store, records, data))


def write_page(
    tables: Sequence[BoardTable], store: Store, records: Sequence[Filed], *, data: str | Path | None = None
) -> list[Path]:
    """Write .md, .csv and .tex of each board, one report.html for all, and its figures into the records' folder.

    Returns:
        The written files.

    Raises:
        ValueError: as ``render_page``, or a file cannot be written.
    """
    overlays = _overlays(tables, store, records, data)
    files: dict[str, bytes] = {}
    for table in tables:
        stem = "table" if len(tables) == 1 else table.name
        files |= {name: text.encode() for name, text in table_files(table, stem).items()}
    files["report.html"] = _render(tables, store, records, overlays).encode()
    if curves := training_histories(store.root):
        files["figures/training.svg"] = training_curves(curves, model_styles(tables, curves)).encode()
    files |= {f"figures/segmentation-{number}.png": png for number, (_, png) in enumerate(overlays, start=1)}
    for name, content in files.items():
        write_atomically(store.root / name, content)
    return [store.root / name for name in files]


def _overlays(
    tables: Sequence[BoardTable], store: Store | None, records: Sequence[Filed], data: str | Path | None
) -> Pictures:
    """Pictures of segmentation and propagation from stored predictions; none without data."""
    if store is None or data is None:
        return []
    from sigma_bench.pictures.overlays import overlays_of  # it decodes videos, which needs torch

    return overlays_of(store, [record for _, record in records], Path(data), names_of_records(tables))


def _render(tables: Sequence[BoardTable], store: Store | None, records: Sequence[Filed], overlays: Pictures) -> str:
    pictures: dict[str, Pictures] = {"Segmentation examples": overlays}
    if store is not None:
        pictures |= load_pictures(store.root / FOLDER)
        pictures["Confusion matrices"] = confusion_pictures(tables, records, predictions_of(store))
    return render_report(
        tables,
        records,
        curves={} if store is None else training_histories(store.root),
        pictures={heading: found for heading, found in pictures.items() if found},
        title=f"sigma-bench: {tables[0].title}" if len(tables) == 1 else "sigma-bench",
    )
