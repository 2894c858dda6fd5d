"""Suites with variants: accuracy under every condition, or with every number of labelled videos, as points of curves.

These suites are not part of the SIGMA paper.  An arrow-of-time gap is the accuracy on the test clips minus the accuracy
on the same clips reversed, or with shuffled frames: reversal and shuffling remove the order of frames and keep the
appearance.
"""

import csv
import io
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sigma_bench.leaderboard.board_table import Cell
from sigma_bench.leaderboard.escaping import csv_cell, markdown_text
from sigma_bench.leaderboard.fill import fill, predictions_of
from sigma_bench.leaderboard.numbers import MINUS, MISSING, percent, signed
from sigma_bench.leaderboard.paired_bootstrap import Difference, Draws, Load, mean_difference, resample, score_samples
from sigma_bench.leaderboard.select import partial_line, reported_split
from sigma_bench.records.record import Record
from sigma_bench.records.scoring import controls_of
from sigma_bench.records.store import Store
from sigma_bench.specs.board import Board, BoardColumn
from sigma_bench.specs.condition import Condition, Disturbance, Reversal, Shuffle
from sigma_bench.specs.task import Suite

NUM_SEVERITIES = 5
GAPS = ("reversed", "shuffled")
"""Kinds of arrow-of-time gaps; ``shuffled`` is the strongest severity, any order of the frames."""
_CSV_COLUMNS = ("task", "variant", "model", "metric", "num_taught", "value", "low", "high", "num_seeds", "seed_std")


@dataclass(frozen=True, kw_only=True)
class Point:
    """One model on one task under one variant; seeds are pooled."""

    task: str
    """Name of the task without its variant."""
    variant: str
    """Name of the variant; empty for the plain task."""
    model: str
    metric: str
    condition: Condition | None
    num_taught: int
    """Number of labelled training samples; with folds, of all samples."""
    chance: float | None
    cell: Cell


