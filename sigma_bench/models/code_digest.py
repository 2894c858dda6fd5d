"""Digest of the code and configuration of a torch module, without its weights.

A custom encoder is identified by its weights and by this digest, so a record or a cached feature is not used again
after ``forward`` has changed.  The code is the compiled code of the module's classes and of every function, class and
constant that they refer to.  It is taken from memory, so it may be defined in a file, a notebook or a lambda; comments
and layout do not matter.  The configuration is every attribute of every submodule.  Code of an installed package enters
by its name and the package's version, code of torch by name alone.  The digest differs between minor versions of
Python.
"""

import dataclasses
import functools
import hashlib
import io
import re
import sys
import sysconfig
import types
import zipfile
from argparse import Namespace
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...), range, torch.dtype, torch.device, Enum)
_LIBRARIES = tuple({str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "platstdlib", "purelib")})
_UNVERSIONED = ("torch", "builtins", "sigma_bench")
_MANGLED = re.compile(r"\.?/?___torch_mangle_\d+")
"""Suffix that TorchScript adds to the name of a class if the process has loaded another one of that name."""
_WITHOUT = frozenset({"training", "_parameters"})
"""Attributes of a module that are not configuration; parameters belong to the weights."""


def code_digest(root: object) -> str:
    """SHA-256 of code and configuration of a torch module, or of any other object that computes features."""
    walk = _Walk()
    walk.add(root)
    return walk.hexdigest()


class _Walk:
    """One pass over an object and everything that it refers to; each object is added once."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._seen: dict[int, tuple[int, object]] = {}

    def hexdigest(self) -> str:
        return self._hash.hexdigest()

    def add(self, value: Any) -> None:
        """Add a value to the digest and, unless it was added before, its parts."""
        if isinstance(value, _PLAIN):
            self._say(type(value).__qualname__, repr(value))
        elif id(value) in self._seen:
            self._say("again", str(self._seen[id(value)][0]))
        else:
            self._seen[id(value)] = len(self._seen), value  # a kept reference, so that no other object gets this id
            self._add_new(value)

    def _add_new(self, value: Any) -> None:
        match value:
            case torch.jit.ScriptModule() | torch.jit.ScriptFunction():
                self._script(value)
            case Tensor() | np.ndarray():
                self._array(value)
            case nn.Module():
                self.add(type(value))
                self._mapping({name: one for name, one in vars(value).items() if name not in _WITHOUT})
            case type():
                self._class(value)
            case types.FunctionType():
                self._function(value)
            case types.MethodType():
                self._all(value.__func__, value.__self__)
            case types.ModuleType():
                self._say("module", value.__name__)
            case types.CodeType():
                self._code(value)
            case functools.partial():
                self._all(value.func, value.args, value.keywords)
            case property() | classmethod() | staticmethod():
                self._all(*(getattr(value, name, None) for name in ("fget", "__func__")))
            case dict():
                self._mapping(value)
            case list() | tuple():
                self._say(type(value).__name__, str(len(value)))
                self._all(*value)
            case set() | frozenset():
                self._say("set", *sorted(map(repr, value)))
            case _:
                self._object(value)

    def _say(self, *words: str) -> None:
        self._hash.update("".join(f"{len(word)}:{word}" for word in words).encode(errors="surrogatepass"))

    def _all(self, *values: Any) -> None:
        for value in values:
            self.add(value)

    def _mapping(self, values: dict[Any, Any]) -> None:
        self._say("mapping", str(len(values)))
        for name, value in sorted(values.items(), key=lambda item: str(item[0])):
            self._say(str(name))
            self.add(value)

    def _array(self, value: Tensor | np.ndarray) -> None:
        self._say("array", str(tuple(value.shape)), str(value.dtype))
        if isinstance(value, np.ndarray):
            self._hash.update(np.ascontiguousarray(value).tobytes())
        else:
            self._hash.update(tensor_bytes(value))

    def _script(self, script: Any) -> None:
        """Add the code of a TorchScript module and, if it is frozen, the weights among its constants."""
        content = io.BytesIO()
        torch.jit.save(script, content)
        with zipfile.ZipFile(content) as archive:
            for name in sorted(archive.namelist()):
                inner = name.partition("/")[2]
                if inner.startswith("constants"):
                    self._hash.update(archive.read(name))
                elif inner.startswith("code/") and inner.endswith(".py"):
                    self._say(*(_MANGLED.sub("", text) for text in (inner, archive.read(name).decode())))

    def _class(self, cls: type) -> None:
        self._say("class", cls.__module__, cls.__qualname__)
        if _is_installed(cls.__module__):
            self._say(_version(cls.__module__))
            return
        self._all(*cls.__bases__)
        unset = ("__dict__", "__weakref__", "__module__", "__doc__", "__annotations__", "__firstlineno__")
        self._mapping({name: value for name, value in vars(cls).items() if name not in unset})

    def _function(self, function: types.FunctionType) -> None:
        self._say("function", function.__module__ or "", function.__qualname__)
        if _is_installed(function.__module__ or ""):
            self._say(_version(function.__module__ or ""))
            return
        self._all(function.__code__, function.__defaults__, function.__kwdefaults__)
        for cell in function.__closure__ or ():
            try:
                self.add(cell.cell_contents)
            except ValueError:  # not filled yet
                self._say("empty")
        names = _names(function.__code__)
        for name in sorted(names & function.__globals__.keys()):
            self._say(name)
            value = function.__globals__[name]
            self.add(value)
            if isinstance(value, types.ModuleType) and not _is_installed(value.__name__):
                self._mapping({inner: vars(value)[inner] for inner in names & vars(value).keys()})

    def _code(self, code: types.CodeType) -> None:
        self._hash.update(code.co_code)
        self._say(*code.co_names, *code.co_varnames, *code.co_freevars)
        self._all(*code.co_consts)

    def _object(self, value: Any) -> None:
        cls = type(value)
        self.add(cls)
        is_followed = not _is_installed(cls.__module__) or isinstance(value, types.SimpleNamespace | Namespace)
        if is_followed or dataclasses.is_dataclass(value):
            self._mapping(getattr(value, "__dict__", {}))
        elif hasattr(value, "__qualname__"):  # a compiled function
            self._say(str(value.__qualname__))


def tensor_bytes(tensor: Tensor) -> bytes:
    """The bytes of a tensor's values, for any type, layout and device; empty on the device ``meta``."""
    if tensor.is_meta or is_lazy(tensor):
        return b""
    dense = tensor.detach().cpu()
    dense = dense.dequantize() if dense.is_quantized else dense.to_dense() if dense.layout != torch.strided else dense
    plain = dense.resolve_conj().resolve_neg().contiguous().flatten()
    return plain.view(torch.uint8).numpy().tobytes()  # NumPy has no bfloat16, but its bytes


def _names(code: types.CodeType) -> set[str]:
    """Global names and attributes that a function and its inner functions refer to."""
    inner = (_names(value) for value in code.co_consts if isinstance(value, types.CodeType))
    return set(code.co_names).union(*inner)


def _is_installed(module: str) -> bool:
    """Whether a module belongs to Python, an installed package, or this project."""
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or top in _UNVERSIONED:
        return True
    file = getattr(sys.modules.get(module), "__file__", None)
    return file is not None and str(Path(file).resolve()).startswith(_LIBRARIES)


def _version(module: str) -> str:
    top = module.partition(".")[0]
    return "" if top in _UNVERSIONED else str(getattr(sys.modules.get(top), "__version__", ""))
