"""Aggregation: a board, the long table and published numbers become one immutable BoardTable.

Seeds are pooled per cell: the value is their mean, the interval the mean of their bootstrap intervals (how sure the
test set makes us), the standard deviation over seeds stands apart (how much a rerun moves).  Nothing is averaged
over columns.
"""

import statistics
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from sigma_bench.leaderboard.board_table import BoardTable, Cell, Column, Counts, PublishedRow, Reference, Row
from sigma_bench.records.published import PublishedScore
from sigma_bench.specs.board import Board, BoardColumn, PublishedColumn, PublishedRows

_BACKBONES = {"vit_s": "ViT-S", "vit_b": "ViT-B", "vit_l": "ViT-L"}


def aggregate(board: Board, table: pd.DataFrame, published: Sequence[PublishedScore] = ()) -> BoardTable:
    """Fill a board.

    Args:
        board: which columns, in which order, and which published numbers.
        table: what ``select`` returns for this board.
        published: the numbers of the file the board names; none leaves the published rows out.

    Raises:
        ValueError: the board asks for a published number that is not there, or for one that is ambiguous.
    """
    in_column = [_of_column(table, column) for column in board.columns]
    shown = table[table.index.isin([index for rows in in_column for index in rows.index])]
    cells = [_column_cells(rows) for rows in in_column]
    return BoardTable(
        name=board.name,
        title=board.title,
        note=board.note,
        columns=tuple(_column(column, rows) for column, rows in zip(board.columns, in_column, strict=True)),
        rows=_rows(board, shown, cells),
        references=_references(in_column),
        published=_published_rows(board, published),
        published_note=board.published.note if board.published else "",
        counts=_counts(shown),
        levels=tuple(sorted({float(level) for level in shown["level"]})),
    )


def _of_column(table: pd.DataFrame, column: BoardColumn) -> pd.DataFrame:
    return table[(table["task"] == column.task) & (table["metric"] == column.metric)]


def _column(column: BoardColumn, rows: pd.DataFrame) -> Column:
    empty = rows.empty
    return Column(
        task=column.task,
        metric=column.metric,
        label=column.label,
        group=column.group,
        asks=None if empty else str(rows["asks"].iloc[-1]),
        protocol=None if empty else str(rows["protocol"].iloc[-1]),
        higher_is_better=None if empty else bool(rows["higher_is_better"].iloc[-1]),
    )


def _column_cells(rows: pd.DataFrame) -> dict[str, Cell]:
    """One cell per model that was measured in a column, those not separable from the best one marked."""
    cells = {str(model): _cell(of_model) for model, of_model in rows.groupby("model", sort=False)}
    if not cells:
        return {}
    choose = max if bool(rows["higher_is_better"].iloc[0]) else min
    best = choose(cells.values(), key=lambda cell: cell.value)
    return {
        model: replace(cell, among_best=cell.low <= best.high and cell.high >= best.low)
        for model, cell in cells.items()
    }


def _cell(rows: pd.DataFrame) -> Cell:
    ordered = rows.sort_values(["pretraining_seed", "seed"], kind="stable")
    values = tuple(float(value) for value in ordered["value"])
    return Cell(
        value=statistics.fmean(values),
        low=statistics.fmean(ordered["low"]),
        high=statistics.fmean(ordered["high"]),
        seed_values=values,
        seed_std=statistics.stdev(values) if len(values) > 1 else None,
        record_ids=tuple(str(name) for name in ordered["record_id"]),
        among_best=False,
    )


def _rows(board: Board, shown: pd.DataFrame, cells: list[dict[str, Cell]]) -> tuple[Row, ...]:
    """The board's rows first, then the other models: complete ones before incomplete ones, by name."""
    others = [_row(str(model), shown, cells) for model in sorted(set(shown["model"]) - set(board.rows))]
    complete_first = sorted(others, key=lambda row: row.num_covered < len(cells))
    return (*(_row(model, shown, cells) for model in board.rows), *complete_first)


def _row(model: str, shown: pd.DataFrame, cells: list[dict[str, Cell]]) -> Row:
    records = shown[shown["model"] == model]
    return Row(
        model=model,
        family=None if records.empty else str(records["family"].iloc[-1]),
        num_parameters=None if records.empty else int(records["num_parameters"].iloc[-1]),
        pretraining_data=None if records.empty else str(records["pretraining_data"].iloc[-1]),
        cells=tuple(column.get(model) for column in cells),
    )


