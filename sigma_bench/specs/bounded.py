"""Reading files of unknown origin with limits on their size, nesting and line length."""

import json
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

MAX_DEPTH = 64
"""Greatest number of levels of nested JSON; files of this project have at most nine."""
MAX_LINE_CHARACTERS = 65_536
"""Greatest number of characters in one line of a table."""


def read_bounded(path: Path, max_bytes: int) -> bytes:
    """The content of a regular file.

    Raises:
        ValueError: the path is not a regular file, cannot be read, or is larger than ``max_bytes``.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ValueError(f"{path}: cannot be read (not a file)")
        with path.open("rb") as stream:
            content = stream.read(max_bytes + 1)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from error
    if len(content) > max_bytes:
        raise ValueError(f"{path}: larger than {max_bytes:,} bytes, the limit for a file of this kind")
    return content


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text, whose nesting is limited.

    Raises:
        ValueError: the text is not JSON, or nested deeper than ``MAX_DEPTH``.
    """
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels") from error
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [child for parent in level for child in _children(parent)]
        if not level:
            return value
    raise ValueError(f"nested deeper than {MAX_DEPTH} levels")


def bounded_lines(stream: TextIO, path: Path) -> Iterator[str]:
    """The lines of an open text file, for ``csv``; ValueError for a line longer than ``MAX_LINE_CHARACTERS``."""
    number = 0
    while line := stream.readline(MAX_LINE_CHARACTERS + 1):
        number += 1
        if len(line) > MAX_LINE_CHARACTERS:
            raise ValueError(f"{path}: line {number}: longer than {MAX_LINE_CHARACTERS:,} characters")
        yield line


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
