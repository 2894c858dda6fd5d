"""Selection of records into one long table with one row per score.

Two records that would share a cell and differ in protocol, data source, checkpoint or value are an error that names
both files.  Several seeds are allowed; they are pooled later.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sigma_bench.leaderboard.settings import is_fulfilled, settings_of
from sigma_bench.records.record import DataIdentity, Record, Score, SplitIdentity
from sigma_bench.records.scoring import controls_of
from sigma_bench.specs.board import Board, BoardColumn
from sigma_bench.specs.catalogue import load_task, resolve
from sigma_bench.specs.fingerprint import digest, task_fingerprint

LONG_COLUMNS = (
    *("model", "family", "num_parameters", "feature_width", "pretraining_data", "pretraining_epochs"),
    *("pretraining_seed", "checkpoint", "encoder", "seed"),
    *("task", "dataset", "asks", "protocol", "fingerprint", "metric", "higher_is_better"),
    *("value", "low", "high", "level", "spread", "num_units", "unit", "data_source", "folds", "split"),
    *("num_expected", "num_found", "num_scored", "num_failed", "num_official", "num_shared_groups"),
    *("manifest", "controls", "record_id", "path", "started_utc"),
)
"""``value``, ``low`` and ``high`` are fractions; the counts are samples of the scored split, and groups that train
shares with it; ``controls`` holds the fields of ``ControlValue`` by name."""


_OF_ALL_SEEDS = ("family", "num_parameters", "feature_width", "pretraining_data", "pretraining_epochs")
"""Columns that are the same for all seeds of a model."""


def with_unknown_epochs(table: pd.DataFrame) -> pd.DataFrame:
    """A long table for export: epochs of pretraining are missing instead of 0, which stands for unknown or none."""
    epochs = table["pretraining_epochs"].astype("Int64")
    return table.assign(pretraining_epochs=epochs.mask(epochs == 0))


def select(
    records: Iterable[tuple[Path, Record]], board: Board | None = None, labels: Mapping[Path, str] | None = None
) -> pd.DataFrame:
    """One row per score (``LONG_COLUMNS``), restricted to the columns and data source of a board if one is given.

    Of several records of the same evaluation the latest is used; their values must agree exactly.

    Args:
        labels: by file, the label of a model whose name stands for several encoders (``settings.row_labels``).

    Raises:
        ValueError: two task fingerprints or two data sources in one column, two encoders with one pretraining seed or
            two kinds of model under one label, one checkpoint and seed on two sets of files, or one evaluation with two
            values; names both record files.
    """
    rows = [
        row
        for path, record in records
        if board is None or fits(record, board)
        for row in _placed(_rows(path, record, (labels or {}).get(path, record.model.model)), record, board)
    ]
    table, column = _table(rows), ["task", "metric"]
    advice = "show them on two boards, choose by --where, or move one record away"
    _require_one("fingerprint", column, table, f"were measured under two versions of the protocol; {advice}")
    _require_one("data_source", column, table, f"were measured on two data sources; {advice}")
    _require_one("higher_is_better", column, table, f"disagree on whether higher is better; {advice}")
    problem = (
        "carry one label and pretraining seed, but two encoders, which differ in weights, code, clip or normalisation; "
        "rename one"
    )
    _require_one("encoder", ["model", "pretraining_seed"], table, problem)
    for what in _OF_ALL_SEEDS:
        _require_one(what, ["model"], table, "carry one label, but are not seeds of one model; rename one")
    return _latest(table)


def scores_of(records: Iterable[tuple[Path, Record]]) -> pd.DataFrame:
    """One row per score of every record (``LONG_COLUMNS``), without checks between records."""
    return _table([row for path, record in records for row in _rows(path, record, record.model.model)])


def fits(record: Record, board: Board) -> bool:
    """Whether a complete record has the data source of a board, and the task and the settings of one of its columns."""
    return not record.is_partial and concerns(record, board)


def concerns(record: Record, board: Board) -> bool:
    """As ``fits``, also for partial records."""
    return board.data_source in (None, record.data.world) and bool(_columns(record, board))


def _columns(record: Record, board: Board) -> list[BoardColumn]:
    """The columns of a board with the task and the settings of a record."""
    columns = [column for column in board.columns if column.task == record.task.task]
    if not any(column.where for column in columns):
        return columns
    settings = settings_of(record)
    return [column for column in columns if is_fulfilled(column.where, settings)]


def _placed(rows: list[dict[str, Any]], record: Record, board: Board | None) -> list[dict[str, Any]]:
    """The rows of a record in the columns of a board, which may add their settings to the name of the task."""
    if board is None:
        return rows
    columns = _columns(record, board)
    return [row | {"task": c.place} for row in rows for c in columns if c.metric == row["metric"]]


def as_declared(
    records: Iterable[tuple[Path, Record]], board: Board
) -> tuple[list[tuple[Path, Record]], tuple[str, ...]]:
    """Records with the catalogue's settings of a board's tasks, and a line for each record that is left out.

    If no record of a task has the catalogue's settings, all of its records are kept.
    """
    filed = list(records)
    told_apart = {column.task for column in board.columns if column.where}
    of_board = [record for _, record in filed if fits(record, board) and record.task.task not in told_apart]
    measured = {task: {r.fingerprint for r in of_board if r.task.task == task} for task in _tasks(of_board)}
    wanted = {task: _declared(task) for task, found in measured.items() if len(found) > 1}
    wanted = {task: fingerprint for task, fingerprint in wanted.items() if fingerprint in measured[task]}
    kept, lines = [], partial_line([(path, r) for path, r in filed if concerns(r, board)], f"'{board.name}'")
    for path, record in filed:
        if fits(record, board) and record.fingerprint != wanted.get(record.task.task, record.fingerprint):
            lines.append(
                f"{path}: left out of '{board.name}', since its settings of {record.task.task} are not the catalogue's"
            )
        else:
            kept.append((path, record))
    return kept, tuple(lines)


def partial_line(records: Iterable[tuple[Path, Record]], place: str) -> list[str]:
    """A line about the partial records among these, which are left out of a place; no line if there are none."""
    partial = [(path, record) for path, record in records if record.is_partial]
    if not partial:
        return []
    (path, first), more = partial[0], f" (and {len(partial) - 1} more)" if len(partial) > 1 else ""
    return [
        f"{path}{more}: left out of {place}, since it is partial (limit {first.data.limit}); evaluate "
        f"{first.task.task} without a limit"
    ]


def _tasks(records: Iterable[Record]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(record.task.task for record in records))


def _declared(task: str) -> str | None:
    """Fingerprint of a task of the catalogue; None for any other task."""
    try:
        return task_fingerprint(resolve(load_task(task)))
    except ValueError:
        return None


def reported_split(data: DataIdentity) -> SplitIdentity:
    """The scored split of a record: ``test``, or the only split (folds).

    Raises:
        ValueError: there is neither.
    """
    if "test" in data.splits:
        return data.splits["test"]
    if len(data.splits) == 1:
        return next(iter(data.splits.values()))
    raise ValueError(f"a record without a test split: {', '.join(sorted(data.splits)) or 'no split at all'}")


def _table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(LONG_COLUMNS)).astype({"pretraining_seed": "Int64"})


def _rows(path: Path, record: Record, label: str) -> list[dict[str, Any]]:
    """One row per score of a record."""
    of_record = _columns_of_record(path, record) | {"model": label}
    return [of_record | _columns_of_score(record, score) for score in record.scores]


def _columns_of_record(path: Path, record: Record) -> dict[str, Any]:
    split, model = reported_split(record.data), record.model
    return {
        "model": model.model,
        "family": model.family,
        "num_parameters": model.num_parameters,
        "feature_width": model.feature_width,
        "pretraining_data": ", ".join(model.pretraining_data),
        "pretraining_epochs": model.pretraining_epochs,
        "pretraining_seed": model.pretraining_seed,
        "checkpoint": model.checkpoint_sha256,
        "encoder": digest(model.identity),
        "seed": record.seed,
        "task": record.task.task,
        "dataset": record.task.dataset.dataset,
        "asks": record.task.asks,
        "protocol": record.task.protocol.protocol,
        "fingerprint": record.fingerprint,
        "data_source": record.data.world,
        "folds": record.task.folds,
        "split": next(name for name, one in record.data.splits.items() if one is split),
        "num_expected": split.expected,
        "num_found": split.found,
        "num_scored": split.scored,
        "num_failed": len(split.failed_ids),
        "num_official": split.expected if split.official is None else split.official,
        "num_shared_groups": record.data.shared_groups,
        "manifest": split.manifest_sha256,
        "record_id": record.id,
        "path": str(path),
        "started_utc": record.provenance.started_utc,
    }


def _columns_of_score(record: Record, score: Score) -> dict[str, Any]:
    return {
        "metric": score.metric,
        "higher_is_better": score.higher_is_better,
        "value": score.value,
        "low": score.interval.low,
        "high": score.interval.high,
        "level": score.interval.level,
        "spread": score.spread,
        "controls": {
            name: control._asdict()
            for name, control in controls_of(record.task.protocol, record.controls, score.metric).items()
        },
        "num_units": score.interval.num_units,
        "unit": score.interval.unit,
    }


def _require_one(what: str, within: list[str], table: pd.DataFrame, problem: str) -> None:
    """ValueError if rows that agree in ``within`` differ in ``what``; names the first two such files."""
    rows = _first_disagreement(table, within, what)
    if rows is not None:
        first = rows.iloc[0]
        other = rows[rows[what] != first[what]].iloc[0]
        raise ValueError(
            f"{_words(within, first[within])}: {first['path']} and {other['path']} {problem} "
            f"({what.replace('_', ' ')} {_short(first[what])} and {_short(other[what])})"
        )


def _first_disagreement(table: pd.DataFrame, within: list[str], what: str) -> pd.DataFrame | None:
    """The first rows that agree in ``within`` and differ in ``what``."""
    counts = table.groupby(within, sort=False, dropna=False)[what].nunique(dropna=False)
    place = table.groupby(within, sort=False, dropna=False).ngroup()
    wrong = np.flatnonzero(counts.to_numpy() > 1)
    return table[place == wrong[0]] if len(wrong) else None


def _latest(table: pd.DataFrame) -> pd.DataFrame:
    """The latest row of each evaluation and metric, in the given order."""
    evaluation = ["model", "encoder", "seed", "task", "fingerprint", "metric"]
    rows = _first_disagreement(table, evaluation, "manifest")
    if rows is not None:
        one, second = rows.drop_duplicates("manifest").iloc[:2].to_dict(orient="records")
        raise ValueError(
            f"{one['model']} on {one['task']}: {one['path']} and {second['path']} were scored on other files; "
            "move the record of the older files away"
        )
    rows = _first_disagreement(table, evaluation, "value")
    if rows is not None:
        first = rows.iloc[0]
        other = rows[rows["value"] != first["value"]].iloc[0]
        values = f"{float(first['value'])!r} and {float(other['value'])!r}"
        raise ValueError(
            f"{first['model']} on {first['task']}: {first['path']} and {other['path']} are one evaluation with "
            f"two values of {first['metric']} ({values}); find out why, then move one away"
        )
    by_time = table.sort_values("started_utc", kind="stable")
    kept = by_time.drop_duplicates(evaluation, keep="last").index
    return table.loc[sorted(kept)].reset_index(drop=True)


def _words(names: list[str], key: Any) -> str:
    named = zip(names, key, strict=True)
    return ", ".join(f"{name.replace('_', ' ')} {'none' if pd.isna(value) else value}" for name, value in named)


def _short(value: Any) -> str:
    return str(value)[:16]
