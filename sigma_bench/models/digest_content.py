"""Properties of code objects, modules and values that ``code_digest`` counts; they are the same in every process."""

import copyreg
import dis
import functools
import importlib.metadata
import importlib.util
import sys
import sysconfig
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

_STANDARD = tuple({Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib")})
_PACKAGE_FOLDERS = {"site-packages", "dist-packages"}
_UNVERSIONED = ("torch", "builtins", "sigma_bench")
PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...), range, torch.dtype, torch.device, Enum)
"""Types whose ``repr`` determines the value."""


def is_installed(module: str) -> bool:
    """Whether a module is part of Python, of an installed package, or of this package, judged by its file if any."""
    top = module.partition(".")[0]
    if top in _UNVERSIONED:
        return True
    file = getattr(sys.modules.get(module) or sys.modules.get(top), "__file__", None)
    return top in sys.stdlib_module_names if file is None else _is_library_file(file)


def version_of(module: str) -> str:
    """Version of an installed package; empty for packages that count by name only or have no version."""
    top = module.partition(".")[0]
    if top in _UNVERSIONED or top in sys.stdlib_module_names:
        return ""
    version = getattr(sys.modules.get(top), "__version__", None)
    return str(version) if version is not None else _distributed_version(top)


def names_in(code: CodeType) -> set[str]:
    """Names of globals and attributes, and strings that could be such names, in a function and its inner functions."""
    inner = (names_in(value) for value in code.co_consts if isinstance(value, CodeType))
    return {*code.co_names, *(value for value in code.co_consts if isinstance(value, str))}.union(*inner)


def imported_in(code: CodeType, namespace: dict[str, Any]) -> Iterator[ModuleType]:
    """The modules that a function imports when it runs, as far as they can be imported.

    Modules of installed packages are left out, since they count by their version.
    """
    steps = list(dis.get_instructions(code))
    for number, step in enumerate(steps):
        if step.opname != "IMPORT_NAME":
            continue
        level, parts = (before.argval for before in steps[number - 2 : number])
        if level == 0 and _is_library(step.argval):
            continue
        try:
            yield __import__(step.argval, namespace, None, parts or (), level)
        except Exception:  # such as a missing optional package, which forward would report
            continue
    for value in code.co_consts:
        if isinstance(value, CodeType):
            yield from imported_in(value, namespace)


def _is_library(module: str) -> bool:
    """Whether a module is an installed one; the module is not loaded to find out."""
    top = module.partition(".")[0]
    if top in sys.modules:
        return is_installed(top)
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return False
    if spec is None or not spec.has_location or spec.origin is None:
        return top in sys.stdlib_module_names
    return _is_library_file(spec.origin)


@functools.cache
def _is_library_file(file: str) -> bool:
    path = Path(file).resolve()
    return not _PACKAGE_FOLDERS.isdisjoint(path.parts) or any(path.is_relative_to(folder) for folder in _STANDARD)


@functools.cache
def _distributed_version(top: str) -> str:
    names = importlib.metadata.packages_distributions().get(top, ())
    return " ".join(importlib.metadata.version(name) for name in sorted(set(names)))


def pickled(value: Any) -> tuple[Any, ...]:
    """Parts of the pickle of an object of an installed class; empty if it cannot be pickled, such as a lock."""
    reduce = copyreg.dispatch_table.get(type(value))
    try:
        parts = reduce(value) if reduce else value.__reduce_ex__(2)
    except Exception:
        return ()
    if isinstance(parts, str):
        return (parts,)
    *others, items, pairs = (*parts, *(None,) * 5)[:5]
    return (*others, list(items or ()), list(pairs or ()))


def tensor_bytes(tensor: Tensor) -> bytes:
    """The bytes of the values of a tensor of any type, layout and device; empty on the device ``meta``."""
    if tensor.is_meta or is_lazy(tensor):
        return b""
    dense = tensor.detach().cpu()
    dense = dense.dequantize() if dense.is_quantized else dense.to_dense() if dense.layout != torch.strided else dense
    plain = dense.resolve_conj().resolve_neg().contiguous().flatten()
    return plain.view(torch.uint8).numpy().tobytes()  # NumPy has no bfloat16, but it can hold the bytes


def place_in_set(member: object) -> tuple[str, str]:
    """Sort key for the members of a set, the same in every process."""
    name = repr(member) if isinstance(member, PLAIN) else str(getattr(member, "__qualname__", ""))
    return type(member).__qualname__, name
