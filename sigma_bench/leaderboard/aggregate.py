"""Aggregation of a board, the long table and published numbers into one ``BoardTable``.

Seeds are pooled per cell: the value is their mean, and the interval is the mean of their bootstrap intervals, which
describe the sampling of the test set.  The standard deviation over seeds, which describes reruns, is separate.  Columns
are averaged only if the board declares a mean, and only for complete rows.
"""

import statistics
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from sigma_bench.leaderboard.board_table import BoardTable, Cell, Column, Counts, Division, Row, mean_of_columns
from sigma_bench.leaderboard.model_names import shown_names
from sigma_bench.leaderboard.paired_bootstrap import Resampled, are_paired, mean_difference, shared_ranks
from sigma_bench.leaderboard.published_rows import published_sections
from sigma_bench.leaderboard.references import references
from sigma_bench.leaderboard.reproduction import deltas
from sigma_bench.leaderboard.settings import name_in
from sigma_bench.records.published import PublishedScore
from sigma_bench.specs.board import Board, BoardColumn

Resamples = Mapping[tuple[str, str, str], Resampled]
"""Resampled scores by task, metric and model; without them, ties are decided by overlap of intervals."""


@dataclass(frozen=True)
class _Measured:
    """Measurements of one column: rows of the long table, one cell per model, and how ties were decided."""

    rows: pd.DataFrame
    cells: Mapping[str, Cell]
    resampled: Mapping[str, Resampled]
    is_paired: bool | None

    @property
    def higher_is_better(self) -> bool:
        return bool(self.rows["higher_is_better"].iloc[0])


def aggregate(
    board: Board, table: pd.DataFrame, published: Sequence[PublishedScore] = (), resamples: Resamples | None = None
) -> BoardTable:
    """Fill a board.

    Args:
        board: which columns, in which order, and which published numbers.
        table: what ``select`` returns for this board.
        published: numbers of the file that the board names, and imported ones; if empty, no row is published.
        resamples: scores on resamples of the test units, for ties by paired bootstrap.

    Raises:
        ValueError: the board asks for a published number that is not there, or for one that is ambiguous.
    """
    measured = [_measured(table, column, resamples or {}) for column in board.columns]
    shown = table[table.index.isin([index for column in measured for index in column.rows.index])]
    rows, sections = _rows(board, shown, measured), published_sections(board, published)
    return BoardTable(
        name=board.name,
        title=board.title,
        note=board.note,
        about=board.about,
        columns=_columns(board, measured),
        axes=board.axes,
        mean_label=board.mean.label if board.mean else None,
        rows=rows,
        references=references([column.rows for column in measured]),
        sections=sections,
        published_note=board.published.note if board.published else "",
        deltas=deltas(board, shown, rows, sections),
        counts=_counts(shown),
        divisions=_divisions(shown),
        levels=tuple(sorted({float(level) for level in shown["level"]})),
    )


def _measured(table: pd.DataFrame, column: BoardColumn, resamples: Resamples) -> _Measured:
    rows = table[(table["task"] == column.place) & (table["metric"] == column.metric)]
    cells = _cells(rows)
    places = {model: (str(column.place), str(column.metric), model) for model in cells}
    resampled = {model: resamples[place] for model, place in places.items() if place in resamples}
    is_paired = len({r.samples for r in resampled.values()}) == 1 and len(resampled) == len(cells)
    found = _Measured(rows, cells, resampled, is_paired if len(cells) > 1 else None)
    return replace(found, cells=_marked(found)) if cells else found


def _marked(column: _Measured) -> dict[str, Cell]:
    """The cells with marks: not separable from the best one, or, among three or more, from the best of the others."""
    best = _tied_with_best(column, list(column.cells))
    rest = [model for model in column.cells if model not in best]
    second = _tied_with_best(column, rest) if rest and len(column.cells) > 2 else set()
    return {
        model: replace(cell, mark="best" if model in best else "second" if model in second else None)
        for model, cell in column.cells.items()
    }


