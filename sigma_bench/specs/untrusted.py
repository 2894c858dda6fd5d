"""Files and text of unknown origin, such as downloaded files and names of models and classes.

Files are read with limits on their size, nesting and line length, and text is made safe to show in a terminal or a
table.
"""

import json
import stat
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

MAX_DEPTH = 64
"""Greatest number of levels of nested JSON; files of this project have at most nine."""
MAX_LINE_CHARACTERS = 65_536
"""Greatest number of characters in one line of a table."""
_NEVER_SHOWN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories of control and formatting characters, surrogates, and unassigned and private characters."""


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


def with_visible_controls(text: str) -> str:
    """The text with control, formatting and unassigned characters as numbers, such as ``\\x1b``; line ends are kept.

    Control characters can move a terminal's cursor, and formatting characters can change the order of the shown text.
    """
    if text.isprintable():
        return text
    return "".join(c if c == "\n" or unicodedata.category(c) not in _NEVER_SHOWN else _number(c) for c in text)


def one_line(text: str) -> str:
    """``with_visible_controls`` text in one line, with single spaces."""
    return with_visible_controls(" ".join(text.split()))


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _number(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
