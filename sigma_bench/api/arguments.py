"""Checks of arguments of the API before anything is computed; error messages name the argument.

Whole numbers may be of types of NumPy.  Paths may be strings and may begin with ``~``.
"""

import math
import operator
import os
import reprlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, SupportsIndex

from sigma_bench.data.workers import NumWorkers
from sigma_bench.specs.recipe import MAX_SEED

BatchSize = int | Literal["auto"]
MAX_BATCH = 65536
MAX_WORKERS = 1024
"""Greatest number of processes that decode videos."""


def names_of(argument: str, value: object) -> list[str]:
    """One or several names or paths as a list of strings.

    Raises:
        ValueError: the value is of another type.
    """
    if isinstance(value, str | os.PathLike):
        return [name_of(argument, value)]
    if not isinstance(value, Iterable) or isinstance(value, bytes | bytearray):
        raise ValueError(f"{argument} is {_shown(value)}; give a name, or a list of names")
    return [name_of(argument, name) for name in value]


def name_of(argument: str, value: object) -> str:
    """A name or path as a string.

    Raises:
        ValueError: the value is of another type.
    """
    name = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(name, str) or "\0" in name:
        raise ValueError(f"{argument} is {_shown(value)}; give a name")
    return str(name)


def path_of(argument: str, value: object) -> Path:
    """A path, with ``~`` replaced by the home folder.

    Raises:
        ValueError: the value is not a path, or the home folder does not exist.
    """
    name = name_of(argument, value)
    if not name:
        raise ValueError(f"{argument} is empty; give a path, such as '.' for the current folder")
    try:
        return Path(name).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{argument} is {_shown(name)}: there is no such home folder") from error


def folder_of(argument: str, value: object) -> Path:
    """The path of a folder, which does not have to exist.

    Raises:
        ValueError: as ``path_of``, or the path is not a folder.
    """
    folder = path_of(argument, value)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder}: not a folder; choose another --{argument}")
    return folder


def whole_number(argument: str, value: object, *, least: int, most: int) -> int:
    """A whole number in a range.

    Raises:
        ValueError: the value is not a whole number, or outside the range.
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
    return whole_number("seed", value, least=0, most=MAX_SEED)


def workers_of(value: object) -> NumWorkers:
    """A number of processes that decode videos, or ``auto``; ValueError for any other value."""
    if value == "auto":
        return "auto"
    return whole_number("num_workers", value, least=0, most=MAX_WORKERS)


def batch_size_of(value: object) -> BatchSize:
    """A number of clips that are encoded at once, or ``auto``; ValueError for any other value."""
    if value == "auto":
        return "auto"
    return whole_number("batch_size", value, least=1, most=MAX_BATCH)


def amount_of(argument: str, value: Any) -> float:
    """A finite number of at least 0; ValueError for any other value."""
    try:
        number = math.nan if isinstance(value, bool | str | bytes) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"{argument} is {_shown(value)}; give a number from 0 upwards")
    return number


def mapping_of(argument: str, value: object) -> dict[str, Any]:
    """A dictionary, empty for None; ValueError unless the value is a mapping or None."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValueError(f"{argument} is {_shown(value)}; give a dictionary, such as {{'neighbours': 5}}")
    return {key: mapping_of(argument, inner) if isinstance(inner, Mapping) else inner for key, inner in value.items()}


def _shown(value: object) -> str:
    shown = reprlib.repr(value)
    return shown if isinstance(value, str | int | float | bytes) else f"{shown}, of type {type(value).__name__},"