def _tied_with_best(column: _Measured, models: list[str]) -> set[str]:
    choose = max if column.higher_is_better else min
    best = choose(models, key=lambda model: column.cells[model].value)
    return {model for model in models if model == best or _is_tie(column, model, best)}


def _is_tie(column: _Measured, first: str, second: str) -> bool:
    """Whether a paired bootstrap does not separate two models; without predictions, whether their intervals overlap."""
    a, b = column.resampled.get(first), column.resampled.get(second)
    if a is not None and b is not None and are_paired(a, b):
        return mean_difference([a], [b]).is_tie
    one, other = column.cells[first], column.cells[second]
    return one.low <= other.high and one.high >= other.low


def _columns(board: Board, measured: list[_Measured]) -> tuple[Column, ...]:
    columns = [_column(column, found) for column, found in zip(board.columns, measured, strict=True)]
    asked: dict[str, set[str]] = {column.group: set() for column in columns}
    for column in columns:
        if column.asks not in (None, "unspecified"):
            asked[column.group].add(str(column.asks))
    return tuple(
        replace(column, group_asks=min(asked[column.group]) if len(asked[column.group]) == 1 else None)
        for column in columns
    )


def _column(column: BoardColumn, measured: _Measured) -> Column:
    rows = measured.rows
    empty = rows.empty
    return Column(
        task=column.place,
        metric=column.metric or (column.published.metric if column.published else ""),
        label=column.label,
        group=column.group,
        asks=None if empty else str(rows["asks"].iloc[-1]),
        group_asks=None,
        protocol=None if empty else str(rows["protocol"].iloc[-1]),
        higher_is_better=None if empty else measured.higher_is_better,
        published_metric=column.published.metric if column.published else None,
        is_paired=measured.is_paired,
    )


def _cells(rows: pd.DataFrame) -> dict[str, Cell]:
    """One cell per model, in the order of the rows, with the seeds of a model in ascending order."""
    ordered = rows.sort_values(["pretraining_seed", "seed"], kind="stable")
    by_model: dict[str, list[Any]] = {str(model): [] for model in rows["model"]}
    for row in ordered[["model", "value", "low", "high", "spread", "record_id"]].itertuples():
        by_model[str(row.model)].append(row)
    return {model: _cell(of_model) for model, of_model in by_model.items()}


def _cell(seeds: Sequence[Any]) -> Cell:
    values = tuple(float(one.value) for one in seeds)
    spreads = [float(one.spread) for one in seeds if pd.notna(one.spread)]
    return Cell(
        value=statistics.fmean(values),
        low=statistics.fmean(one.low for one in seeds),
        high=statistics.fmean(one.high for one in seeds),
        seed_values=values,
        seed_std=statistics.stdev(values) if len(values) > 1 else None,
        repeat_std=statistics.fmean(spreads) if spreads else None,
        record_ids=tuple(str(one.record_id) for one in seeds),
        mark=None,
    )


def _rows(board: Board, shown: pd.DataFrame, measured: list[_Measured]) -> tuple[Row, ...]:
    """Rows of the board, then other models in the order of ``_place``; without rows of the board, see ``_by_name``."""
    found = set(shown["model"])
    first = [row.model for row in board.rows if row.model in found or not row.optional]
    names = [*first, *sorted(found - set(first))]
    name_of = shown_names(names, board)
    ranks = _ranks(names, measured) if board.mean else {}
    about = {str(row["model"]): row for row in shown.drop_duplicates("model", keep="last").to_dict(orient="records")}
    rows = {name: _row(name, name_of[name], about.get(name), measured, ranks.get(name), board) for name in names}
    others = [rows[name] for name in names if name not in first]
    in_order = sorted(others, key=_place) if board.rows else _by_name(others)
    return (*(rows[name] for name in first), *in_order)


def _place(row: Row) -> tuple[bool, int, str]:
    """Sorting key: complete rows before incomplete ones, then by rank, then by name."""
    return None in row.cells, row.rank or 0, row.model


