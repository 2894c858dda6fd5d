"""``new_board``: the file of a board, made from records or names of tasks, for editing."""

import re
from collections.abc import Iterable
from pathlib import Path

from sigma_bench.api.arguments import folder_of, name_of, names_of
from sigma_bench.api.records import Records, opened
from sigma_bench.leaderboard.record_boards import board_of_all, board_of_tasks
from sigma_bench.records.store import write_atomically
from sigma_bench.specs.board import board_names
from sigma_bench.specs.board_file import board_text
from sigma_bench.specs.strict import PLAIN_NAME


def new_board(
    name: str,
    records: Records | str | Path | None = None,
    *,
    tasks: str | Iterable[str] = (),
    folder: str | Path = ".",
) -> Path:
    """Write the YAML file of a new board, which ``include(folder)`` or ``--include FOLDER`` finds by its name.

    Args:
        name: name of the board and of its file.
        records: records, or their folder, whose tasks become the columns.
        tasks: names of tasks, or patterns such as ``ssv2/*``, in the order of the columns: those of the records first,
            then those of the catalogue; all tasks of the records by default.
        folder: folder in which the file is written as ``boards/<name>.yaml``.

    Returns:
        The path of the file.

    Raises:
        ValueError: the name cannot be that of a file, a board or a file has this name already, there are neither tasks
            nor records, a task does not exist, or the records come from several data sources.
    """
    name, wanted = name_of("name", name), names_of("tasks", tasks)
    path = folder_of("folder", folder) / "boards" / f"{name}.yaml"
    if not re.fullmatch(PLAIN_NAME, name):
        raise ValueError(f"'{name}' cannot be the name of a board; use letters, digits and . _ @ + = - (at most 100)")
    for existing in (path, path.with_suffix(".yml")):
        if existing.exists() or existing.is_symlink():
            raise ValueError(f"{existing}: exists already and is not overwritten; edit it, or choose another name")
    if name in board_names():
        raise ValueError(f"there is a board '{name}' already; choose another name")
    if records is None and not wanted:
        raise ValueError("there are neither records nor tasks; give one of the two")
    filed = [] if records is None else opened(records).filed
    board = board_of_tasks(filed, wanted, name=name) if wanted else board_of_all(filed, name=name, title=name)
    write_atomically(path, board_text(board).encode())
    return path
