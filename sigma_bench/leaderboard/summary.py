"""The summary of a board: one sentence per question on the best scores and the models not separable from them.

A question is what tasks depend on, such as motion; tasks that do not state it are summarised by the header of their
columns.  The sentences use the marks of the table, so they agree with its bold numbers.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from sigma_bench.leaderboard.board_table import BoardTable, Cell, Column
from sigma_bench.leaderboard.numbers import number

MOST_LISTED = 3
"""Number of columns of one model from which on only its lowest and its highest score are stated."""


@dataclass(frozen=True)
class Statement:
    """A sentence that answers a question."""

    question: str
    """What the tasks depend on, such as ``Motion``."""
    sentence: str


@dataclass(frozen=True)
class _Best:
    """The best score of a column."""

    column: Column
    model: str
    cell: Cell
    floor: tuple[str, float] | None
    """Name and value of the best floor that the interval of the score reaches; None if the score is above all."""
    ties: tuple[str, ...]
    """Other models that are not separable from the best."""
    num_others: int

    @property
    def is_lower_better(self) -> bool:
        return self.column.higher_is_better is False

    @property
    def is_above_floor(self) -> bool:
        """Whether the value, though not its interval, is better than the floor."""
        sign = -1 if self.is_lower_better else 1
        return self.floor is None or sign * self.cell.value > sign * self.floor[1]

    @property
    def words(self) -> str:
        """Header of the column and the score with its interval."""
        ends = f"[{self._text(self.cell.low)}, {self._text(self.cell.high)}]"
        return f"{self.column.group} {self.column.label} {self._text(self.cell.value)} {ends}"

    @property
    def floor_words(self) -> str:
        return f"{self.floor[0]} at {self._text(self.floor[1])}" if self.floor else ""

    def _text(self, value: float) -> str:
        return number(value, self.column.metric)


def summary(table: BoardTable) -> tuple[Statement, ...]:
    """One statement per question with a measured score, in the order of the columns."""
    questions: dict[str, list[_Best]] = {}
    for place, column in enumerate(table.columns):
        if any(row.cells[place] for row in table.rows):
            asks = column.asks if column.asks not in (None, "unspecified") else None
            questions.setdefault(asks.capitalize() if asks else column.group, []).append(_best(table, place))
    return tuple(Statement(name, _sentence(bests)) for name, bests in questions.items())


def _best(table: BoardTable, place: int) -> _Best:
    column = table.columns[place]
    cells = {row.name: cell for row in table.rows if (cell := row.cells[place]) is not None}
    sign = -1 if column.higher_is_better is False else 1
    model = max(cells, key=lambda name: sign * cells[name].value)
    end = cells[model].high if sign < 0 else cells[model].low
    floors = [(reference.name, reference.values[place]) for reference in table.references if reference.kind == "floor"]
    reached = [(name, value) for name, value in floors if value is not None and sign * value >= sign * end]
    return _Best(
        column=column,
        model=model,
        cell=cells[model],
        floor=max(reached, key=lambda floor: sign * floor[1], default=None),
        ties=tuple(name for name, cell in cells.items() if cell.among_best and name != model),
        num_others=len(cells) - 1,
    )


def _sentence(bests: Sequence[_Best]) -> str:
    by_model: dict[str, list[_Best]] = {}
    for best in bests:
        by_model.setdefault(best.model, []).append(best)
    common = _among_all_best(bests) if len(by_model) > 1 else []
    has = f" has the {'best' if any(best.is_lower_better for best in bests) else 'highest'} score"
    clauses: list[str] = []
    for model, own in sorted(by_model.items(), key=lambda item: -len(item[1])):
        remarks = f" ({words})" if (words := _remarks(own, common)) else ""
        clauses.append(f"{model}{'' if clauses else has} in {_where(own, len(bests))}{_scores(own)}{remarks}")
    start = "The columns disagree: " if len(by_model) > 1 else ""
    if common:
        start = f"{_listed(common)} {'is' if len(common) == 1 else 'are'} among the best in {_all(len(bests))}: "
    has_worse = _are_alone(bests, common) and any(best.num_others >= len(common) for best in bests)
    worse = "; all other models are separably worse" if has_worse else ""
    return f"{start}{'; '.join(clauses)}{worse}{_seeds(bests)}."


def _among_all_best(bests: Sequence[_Best]) -> list[str]:
    """The models that are the best, or not separable from it, in all columns."""
    return [name for name in (bests[0].model, *bests[0].ties) if all(name in (b.model, *b.ties) for b in bests)]


def _are_alone(bests: Sequence[_Best], common: Sequence[str]) -> bool:
    """Whether ``common`` has models, and no other model is the best of a column or not separable from it."""
    return bool(common) and all(name in common for best in bests for name in (best.model, *best.ties))


def _where(bests: Sequence[_Best], num_columns: int) -> str:
    """The number of columns of a model, if it is not evident from its scores."""
    if len(bests) == num_columns > 1:
        return f"{_all(num_columns)}, "
    return f"{len(bests)} columns, " if len(bests) > MOST_LISTED else ""


def _scores(bests: Sequence[_Best]) -> str:
    """The scores of one model by column, or the lowest and the highest of many that are alike."""
    if len(bests) <= MOST_LISTED or any(best.is_lower_better for best in bests):
        return _listed([best.words for best in bests])
    lowest, highest = (choose(bests, key=lambda best: best.cell.value) for choose in (min, max))
    return f"from {lowest.words} to {highest.words}"


def _remarks(bests: Sequence[_Best], common: Sequence[str]) -> str:
    """Floors that the scores of one model are not above, and models not separable from it that are not ``common``."""
    if _are_alone(bests, common):
        return _floors(bests)
    return "; ".join(part for part in (_floors(bests), _rivals(bests)) if part)


def _floors(bests: Sequence[_Best]) -> str:
    low = [best for best in bests if best.floor]
    if not low:
        return ""
    how = "its interval includes" if all(best.is_above_floor for best in low) else "not better than"
    if len(bests) == 1:
        return f"{how} {low[0].floor_words}"
    return f"{how} {_listed(list(dict.fromkeys(best.floor_words for best in low)))} in {_columns(len(low))}"


def _rivals(bests: Sequence[_Best]) -> str:
    times = Counter(name for best in bests for name in best.ties)
    num_others = sum(best.num_others for best in bests)
    if not num_others:
        return "no other model is measured"
    if not times:
        return f"{'the other model is' if num_others == len(bests) else 'all other models are'} separably worse"
    if sum(times.values()) == num_others:
        return "no other model is separable from it"
    groups = [(count, [name for name, _ in group]) for count, group in groupby(times.most_common(), lambda one: one[1])]
    if len(bests) == 1:
        return f"not separable from it: {_listed(groups[0][1])}"
    (most, first), *rest = groups
    where = _all(len(bests)) if most == len(bests) else f"{most} of {len(bests)} columns"
    words = [f"{_listed(first)} in {where}", *(f"{_listed(names)} in {count}" for count, names in rest)]
    return f"not separable from it: {', '.join(words)}"


def _all(num_columns: int) -> str:
    return "both columns" if num_columns == 2 else f"all {num_columns} columns"


def _columns(count: int) -> str:
    return f"{count} column{'' if count == 1 else 's'}"


def _seeds(bests: Sequence[_Best]) -> str:
    """The number of seeds of the scores, if it is more than one."""
    numbers = sorted({best.cell.num_seeds for best in bests})
    if numbers[-1] == 1:
        return ""
    return f"; means over {numbers[0]} {f'to {numbers[-1]} ' if len(numbers) > 1 else ''}seeds"


def _listed(words: Sequence[str]) -> str:
    return " and ".join(part for part in (", ".join(words[:-1]), words[-1]) if part)
