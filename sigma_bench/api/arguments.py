"""Arguments of the API, checked before anything is computed: a mistake is one sentence that names the argument.

Whole numbers may be of NumPy; paths may be text, and begin with ``~``.
"""

import math
import operator
import os
import reprlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, SupportsIndex

from sigma_bench.specs.recipe import MOST_SEED

MOST_WORKERS = 1024


def names_of(argument: str, value: object) -> list[str]:
    """One name or file, or several, as a list of text.

    Raises:
        ValueError: something else.
    """
    if isinstance(value, str | os.PathLike):
        return [name_of(argument, value)]
    if not isinstance(value, Iterable) or isinstance(value, bytes | bytearray):
        raise ValueError(f"{argument} is {_shown(value)}; give a name, or a list of names")
    return [name_of(argument, name) for name in value]


def name_of(argument: str, value: object) -> str:
    """A name, or the path of a file, as text.

    Raises:
        ValueError: something else.
    """
    name = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(name, str) or "\0" in name:
        raise ValueError(f"{argument} is {_shown(value)}; give a name")
    return str(name)


def path_of(argument: str, value: object) -> Path:
    """A path, with ``~`` as the home folder.

    Raises:
        ValueError: not a path, or the home folder of an unknown user.
    """
    name = name_of(argument, value)
    if not name:
        raise ValueError(f"{argument} is empty; give a path, such as '.' for the current folder")
    try:
        return Path(name).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{argument} is {_shown(name)}: there is no such home folder") from error


def folder_of(argument: str, value: object) -> Path:
    """A folder, which does not have to exist.

    Raises:
        ValueError: as ``path_of``, or there is something else at this path.
    """
    folder = path_of(argument, value)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder}: not a folder; choose another --{argument}")
    return folder


def whole_number(argument: str, value: object, *, least: int, most: int) -> int:
    """A whole number in a range.

    Raises:
        ValueError: no whole number, or outside the range.
    """
    try:
        number = None if isinstance(value, bool) or not isinstance(value, SupportsIndex) else operator.index(value)
    except TypeError:  # an array of several numbers
        number = None
    if number is None or not least <= number <= most:
        raise ValueError(f"{argument} is {_shown(value)}; give a whole number from {least} to {most}")
    return number


def seed_of(value: object) -> int:
    """A seed; ValueError unless it is in the range that NumPy, torch and scikit-learn accept."""
    return whole_number("seed", value, least=0, most=MOST_SEED)


def workers_of(value: object) -> int:
    """A number of processes that decode videos; ValueError for anything else."""
    return whole_number("num_workers", value, least=0, most=MOST_WORKERS)


def amount_of(argument: str, value: Any) -> float:
    """A finite number from 0 upwards; ValueError for anything else."""
    try:
        number = math.nan if isinstance(value, bool | str | bytes) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"{argument} is {_shown(value)}; give a number from 0 upwards")
    return number


def mapping_of(argument: str, value: object) -> dict[str, Any]:
    """A dictionary; ValueError for anything but a mapping or None."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValueError(f"{argument} is {_shown(value)}; give a dictionary, such as {{'neighbours': 5}}")
    return {key: mapping_of(argument, inner) if isinstance(inner, Mapping) else inner for key, inner in value.items()}


def _shown(value: object) -> str:
    shown = reprlib.repr(value)
    return shown if isinstance(value, str | int | float | bytes) else f"{shown}, of type {type(value).__name__},"
