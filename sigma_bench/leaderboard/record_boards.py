"""Boards of a folder of records without naming one: declared boards that fit, and one board per dataset for the rest.

A board made from records has a column per task with the first metric of its protocol.  It holds records of one data
source and no published numbers.  A task that was measured under several settings has a column for each.
"""

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from sigma_bench.leaderboard.notes import data_source_words
from sigma_bench.leaderboard.select import fits
from sigma_bench.leaderboard.settings import Filed, Settings, data_digest, plain_values, shown, task_settings, telling
from sigma_bench.records.record import Record
from sigma_bench.specs.board import Board, BoardColumn, board_names, load_board
from sigma_bench.specs.catalogue import selected_tasks
from sigma_bench.specs.fingerprint import digest
from sigma_bench.specs.task import ResolvedTask

_LONGEST_NAME = 60
_NOTE = "Every column shows one task, in the first metric of its protocol."
_PARTIAL = ", since all of them are partial (evaluated with a limit)"


def boards_of(filed: Sequence[Filed], *, by_dataset: bool = False) -> list[Board]:
    """Every declared board that a record fits, and boards by dataset for records that fit none.

    Args:
        by_dataset: whether all records are shown by dataset, and none on declared boards.

    Raises:
        ValueError: there is no complete record, or a declared board is invalid.
    """
    records = _complete(filed)
    declared = [] if by_dataset else declared_boards(records)
    rest = [record for record in records if not any(fits(record, board) for board in declared)]
    return [*declared, *_dataset_boards(rest, {*board_names()})]


def board_of_all(filed: Sequence[Filed], *, name: str, title: str) -> Board:
    """One board with all tasks of the records, grouped by dataset.

    Raises:
        ValueError: there is no complete record, or the records come from several data sources.
    """
    records = _complete(filed)
    source = _one_source(records)
    return _board(name, title, _task_columns(records), source, _NOTE)


def board_of_tasks(filed: Sequence[Filed], tasks: Sequence[str], *, name: str) -> Board:
    """One board with some tasks in the given order, named as in the records, as in the catalogue, or by patterns.

    Raises:
        ValueError: a name or pattern matches no task, or records of these tasks come from several data sources.
    """
    complete = [record for _, record in filed if not record.is_partial]
    columns: list[BoardColumn] = []
    shown_records: list[Record] = []
    for pattern in tasks:
        matching = [
            record for record in complete if pattern == record.task.task or fnmatchcase(record.task.task, pattern)
        ]
        shown_records += matching
        columns += _task_columns(matching) or [_column(task, {}) for task in selected_tasks([pattern])]
    source = _one_source(shown_records) if shown_records else None
    return _board(name, name, list({column.place: column for column in columns}.values()), source, _NOTE)


def declared_boards(records: Iterable[Record]) -> list[Board]:
    """Every declared board that a record fits, once per data source if records of several fit.

    Custom data are on no board that shows published numbers unless it states ``data_source: user``.
    """
    complete = [record for record in records if not record.is_partial]
    found = []
    for board in map(load_board, board_names()):
        fitting = {record.data.world for record in complete if fits(record, board)}
        shown_sources = fitting if _takes_custom_data(board) else fitting - {"user"}
        if len(fitting) == 1 and shown_sources:
            found.append(board)
        else:
            found += [_of_source(board, source) for source in sorted(shown_sources)]
    return found


def _takes_custom_data(board: Board) -> bool:
    return board.data_source == "user" or (board.published is None and not board.context)


def _of_source(board: Board, source: str) -> Board:
    changes = {
        "data_source": source,
        "name": f"{board.name}_{source}",
        "title": f"{board.title} ({data_source_words(source)})",
    }
    return board.model_copy(update=changes)


def _complete(filed: Sequence[Filed]) -> list[Record]:
    complete = [record for _, record in filed if not record.is_partial]
    if not complete:
        raise ValueError(f"there are no records to make a table of{_PARTIAL if filed else ''}")
    return complete


def _dataset_boards(records: Iterable[Record], taken: set[str]) -> list[Board]:
    """A board per dataset and data source; ``taken`` are the names that other boards have."""
    by_dataset: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        by_dataset.setdefault((record.task.dataset.dataset, record.data.world), []).append(record)
    boards = []
    for (dataset, source), of_dataset in sorted(by_dataset.items()):
        name = _free_name(dataset, source, taken)
        taken.add(name)
        title = of_dataset[-1].task.dataset.title
        title = title if source in ("user", "official") else f"{title} ({data_source_words(source)})"
        boards.append(_board(name, title, _task_columns(of_dataset), source, _NOTE))
    return boards


def _board(name: str, title: str, columns: Sequence[BoardColumn], source: str | None, note: str) -> Board:
    return Board(
        name=name,
        title=title,
        rows=(),
        columns=tuple(columns),
        published=None,
        note=note,
        data_source=source,  # type: ignore[arg-type]
    )


def _one_source(records: Iterable[Record]) -> str:
    """The data source of all records; ValueError if there are several."""
    sources = sorted({record.data.world for record in records})
    if len(sources) > 1:
        raise ValueError(
            f"the records come from several data sources ({', '.join(sources)}), which do not share a table; choose "
            f"one, such as --where data_source={sources[0]}"
        )
    return sources[0]


def _task_columns(records: Sequence[Record]) -> list[BoardColumn]:
    """The columns of all tasks of the records, by dataset and name."""
    tasks = sorted({(record.task.dataset.dataset, record.task.task) for record in records})
    by_task = [[record for record in records if record.task.task == task] for _, task in tasks]
    return [column for of_task in by_task for column in _columns(of_task)]


def _columns(records: Sequence[Record]) -> list[BoardColumn]:
    """The columns of one task: one per version of its settings, and of its data if a model has several of these."""
    versions: dict[tuple[str, str], Record] = {}
    by_data = _has_several_data(records)
    for record in records:
        versions.setdefault((record.fingerprint, data_digest(record) if by_data else ""), record)
    told = telling([task_settings(record) for record in versions.values()])
    return [_column(record.task, where) for record, where in zip(versions.values(), told, strict=True)]


def _column(task: ResolvedTask, where: Settings) -> BoardColumn:
    label = task.task.partition("/")[2] or task.task
    return BoardColumn(
        group=task.dataset.title,
        label=f"{label}, {shown(where)}" if where else label,
        task=task.task,
        metric=task.protocol.metrics[0],
        where=plain_values(where),
    )


def _has_several_data(records: Sequence[Record]) -> bool:
    """Whether one model was evaluated under the same settings on different files."""
    data: dict[tuple[str, ...], set[str]] = {}
    for record in records:
        evaluation = (record.model.model, digest(record.model.identity), record.fingerprint, str(record.seed))
        data.setdefault(evaluation, set()).add(data_digest(record))
    return any(len(found) > 1 for found in data.values())


def _free_name(dataset: str, source: str, taken: set[str]) -> str:
    """A name of a board and its files that no other board has."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", dataset).strip("._-")[:_LONGEST_NAME]
    name = plain if plain == dataset else f"{plain or 'dataset'}_{digest(dataset)[:8]}"
    name = name if source == "user" else f"{name}_{source}"
    free = [name, f"{name}_records", *(f"{name}_records{number}" for number in range(2, len(taken) + 3))]
    return next(each for each in free if each not in taken)