@dataclass(frozen=True, kw_only=True)
class Curves:
    """Points of a suite in its order, and arrow-of-time gaps by task, model and kind (``GAPS``)."""

    suite: str
    points: tuple[Point, ...]
    gaps: Mapping[tuple[str, str, str], Difference]
    notes: tuple[str, ...]
    """Sentences about checkpoints and points that are left out."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """Plain tasks with a point, in the order of the points."""
        return tuple(dict.fromkeys(point.task for point in self.points))

    @property
    def models(self) -> tuple[str, ...]:
        """Models with a point, in the order of the points."""
        return tuple(dict.fromkeys(point.model for point in self.points))

    def of(self, task: str) -> dict[str, list[Point]]:
        """Points of a task by model, sorted by the number of labelled samples, then in the order of the suite."""
        found: dict[str, list[Point]] = {}
        for point in sorted(self.points, key=lambda point: point.num_taught):
            if point.task == task:
                found.setdefault(point.model, []).append(point)
        return found


def curves(suite: Suite, store: Store, records: Iterable[tuple[Path, Record]]) -> Curves:
    """The curves of a suite with variants from a store.  All points of a curve are of the same checkpoints.

    Raises:
        ValueError: there is no record of the suite, or as ``fill``.
    """
    given = [(path, record) for path, record in records if record.task.task in suite.tasks]
    partial = partial_line(given, "the curves")
    filed = [(path, record) for path, record in given if not record.is_partial]
    if not {record.task.task for _, record in filed} & set(suite.tasks):
        raise ValueError(f"{store.root}: no record of the suite '{suite.suite}'; evaluate it first")
    filed, notes = _of_same_checkpoints(suite, filed)
    table = fill(_board(suite, filed), store, filed).table
    by_id = {record.id: record for _, record in filed}
    points = [
        _point(row.model, cell, [by_id[name] for name in cell.record_ids])
        for row in table.rows
        for cell in row.cells
        if cell is not None
    ]
    gaps = _gaps(points, by_id, predictions_of(store))
    points, said = _without_repeated_sizes(points)
    return Curves(suite=suite.suite, points=tuple(points), gaps=gaps, notes=(*notes, *said, *partial))


def with_tasks(suite: Suite, tasks: Sequence[str], records: Iterable[tuple[Path, Record]]) -> Suite:
    """The suite with other tasks, such as those of custom data: each plain task and its recorded variants.

    Raises:
        ValueError: a task without a record.
    """
    recorded = {record.task.task: record.task.protocol for _, record in records}
    names = []
    for task in tasks:
        if task not in recorded:
            raise ValueError(f"no record of '{task}'; evaluate it first")
        for name in sorted(name for name in recorded if name.partition("+")[0] == task):
            is_condition = getattr(recorded[name], "test_condition", None) is not None
            if name == task or is_condition == (suite.variants == "conditions"):
                names.append(name)
    return suite.model_copy(update={"tasks": tuple(names)})


def markdown(found: Curves) -> str:
    """One table per task: accuracy by number of labels, or means over five severities per condition, and gaps."""
    tables = [line for task in found.tasks for line in (*_table(found, task), "")]
    return "\n".join((*tables, *(f"- {markdown_text(note)}." for note in found.notes)))


def _table(found: Curves, task: str) -> list[str]:
    by_model = found.of(task)
    everything = sorted((p for points in by_model.values() for p in points), key=lambda point: point.num_taught)
    is_robustness = any(point.condition is not None for point in everything)
    columns = list(dict.fromkeys(_column(point, is_robustness) for point in everything))
    kinds = [kind for kind in GAPS if any((task, model, kind) in found.gaps for model in by_model)]
    gap = [f"clean {MINUS} {kind}" for kind in kinds]
    lines = [
        f"## {markdown_text(task)}, {everything[0].metric} (%)",
        "",
        _line(["Model", *map(markdown_text, columns), *gap]),
    ]
    lines.append(_line(["---", *["---:"] * (len(columns) + len(gap))]))
    for model, points in by_model.items():
        cells = [_cell([p for p in points if _column(p, is_robustness) == column]) for column in columns]
        num_seeds = points[0].cell.num_seeds
        name = model if num_seeds == 1 else f"{model}, n={num_seeds}"
        lines.append(
            _line([markdown_text(name), *cells, *(_gap_words(found.gaps.get((task, model, kind))) for kind in kinds)])
        )
    return lines


def csv_text(found: Curves) -> str:
    """One line per point, fractions in full precision."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_CSV_COLUMNS)
    for point in found.points:
        cell = point.cell
        about = (point.task, point.variant, point.model, point.metric, point.num_taught)
        writer.writerow((*map(csv_cell, about), cell.value, cell.low, cell.high, cell.num_seeds, cell.seed_std))
    return stream.getvalue()


def _of_same_checkpoints(
    suite: Suite, filed: list[tuple[Path, Record]]
) -> tuple[list[tuple[Path, Record]], tuple[str, ...]]:
    """Records of the suite for the checkpoints of each model that are measured at the most points, and notes on others.

    All kept checkpoints of a curve have the same points, so that its steps are not differences between seeds.
    """
    measured: dict[tuple[str, str], dict[str, set[str]]] = {}
    for _, record in filed:
        if record.task.task in suite.tasks:
            checkpoints = measured.setdefault(_curve(record), {})
            checkpoints.setdefault(record.model.checkpoint_sha256, set()).add(record.task.task)
    kept, notes = {}, []
    for (task, model), checkpoints in measured.items():
        most = max(checkpoints.values(), key=len)
        kept[task, model] = {name for name, tasks in checkpoints.items() if tasks == most}
        if len(kept[task, model]) < len(checkpoints):
            used = f"{len(kept[task, model])} of {len(checkpoints)} checkpoints"
            points = f"{len(most)} of {_num_points(suite, task)} points"
            notes.append(f"{model} on {task}: {used}, those measured at the same {points}")
    same = [
        (path, record)
        for path, record in filed
        if record.task.task in suite.tasks and record.model.checkpoint_sha256 in kept[_curve(record)]
    ]
    return same, tuple(notes)


