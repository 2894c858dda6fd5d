"""Lists that people write: text lines and JSON, with errors that name file and line."""

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Non-empty lines with their 1-based numbers; ValueError when the file is missing or not text."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise ValueError(f"{path}: this official file is missing") from error
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: cannot be read as text") from error
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            yield number, line.strip()


def table(path: Path, columns: Sequence[str], *, separator: str = ",") -> Iterator[tuple[int, dict[str, str]]]:
    """Rows of a CSV file with a header, with their 1-based numbers; ValueError when a column is missing."""
    numbered = list(lines(path))
    reader = csv.DictReader((line for _, line in numbered), delimiter=separator)
    absent = [column for column in columns if column not in (reader.fieldnames or ())]
    if absent:
        raise ValueError(f"{path}: line 1: the column '{absent[0]}' is missing")
    try:
        for row in reader:
            number = numbered[reader.line_num - 1][0]
            if any(row[column] is None for column in columns):
                raise ValueError(f"{path}: line {number}: fewer values than columns")
            yield number, row
    except csv.Error as error:
        raise ValueError(f"{path}: not a table ({error})") from error


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object; ValueError when the file is missing or anything else."""
    content = _parsed(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected a JSON object, found a {type(content).__name__}")
    return content


def read_objects(path: Path) -> list[dict[str, Any]]:
    """A JSON list of objects; ValueError when the file is missing or anything else."""
    content = _parsed(path)
    if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
        raise ValueError(f"{path}: expected a JSON list of objects")
    return content


def _parsed(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise ValueError(f"{path}: this official file is missing") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: line {error.lineno}: not valid JSON ({error.msg})") from error
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: cannot be read as text") from error
