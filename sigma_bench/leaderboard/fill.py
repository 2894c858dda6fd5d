"""Boards filled from a folder of records, for tables, pages and exports."""

import logging
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import pandas as pd

from sigma_bench.leaderboard.aggregate import aggregate
from sigma_bench.leaderboard.board_table import BoardTable
from sigma_bench.leaderboard.paired_bootstrap import Draws, Load, Resampled, Scored, resample, score_samples
from sigma_bench.leaderboard.select import as_declared, fits, select
from sigma_bench.leaderboard.settings import row_labels
from sigma_bench.records.published import PublishedScore, load_published, read_published
from sigma_bench.records.record import Record
from sigma_bench.records.scoring import NOT_COMPUTABLE, Arrays, arrays_read, require_samples
from sigma_bench.records.store import Store
from sigma_bench.specs.board import Board, BoardRow
from sigma_bench.specs.untrusted import one_line

IMPORTED = "imported"
"""Folder beside the records that holds imported numbers, one CSV file per source."""
_TOLERANCE = 1e-9
"""Tolerance for sums, which differ in the last bits between processors."""

NO_RECORDS = "no records here yet; run 'sigma-bench evaluate' or 'sigma-bench demo' first"

logger = logging.getLogger(__name__)


class UnusableRecordsError(ValueError):
    """Records whose predictions are damaged or contradict them; ``paths`` are their files."""

    def __init__(self, sentence: str, paths: tuple[Path, ...]) -> None:
        super().__init__(sentence)
        self.paths = paths


@dataclass(frozen=True)
class Filled:
    """A filled board and its sources."""

    table: BoardTable
    long: pd.DataFrame
    """Long table with one row per score."""
    records: tuple[tuple[Path, Record], ...]
    """Records in the table."""

    @property
    def labels(self) -> dict[str, str]:
        """By the id of a record, the label of its model in the table."""
        return dict(zip(self.long["record_id"], self.long["model"], strict=True))


def fill(board: Board, store: Store, records: Iterable[tuple[Path, Record]]) -> Filled:
    """Fill a board from records of a store, with ties by paired bootstrap if the predictions are stored.

    If a task was measured under the catalogue's settings and under others, records under others are named in a warning
    and left out.  A model whose name stands for several encoders has a row for each, with the settings that differ.

    Raises:
        ValueError: as in ``select`` and ``aggregate``, or the predictions of a record do not belong to it.
    """
    filed, left_out = as_declared(records, board)
    for line in left_out:
        logger.warning("%s", line)
    labels = row_labels((path, record) for path, record in filed if fits(record, board))
    board = _with_labelled_rows(board, [(record.model.model, labels.get(path)) for path, record in filed])
    long = select(filed, board, labels)
    used = set(long["path"])
    by_id = {record.id: (path, record) for path, record in filed if str(path) in used}
    resamples = _resamples(long, {name: record for name, (_, record) in by_id.items()}, predictions_of(store))
    table = aggregate(board, long, numbers_for(board, store), resamples)
    return Filled(table, long, tuple(by_id[name] for name in table.record_ids))


def _with_labelled_rows(board: Board, labels: Sequence[tuple[str, str | None]]) -> Board:
    """The board with the labels of a model in the place of its name, if it has any; a name of tables is extended."""
    labels_of: dict[str, set[str]] = {}
    for name, label in labels:
        if label is not None:
            labels_of.setdefault(name, set()).add(label)
    rows: dict[str, BoardRow] = {}
    for row in board.rows:
        for label in sorted(labels_of.get(row.model, {row.model})):
            shown = row.name and row.name + label.removeprefix(row.model)
            rows[label] = BoardRow(model=label, name=shown, optional=row.optional)
    rows |= {row.model: row for row in board.rows if row.model in rows}  # a label that the board names itself
    return board.model_copy(update={"rows": tuple(rows.values())})


def require_records(folder: Path, num_used: int, num_left_out: int) -> None:
    """ValueError if a folder holds no record, or none that can be used."""
    if not num_used and num_left_out:
        raise ValueError(
            f"{folder}: no record here can be used; {num_left_out} were left out, see 'sigma-bench verify'"
        )
    if not num_used:
        raise ValueError(f"{folder}: {NO_RECORDS}")


def fill_usable(
    boards: Sequence[Board], store: Store, records: Sequence[tuple[Path, Record]]
) -> tuple[list[Filled], Mapping[Path, str]]:
    """Boards from records, and the reason for each record that is in none of them.

    A record is left out of all boards if its predictions are damaged or contradict it.
    """
    filled: list[Filled] = []
    reasons: dict[Path, str] = {}
    while len(filled) < len(boards):
        usable = [pair for pair in records if pair[0] not in reasons]
        try:
            filled.append(fill(boards[len(filled)], store, usable))
        except UnusableRecordsError as error:
            reasons |= {path: str(error) for path in error.paths}
            filled.clear()  # boards filled so far may hold these records
    return filled, reasons


def fill_published(board: Board) -> BoardTable:
    """A board with published numbers only; declared rows are left out."""
    return aggregate(board.model_copy(update={"rows": ()}), select([], board), numbers_for(board, None))


