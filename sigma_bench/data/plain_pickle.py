"""An interpreter for pickles that hold only arrays of numbers and plain values.

Python's unpickler calls the functions that a file names with arguments from the file.  An allow-list of NumPy's
constructors is not enough, because they can build arrays of object pointers.  This interpreter decodes the opcodes with
``pickletools`` and applies them to plain values.  The classes below replace the NumPy names that a pickled array needs
and accept numbers only; every other name is refused.  Memory use is proportional to the size of the file.
"""

import io
import math
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

MAX_OPCODES = 5_000_000
MAX_CONTAINERS = 10_000
"""Lists, tuples, dictionaries and arrays together; CIFAR's official files have about ten each."""
_MOST_AXES = 4
_NUMBERS = frozenset(f"{kind}{size}" for kind in "iuf" for size in (1, 2, 4, 8)) - {"f1"}
_MARK = object()


@dataclass(frozen=True)
class _Name:
    """A global name in a pickle; it is kept as a name and never imported."""

    module: str
    name: str


class _Number:
    """Replaces ``numpy.dtype``; integers and floats only."""

    def __init__(self, code: object) -> None:
        if not isinstance(code, str) or code not in _NUMBERS:
            raise ValueError("an array of something other than numbers")
        self.dtype = np.dtype(code)

    def build(self, state: object) -> None:
        """Set the byte order; ValueError for a dtype with fields, subarrays or objects."""
        if not isinstance(state, tuple) or len(state) < 5 or state[1] not in ("|", "<", ">", "="):
            raise ValueError("a type of number that is not one of NumPy's")
        if any(part is not None for part in state[2:5]):
            raise ValueError("an array of something other than numbers")
        if state[1] != "|":
            self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """Replaces ``numpy.ndarray``; ``value`` is built from bytes."""

    value: np.ndarray | None = None

    def build(self, state: object) -> None:
        """Set the content from the state (version, shape, number type, is Fortran order, bytes)."""
        if not isinstance(state, tuple) or len(state) != 5:
            raise ValueError("an array without shape and content")
        _, shape, number, is_fortran, content = state
        self.fill(content, number, shape, "F" if is_fortran else "C")

    def fill(self, content: object, number: object, shape: object, order: object) -> None:
        """Set the content; ValueError unless its number of bytes fits the shape."""
        if not isinstance(number, _Number) or not isinstance(content, bytes | bytearray) or order not in ("C", "F"):
            raise ValueError("an array of something other than numbers")
        if not isinstance(shape, tuple) or len(shape) > _MOST_AXES:
            raise ValueError("an array whose shape is not a few whole numbers")
        if not all(type(length) is int and length >= 0 for length in shape):
            raise ValueError("an array whose shape is not a few whole numbers")
        if math.prod(shape) * number.dtype.itemsize != len(content):
            raise ValueError("an array with fewer or more bytes than its shape requires")
        self.value = np.frombuffer(content, number.dtype).reshape(shape, order=order)


def _reconstructed(*_: object) -> _Array:
    return _Array()


def _from_buffer(*arguments: object) -> _Array:
    if len(arguments) != 4:
        raise ValueError("an array without shape and content")
    array = _Array()
    array.fill(*arguments)
    return array


def _number(*arguments: object) -> _Number:
    return _Number(arguments[0] if arguments else None)