def _without_repeated_sizes(points: list[Point]) -> tuple[list[Point], tuple[str, ...]]:
    """The points without sample sizes that equal the whole train split, if the plain task has a point of that size."""
    whole = {(point.task, point.model): point.num_taught for point in points if not point.variant}

    def is_repeated(point: Point) -> bool:
        is_size = bool(point.variant) and point.condition is None
        return is_size and whole.get((point.task, point.model)) == point.num_taught

    repeated = dict.fromkeys((point.task, point.variant, point.num_taught) for point in points if is_repeated(point))
    notes = tuple(
        f"{task}, {variant}: that is all {number} videos, the last point" for task, variant, number in repeated
    )
    return [point for point in points if not is_repeated(point)], notes


def _curve(record: Record) -> tuple[str, str]:
    return record.task.task.partition("+")[0], record.model.model


def _num_points(suite: Suite, task: str) -> int:
    return sum(name.partition("+")[0] == task for name in suite.tasks)


def _board(suite: Suite, records: list[tuple[Path, Record]]) -> Board:
    """A board with a column for each recorded task and its first metric."""
    metrics = {record.task.task: record.task.protocol.metrics[0] for _, record in records}
    columns = []
    for name in suite.tasks:
        plain, _, variant = name.partition("+")
        metric = metrics.get(name)
        if metric is not None:
            columns.append(BoardColumn(group=plain, label=variant, task=name, metric=metric))
    return Board(name=suite.suite, title=suite.summary, rows=(), columns=tuple(columns), published=None, note="")


def _point(model: str, cell: Cell, records: list[Record]) -> Point:
    first = records[0]
    plain, _, variant = first.task.task.partition("+")
    protocol = first.task.protocol
    chance = controls_of(protocol, first.controls, protocol.metrics[0]).get("chance")
    return Point(
        task=plain,
        variant=variant,
        model=model,
        metric=protocol.metrics[0],
        condition=getattr(protocol, "test_condition", None),
        num_taught=first.data.splits.get("train", reported_split(first.data)).found,
        chance=chance.value if chance else None,
        cell=cell,
    )


def _weights(point: Point, by_id: Mapping[str, Record]) -> set[str]:
    return {by_id[name].model.checkpoint_sha256 for name in point.cell.record_ids}


def _gaps(points: list[Point], by_id: Mapping[str, Record], load: Load) -> dict[tuple[str, str, str], Difference]:
    """Clean minus disturbed accuracy with an interval by paired bootstrap, if both have predictions.

    Both must be of the same checkpoints, since seeds would otherwise contribute to the difference.
    """
    gaps, draws = {}, Draws()
    plain = {(point.task, point.model): point for point in points if point.condition is None and not point.variant}
    for point in points:
        key = point.task, point.model
        kind = _gap_kind(point.condition)
        if kind is None or key not in plain or _weights(point, by_id) != _weights(plain[key], by_id):
            continue
        pair = [
            score_samples([by_id[name] for name in side.cell.record_ids], side.metric, load, draws)
            for side in (plain[key], point)
        ]
        scored = [one for one in pair if one is not None]
        if len(scored) == 2 and scored[0].samples == scored[1].samples:
            clean, disturbed = resample(scored)
            gaps[(*key, kind)] = mean_difference([clean], [disturbed])
    return gaps


def _gap_kind(condition: Condition | None) -> str | None:
    if isinstance(condition, Reversal):
        return "reversed"
    return "shuffled" if isinstance(condition, Shuffle) and condition.reach_share == "anywhere" else None


def _column(point: Point, is_robustness: bool) -> str:
    if isinstance(point.condition, Disturbance):
        return point.condition.kind.replace("_", " ")
    if isinstance(point.condition, Reversal):
        return "reversal"
    return "clean" if is_robustness else f"{point.num_taught} labels"


def _cell(points: list[Point]) -> str:
    """The value, or the mean over all five severities; a dash if a severity is missing."""
    is_whole = points and len(points) == (NUM_SEVERITIES if isinstance(points[0].condition, Disturbance) else 1)
    return percent(statistics.fmean(point.cell.value for point in points)) if is_whole else MISSING


def _gap_words(gap: Difference | None) -> str:
    if gap is None:
        return MISSING
    return f"{signed(gap.value, 'top1')} [{signed(gap.low, 'top1')}, {signed(gap.high, 'top1')}]"


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