def _by_name(rows: Sequence[Row]) -> list[Row]:
    """Rows of one model name together, in the place of the first of them; controls last."""
    first: dict[tuple[bool, str], tuple[bool, int, str]] = {}
    for row in sorted(rows, key=_place):
        first.setdefault((row.is_control, name_in(row.model)), _place(row))
    return sorted(rows, key=lambda row: (row.is_control, first[row.is_control, name_in(row.model)], _place(row)))


def _row(
    model: str,
    name: str,
    last: Mapping[Hashable, Any] | None,
    measured: list[_Measured],
    rank: int | None,
    board: Board,
) -> Row:
    """The row of a model; ``last`` is a row of the long table about it, or None."""
    cells = tuple(column.cells.get(model) for column in measured)
    of_axis = {
        axis: [place for place, column in enumerate(board.columns) if column.group == axis] for axis in board.axes
    }
    return Row(
        model=model,
        name=name,
        family=None if last is None else str(last["family"]),
        num_parameters=None if last is None else int(last["num_parameters"]),
        pretraining_data=None if last is None else str(last["pretraining_data"]),
        pretraining_epochs=None if last is None else int(last["pretraining_epochs"]),
        cells=cells,
        axis_means=tuple(_mean(cells, measured, of_axis[axis]) for axis in board.axes),
        mean=_mean(cells, measured, range(len(cells))) if board.mean else None,
        rank=rank,
    )


def _mean(cells: Sequence[Cell | None], measured: Sequence[_Measured], chosen: Iterable[int]) -> float | None:
    """Mean of a row over the chosen columns."""
    known = [(cells[place], measured[place]) for place in chosen]
    return mean_of_columns(None if cell is None else (cell.value, column.higher_is_better) for cell, column in known)


def _ranks(names: list[str], measured: list[_Measured]) -> dict[str, int]:
    """1 + the number of complete models whose mean is separably better; empty unless all models can be compared."""
    complete = [name for name in names if all(name in column.cells for column in measured)]
    for column in measured:
        known = [column.resampled[name].samples for name in complete if name in column.resampled]
        if len(known) < len(complete) or len(set(known)) > 1:
            return {}
    models = [[column.resampled[name] for column in measured] for name in complete]
    return dict(zip(complete, shared_ranks(models), strict=True))


def _counts(shown: pd.DataFrame) -> tuple[Counts, ...]:
    """One entry per dataset and set of counts; models measured on different files have separate entries."""
    counted = ["num_expected", "num_found", "num_scored", "num_failed", "num_official"]
    keys = ["dataset", "data_source", *counted, "manifest"]
    return tuple(
        Counts(
            dataset=str(rows["dataset"].iloc[0]),
            data_source=str(rows["data_source"].iloc[0]),
            **{name: int(rows[name].iloc[0]) for name in counted},
            num_shared_groups=int(rows["num_shared_groups"].max()),  # tasks without training share none
            manifest=str(rows["manifest"].iloc[0]),
            models=tuple(dict.fromkeys(str(model) for model in rows["model"])),
        )
        for _, rows in shown.groupby(keys, sort=False)
    )


def _divisions(shown: pd.DataFrame) -> tuple[Division, ...]:
    """One entry per custom dataset, folds, scored split and kind of test unit."""
    custom = shown[shown["data_source"] == "user"]
    # without groups, every sample is a group of its own
    unit = custom["unit"].mask(custom["num_units"] == custom["num_scored"], "sample")
    return tuple(
        Division(
            dataset=str(rows["dataset"].iloc[0]),
            folds=str(rows["folds"].iloc[0]),
            split=str(rows["split"].iloc[0]),
            unit=str(rows["unit"].iloc[0]),
            num_units=int(rows["num_units"].min()),
            tasks=tuple(dict.fromkeys(str(task) for task in rows["task"])),
        )
        for _, rows in custom.assign(unit=unit).groupby(["dataset", "folds", "split", "unit"], sort=False)
    )