_CALLS: dict[_Name, Callable[..., object]] = {
    _Name("numpy", "dtype"): _number,
    **{_Name(f"numpy.{core}.multiarray", "_reconstruct"): _reconstructed for core in ("core", "_core")},
    **{_Name(f"numpy.{core}.numeric", "_frombuffer"): _from_buffer for core in ("core", "_core")},
}
_ENCODE = _Name("_codecs", "encode")
_NAMES = frozenset({*_CALLS, _ENCODE, _Name("numpy", "ndarray")})
_PLAIN = frozenset(
    (
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
        *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    )
)
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _Interpreter:
    """Applies a pickle's opcodes to plain values; ValueError for an opcode that arrays and plain values do not need."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._num_containers = 0
        self._bytes_to_encode = len(content)

    def run(self) -> Any:
        """The value that the pickle describes."""
        for number, (opcode, argument, _) in enumerate(pickletools.genops(io.BytesIO(self._content))):
            if number >= MAX_OPCODES:
                raise ValueError(f"more than {MAX_OPCODES:,} opcodes")
            if opcode.name == "STOP":
                return self._pop()
            self._step(opcode.name, argument)
        raise ValueError("it has no end")

    def _step(self, name: str, argument: Any) -> None:
        if name in _PLAIN:
            self._stack.append(argument)
        elif name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name])
        elif name in _TUPLES:
            self._push_container(tuple(self._pop_many(_TUPLES[name])))
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self._memo[argument] = self._top()
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            self._stack.append(self._remembered(argument))
        elif name not in ("PROTO", "FRAME"):
            special = getattr(self, f"_do_{name.lower()}", None)
            if special is None:
                raise ValueError(f"it uses the opcode {name}")
            special(argument)

    def _do_memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._top()

    def _do_mark(self, _: Any) -> None:
        self._stack.append(_MARK)

    def _do_pop(self, _: Any) -> None:
        self._pop()

    def _do_tuple(self, _: Any) -> None:
        self._push_container(tuple(self._pop_to_mark()))

    def _do_list(self, _: Any) -> None:
        self._push_container(self._pop_to_mark())

    def _do_empty_list(self, _: Any) -> None:
        self._push_container([])

    def _do_empty_dict(self, _: Any) -> None:
        self._push_container({})

    def _do_dict(self, _: Any) -> None:
        items = self._pop_to_mark()
        self._push_container({})
        self._set(items)

    def _do_append(self, _: Any) -> None:
        self._extend([self._pop()])

    def _do_appends(self, _: Any) -> None:
        self._extend(self._pop_to_mark())

    def _do_setitem(self, _: Any) -> None:
        self._set(self._pop_many(2))

    def _do_setitems(self, _: Any) -> None:
        self._set(self._pop_to_mark())

    def _do_global(self, argument: str) -> None:
        self._push_name(*argument.split(" ", 1))

    def _do_stack_global(self, _: Any) -> None:
        self._push_name(*self._pop_many(2))

    def _do_reduce(self, _: Any) -> None:
        called, arguments = self._pop_many(2)
        if not isinstance(called, _Name) or not isinstance(arguments, tuple):
            raise ValueError("it calls something that has no name")
        if called == _ENCODE:
            self._stack.append(self._encoded(*arguments))
        elif called in _CALLS:
            self._push_container(_CALLS[called](*arguments))
        else:
            raise ValueError(f"it calls {called.module}.{called.name}")

    def _do_build(self, _: Any) -> None:
        state, target = self._pop(), self._top()
        if not isinstance(target, _Array | _Number):
            raise ValueError("it sets the state of something that is not an array")
        if isinstance(state, tuple) and state and isinstance(state[-1], str):
            state = (*state[:-1], self._encoded(state[-1], "latin1"))  # Python 2 wrote bytes as text
        target.build(state)

    def _encoded(self, text: object = None, encoding: object = None) -> bytes:
        """Bytes that protocol 2 stores as text; together no more than the file has, so that memory is bounded."""
        if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
            raise ValueError("bytes in an encoding other than latin1")
        self._bytes_to_encode -= len(text)
        if self._bytes_to_encode < 0:
            raise ValueError("it repeats its content")
        return text.encode("latin-1")

    def _push_name(self, module: object, name: object) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError("it refers to something without a name")
        asked = _Name(module, name)
        if asked not in _NAMES:
            raise ValueError(f"it refers to {module[:80]!r}.{name[:80]!r}")
        self._stack.append(asked)

    def _push_container(self, value: Any) -> None:
        self._num_containers += 1
        if self._num_containers > MAX_CONTAINERS:
            raise ValueError(f"more than {MAX_CONTAINERS:,} lists, tuples and arrays")
        self._stack.append(value)

    def _extend(self, values: list[Any]) -> None:
        target = self._top()
        if not isinstance(target, list):
            raise ValueError("it appends to something that is not a list")
        target.extend(values)

    def _set(self, items: list[Any]) -> None:
        target = self._top()
        if not isinstance(target, dict) or len(items) % 2:
            raise ValueError("it sets a key of something that is not a dictionary")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str):
                raise ValueError("a dictionary with a key that is not text")
            target[key] = value

    def _remembered(self, place: int) -> Any:
        if place not in self._memo:
            raise ValueError("it refers to a value that it does not hold")
        return self._memo[place]

    def _top(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            raise ValueError("an opcode without its value")
        return self._stack[-1]

    def _pop(self) -> Any:
        value = self._top()
        self._stack.pop()
        return value

    def _pop_many(self, count: int) -> list[Any]:
        return [self._pop() for _ in range(count)][::-1]

    def _pop_to_mark(self) -> list[Any]:
        values = []
        while self._stack and self._stack[-1] is not _MARK:
            values.append(self._stack.pop())
        if not self._stack:
            raise ValueError("an opcode without its mark")
        self._stack.pop()
        return values[::-1]


def read_plain_pickle(content: bytes) -> Any:
    """The plain values and arrays of numbers that a pickle describes.

    Raises:
        ValueError: the pickle is damaged or needs anything else; the message says what.
    """
    return _array_of(_Interpreter(content).run())


def _array_of(value: Any) -> Any:
    """The value with NumPy arrays instead of ``_Array``, at the top level and in a dictionary at the top level."""
    if isinstance(value, dict):
        return {key: inner.value if isinstance(inner, _Array) else inner for key, inner in value.items()}
    return value.value if isinstance(value, _Array) else value
