"""Suites with variants: accuracy under every condition, or with every number of labelled videos, as points of curves.

Beyond the paper.  The arrow-of-time gap is the accuracy on the test clips less that on the same clips reversed; what a
model knows of appearance alone survives reversal, what it knows of the direction of motion does not.
"""

import csv
import io
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sigma_bench.leaderboard.board_table import Cell
from sigma_bench.leaderboard.comparison import Difference, Draws, Load, are_paired, mean_difference, resample
from sigma_bench.leaderboard.fill import fill, predictions_of
from sigma_bench.leaderboard.numbers import MINUS, MISSING, percent, signed
from sigma_bench.leaderboard.select import record_id
from sigma_bench.records.record import Record
from sigma_bench.records.store import Store
from sigma_bench.specs.board import Board, BoardColumn
from sigma_bench.specs.catalogue import load_task, resolve
from sigma_bench.specs.condition import Disturbance, Reversal
from sigma_bench.specs.frozen import TaughtProtocol
from sigma_bench.specs.task import Suite

NUM_SEVERITIES = 5
_CSV_COLUMNS = ("task", "variant", "model", "metric", "num_taught", "value", "low", "high", "num_seeds", "seed_std")


@dataclass(frozen=True, kw_only=True)
class Point:
    """One model on one task under one variant; seeds are pooled."""

    task: str
    """Without its variant."""
    variant: str
    """Empty for the plain task."""
    model: str
    metric: str
    condition: Reversal | Disturbance | None
    num_taught: int
    """Labelled samples that taught."""
    chance: float | None
    cell: Cell


@dataclass(frozen=True, kw_only=True)
class Curves:
    """All points of a suite, in its order, and each model's arrow-of-time gap by task and model."""

    suite: str
    points: tuple[Point, ...]
    gaps: Mapping[tuple[str, str], Difference]

    @property
    def tasks(self) -> tuple[str, ...]:
        """Plain tasks with a point, in order."""
        return tuple(dict.fromkeys(point.task for point in self.points))

    def of(self, task: str) -> dict[str, list[Point]]:
        """Points of a task by model, the fewest labelled samples first, then in the suite's order."""
        found: dict[str, list[Point]] = {}
        for point in sorted(self.points, key=lambda point: point.num_taught):
            if point.task == task:
                found.setdefault(point.model, []).append(point)
        return found


def curves(suite: Suite, store: Store, records: Iterable[tuple[Path, Record]]) -> Curves:
    """What a store holds of a suite with variants.

    Raises:
        ValueError: nothing at all, or as ``fill`` does.
    """
    filed = list(records)
    board = _board(suite)
    table = fill(board, store, filed).table
    by_id = {record_id(record): record for _, record in filed}
    points = [
        _point(row.model, cell, [by_id[name] for name in cell.record_ids])
        for row in table.rows
        for cell in row.cells
        if cell is not None
    ]
    if not points:
        raise ValueError(f"{store.root}: no record of the suite '{suite.suite}'; evaluate it first")
    return Curves(suite=suite.suite, points=tuple(points), gaps=_gaps(points, by_id, predictions_of(store)))


def markdown(found: Curves) -> str:
    """A table per task: clean clips by the number of labels, conditions as means over five severities, and the gap."""
    return "\n".join(line for task in found.tasks for line in (*_table(found, task), ""))


def _table(found: Curves, task: str) -> list[str]:
    by_model = found.of(task)
    everything = sorted((p for points in by_model.values() for p in points), key=lambda point: point.num_taught)
    is_robustness = any(point.condition is not None for point in everything)
    columns = list(dict.fromkeys(_column(point, is_robustness) for point in everything))
    gaps = {model: found.gaps[(task, model)] for model in by_model if (task, model) in found.gaps}
    gap = [f"clean {MINUS} reversed"] if gaps else []
    lines = [f"## {task}, {everything[0].metric} (%)", "", _line(["Model", *columns, *gap])]
    lines.append(_line(["---", *["---:"] * (len(columns) + len(gap))]))
    for model, points in by_model.items():
        cells = [_cell([p for p in points if _column(p, is_robustness) == column]) for column in columns]
        lines.append(_line([model, *cells, *([_gap_words(gaps.get(model))] if gap else [])]))
    return lines


def csv_text(found: Curves) -> str:
    """One line per point, fractions in full precision."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_CSV_COLUMNS)
    for point in found.points:
        cell = point.cell
        about = (point.task, point.variant, point.model, point.metric, point.num_taught)
        writer.writerow((*about, cell.value, cell.low, cell.high, cell.num_seeds, cell.seed_std))
    return stream.getvalue()


def _board(suite: Suite) -> Board:
    columns = []
    for name in suite.tasks:
        plain, _, variant = name.partition("+")
        if not variant:
            metric = resolve(load_task(plain)).protocol.metrics[0]
        columns.append(BoardColumn(group=plain, label=variant, task=name, metric=metric))
    return Board(name=suite.suite, title=suite.summary, rows=(), columns=tuple(columns), published=None, note="")


def _point(model: str, cell: Cell, records: list[Record]) -> Point:
    first = records[0]
    plain, _, variant = first.task.task.partition("+")
    protocol = first.task.protocol
    return Point(
        task=plain,
        variant=variant,
        model=model,
        metric=protocol.metrics[0],
        condition=protocol.test_condition if isinstance(protocol, TaughtProtocol) else None,
        num_taught=first.data.splits["train"].found,
        chance=first.controls.get("chance"),
        cell=cell,
    )


def _gaps(points: list[Point], by_id: Mapping[str, Record], load: Load) -> dict[tuple[str, str], Difference]:
    """Clean less reversed, with an interval by paired bootstrap, where both are there with their predictions."""
    gaps, draws = {}, Draws()
    plain = {(point.task, point.model): point for point in points if point.condition is None and not point.variant}
    for point in points:
        key = point.task, point.model
        if not isinstance(point.condition, Reversal) or key not in plain:
            continue
        pair = [
            resample([by_id[name] for name in side.cell.record_ids], side.metric, load, draws)
            for side in (plain[key], point)
        ]
        if are_paired(*pair):
            clean, reversed_ = pair
            assert clean is not None and reversed_ is not None
            gaps[key] = mean_difference([clean], [reversed_])
    return gaps


def _column(point: Point, is_robustness: bool) -> str:
    if isinstance(point.condition, Disturbance):
        return point.condition.kind.replace("_", " ")
    if isinstance(point.condition, Reversal):
        return "reversal"
    return "clean" if is_robustness else f"{point.num_taught} labels"


def _cell(points: list[Point]) -> str:
    """The value, or the mean over all five severities; an incomplete one has none."""
    is_whole = points and len(points) == (NUM_SEVERITIES if isinstance(points[0].condition, Disturbance) else 1)
    return percent(statistics.fmean(point.cell.value for point in points)) if is_whole else MISSING


def _gap_words(gap: Difference | None) -> str:
    if gap is None:
        return MISSING
    return f"{signed(gap.value, 'top1')} [{signed(gap.low, 'top1')}, {signed(gap.high, 'top1')}]"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
