"""Limits of a PyTorch file, checked before PyTorch reads it.

``torch.load(weights_only=True)`` runs no code of the file.  But a deeply nested or repeated tuple as the key of a
dictionary overflows the stack or takes very long to hash, and a small archive can unpack to any size.  This module
counts opcodes and creates no objects.
"""

import io
import pickletools
import struct
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

MAX_PARTS = 100_000
"""Greatest number of values in one tuple, nested ones included; tuples of a checkpoint have few."""
MAX_PICKLE_BYTES = 512 << 20
_SPARE_BYTES = 64 << 20
_PICKLES_OF_OLD_FILES = 5
"""Number of pickles in the old format: magic number, protocol, system, content and names of storages."""
_TOO_MANY = f"nests or repeats more than {MAX_PARTS:,} values in one"
_DAMAGED = (
    OSError, zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RuntimeError, ValueError,
    LookupError, MemoryError, OverflowError,
)  # fmt: skip
_NO_CHANGE = frozenset({"PROTO", "FRAME", "STOP", "PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"})
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_POPS = {"APPEND": 1, "BUILD": 1, "POP": 1, "SETITEM": 2}
_REPLACES = {"BINPERSID": 1, "STACK_GLOBAL": 2, "REDUCE": 2, "NEWOBJ": 2}
_FROM_MARK = {"TUPLE": True, "LIST": True, "DICT": True, "APPENDS": False, "SETITEMS": False, "POP_MARK": False}
"""Opcodes that remove the values above the mark; True if one value replaces them."""


def require_bounded(path: Path) -> None:
    """ValueError for a file that needs more memory or time than its size justifies; torch reports damaged files.

    Args:
        path: a PyTorch file, a zip archive or the older sequence of pickles.
    """
    try:
        problem = _problem(path)
    except _DAMAGED:  # torch reports the damage
        return
    if problem:
        raise ValueError(f"{path}: refused, since it {problem}")


def _problem(path: Path) -> str:
    """The reason to refuse a file; empty if there is none."""
    if not zipfile.is_zipfile(path):
        with path.open("rb") as stream:
            for _ in range(_PICKLES_OF_OLD_FILES):
                if _largest_tuple(stream) > MAX_PARTS:
                    return _TOO_MANY
        return ""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if sum(entry.file_size for entry in entries) > path.stat().st_size + _SPARE_BYTES:
            return "unpacks to far more than its size, which PyTorch's own files do not"
        for entry in entries:
            if entry.filename.endswith(".pkl") and entry.file_size <= MAX_PICKLE_BYTES:
                with archive.open(entry) as packed:
                    if _largest_tuple(io.BytesIO(packed.read(entry.file_size))) > MAX_PARTS:
                        return _TOO_MANY
    return ""


def _largest_tuple(stream: IO[bytes]) -> int:
    """Greatest number of parts of a tuple, with repeated parts counted each time; stops above ``MAX_PARTS``."""
    stack: list[int | None] = []  # the number of parts of each value; None is a mark
    memo: dict[Any, int | None] = {}
    for opcode, argument, _ in pickletools.genops(stream):
        name = opcode.name
        if name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            memo[len(memo) if name == "MEMOIZE" else argument] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name == "MARK":
            stack.append(None)
        elif name == "DUP":
            stack.append(stack[-1])
        elif name in _TUPLES:
            stack.append(1 + sum(_popped(stack, _TUPLES[name])))
        elif name in _FROM_MARK:
            parts = _popped_to_mark(stack)
            if _FROM_MARK[name]:
                stack.append(1 + sum(parts) if name == "TUPLE" else 1)
        elif name in _POPS:
            _popped(stack, _POPS[name])
        elif name in _REPLACES:
            stack.append(sum(_popped(stack, _REPLACES[name])))
        elif name not in _NO_CHANGE:
            stack.append(1)
        if stack and (stack[-1] or 0) > MAX_PARTS:
            return MAX_PARTS + 1
    return 0


def _popped(stack: list[int | None], number: int) -> list[int]:
    return [stack.pop() or 0 for _ in range(number)]


def _popped_to_mark(stack: list[int | None]) -> list[int]:
    parts = []
    while (size := stack.pop()) is not None:
        parts.append(size)
    return parts