def _references(in_column: list[pd.DataFrame]) -> tuple[Reference, ...]:
    """The records' reference values per column; where records of a column differ (drawn frames), their mean."""
    controls: list[dict[str, list[float]]] = []
    for rows in in_column:
        found: dict[str, list[float]] = {}
        for stated in rows["controls"]:
            for name, value in stated.items():
                found.setdefault(str(name), []).append(float(value))
        controls.append(found)
    names = dict.fromkeys(name for found in controls for name in found)
    return tuple(
        Reference(
            name=name,
            values=tuple(statistics.fmean(found[name]) if name in found else None for found in controls),
        )
        for name in names
    )


def _counts(shown: pd.DataFrame) -> tuple[Counts, ...]:
    """One entry per dataset and set of counts; models measured on different files get entries of their own."""
    keys = ["dataset", "world", "num_expected", "num_found", "num_scored", "num_failed", "manifest"]
    return tuple(
        Counts(
            dataset=str(rows["dataset"].iloc[0]),
            world=str(rows["world"].iloc[0]),
            num_expected=int(rows["num_expected"].iloc[0]),
            num_found=int(rows["num_found"].iloc[0]),
            num_scored=int(rows["num_scored"].iloc[0]),
            num_failed=int(rows["num_failed"].iloc[0]),
            manifest=str(rows["manifest"].iloc[0]),
            models=tuple(dict.fromkeys(str(model) for model in rows["model"])),
        )
        for _, rows in shown.groupby(keys, sort=False)
    )


def _published_rows(board: Board, scores: Sequence[PublishedScore]) -> tuple[PublishedRow, ...]:
    if board.published is None or not scores:
        return ()
    targets = {(column.to_task, column.to_metric): column for column in board.published.columns}
    for column in targets.values():
        if not any(_matches(score, column) for score in scores):
            raise ValueError(
                f"board '{board.name}': {board.published.file} has no number for table {column.table}, "
                f"task {column.task}, dataset {column.dataset}, metric {column.metric}"
            )
    wanted = [targets.get((column.task, column.metric)) for column in board.columns]
    return tuple(_published_row(method, board.published, wanted, scores) for method in board.published.methods)


def _published_row(
    method: str, rows: PublishedRows, wanted: list[PublishedColumn | None], scores: Sequence[PublishedScore]
) -> PublishedRow:
    of_method = [score for score in scores if score.method == method and score.backbone == rows.backbone]
    found = [None if column is None else _only(column, of_method) for column in wanted]
    if not any(found):
        raise ValueError(f"{rows.file} has no number of {method} with backbone {rows.backbone} for this board")
    return PublishedRow(
        label=f"{method} {_BACKBONES.get(rows.backbone, rows.backbone)}",
        values=tuple(None if score is None else score.value for score in found),
        source=_sources([score for score in found if score is not None]),
    )


def _only(column: PublishedColumn, scores: list[PublishedScore]) -> PublishedScore | None:
    matches = [score for score in scores if _matches(score, column)]
    if len(matches) > 1:
        raise ValueError(
            f"{len(matches)} published numbers of {matches[0].method} fit the column {column.to_task}; "
            "tell them apart with 'where' (pretrain_data, pretrain_epochs, extra_data, motion_guided)"
        )
    return matches[0] if matches else None


def _matches(score: PublishedScore, column: PublishedColumn) -> bool:
    place = (score.table, score.task, score.dataset, score.metric)
    conditions = all(_printed(getattr(score, name)) == text for name, text in column.where.items())
    return place == (column.table, column.task, column.dataset, column.metric) and conditions


def _printed(value: str | int | bool | None) -> str:
    """A cell as the CSV file writes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def _sources(scores: list[PublishedScore]) -> str:
    """Paper, tables and pretraining data of a row's numbers: ``Paper: table frozen (pretrained on k400)``."""
    tables: dict[str, dict[str, None]] = {}
    for score in scores:
        data = f"pretrained on {score.pretrain_data}" if score.pretrain_data else "pretraining data not stated"
        tables.setdefault(score.source, {})[f"table {score.table} ({data})"] = None
    return "; ".join(f"{source}: {', '.join(places)}" for source, places in tables.items())