def numbers_for(board: Board, store: Store | None) -> tuple[PublishedScore, ...]:
    """The published numbers that a board names, and the numbers imported into a store."""
    files = dict.fromkeys(section.file for section in (board.published, *board.context) if section)
    printed = [score for file in files for score in load_published(file)]
    imported = sorted((store.root / IMPORTED).glob("*.csv")) if store and board.published else []
    return (*printed, *(score for path in imported for score in read_published(path, origin="imported")))


def predictions_of(store: Store) -> Load:
    """Function that reads the predictions of a record, whole or reduced; it returns None if there is no file."""

    def load(record: Record) -> Arrays | None:
        found = store.find_predictions(record.predictions)
        if found is not None:
            require_samples(found[0])
        return found[0] if found else None

    return load


def keep_records(boards: Sequence[Filled], store: Store, folder: Path) -> int:
    """Copy the records behind boards, their predictions reduced to what the boards are computed from.

    The folder is a store that gives the same tables; the number of its records is returned.  Of paths in the commands
    that made the records, only the last name is kept, since paths of one machine are private.

    Raises:
        ValueError: predictions that are missing or not those of their record, or a file that cannot be written.
    """
    kept = Store(folder)
    chosen = {path: record for filled in boards for path, record in filled.records}
    for path, record in chosen.items():
        found = store.find_predictions(record.predictions)
        if found is None:
            raise ValueError(f"{path}: its predictions are not here, so the record cannot be kept with them")
        try:
            kept.add_reduced(record.predictions, arrays_read(record.task.protocol, found[0]))
        except NOT_COMPUTABLE as error:
            why = one_line(str(error))[:300]
            raise UnusableRecordsError(
                f"{path}: its predictions are not those its scores need ({why})", (path,)
            ) from error
        words = tuple(
            PurePath(word).name if PurePath(word).is_absolute() else word for word in record.provenance.command
        )
        provenance = record.provenance.model_copy(update={"command": words})
        kept.add(record.model_copy(update={"provenance": provenance}))
    return len(chosen)


def _resamples(long: pd.DataFrame, records: Mapping[str, Record], load: Load) -> dict[tuple[str, str, str], Resampled]:
    """Resampled scores by task, metric and model; predictions are read once, and those of one model are held."""
    found: dict[tuple[str, str, str], Resampled] = {}
    draws = Draws()
    rows_of: dict[str, dict[str, dict[str, list[Any]]]] = {}
    for row in long[["task", "model", "metric", "record_id", "path", "value"]].itertuples():
        of_model = rows_of.setdefault(str(row.task), {}).setdefault(str(row.model), {})
        of_model.setdefault(str(row.metric), []).append(row)
    for task, of_task in rows_of.items():
        scored = {}
        for model, of_model in of_task.items():
            read = _read_once(load)
            for metric, rows in of_model.items():
                one = _scored(rows, records, metric, read, draws)
                if one is not None:
                    scored[(task, metric, model)] = one
        found |= zip(scored, resample(list(scored.values())), strict=True)
    return found


def _read_once(load: Load) -> Load:
    """The function with a cache of all predictions it has read."""
    known: dict[str, Arrays | None] = {}

    def cached(record: Record) -> Arrays | None:
        if record.id not in known:
            known[record.id] = load(record)
        return known[record.id]

    return cached


def _scored(rows: Sequence[Any], records: Mapping[str, Record], metric: str, load: Load, draws: Draws) -> Scored | None:
    """The score of one model on one task; UnusableRecordsError if its predictions are damaged or contradict it."""
    try:
        scored = score_samples([records[row.record_id] for row in rows], metric, load, draws)
    except NOT_COMPUTABLE as error:  # reduced predictions have no digest to check them by
        raise _culprits(rows, records, metric, load, error) from error
    if scored is not None:
        _require_agreement(scored.value, rows, metric)
    return scored


def _require_agreement(value: float, rows: Sequence[Any], metric: str) -> None:
    """UnusableRecordsError if the scores of records differ from those computed from their predictions."""
    said = statistics.fmean(row.value for row in rows)
    if not math.isclose(value, said, rel_tol=0, abs_tol=_TOLERANCE):
        paths = ", ".join(row.path for row in rows)
        raise UnusableRecordsError(
            f"{paths}: {metric} is {said!r} in the records and {value!r} when computed from their predictions; see "
            "'sigma-bench verify'",
            tuple(Path(row.path) for row in rows),
        )


def _culprits(
    rows: Sequence[Any], records: Mapping[str, Record], metric: str, load: Load, error: Exception
) -> UnusableRecordsError:
    """An error that names the seeds with unusable predictions, or all seeds if each can be used by itself."""
    alone: dict[Path, Exception] = {}
    for row in rows:
        try:
            score_samples([records[row.record_id]], metric, load, Draws())
        except NOT_COMPUTABLE as of_one:
            alone[Path(row.path)] = of_one
    why = one_line(str(next(iter(alone.values()), error)))[:300]
    paths = tuple(alone) or tuple(Path(row.path) for row in rows)
    names = ", ".join(map(str, paths))
    return UnusableRecordsError(
        f"{names}: {metric} cannot be computed from the predictions ({why}); see 'sigma-bench verify'", paths
    )
