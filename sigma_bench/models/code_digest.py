"""Digest of the code and configuration of a torch module, without its weights.

A custom encoder is identified by its weights and by this digest, so a record or a cached feature is not used again
after ``forward`` has changed.  The code is the compiled code of the module's classes and of every function, class and
constant that they refer to.  It is taken from memory, so it may be defined in a file, a notebook or a lambda; comments,
docstrings of functions and layout do not matter.  The configuration is every attribute of every submodule; an
object counts with the parts of its pickle.  Code of an installed package counts by its name and the version of the
package, and code of torch by its name; functions of a user that replace methods of such code count as well.  The digest
differs between minor versions of Python.

The digest does not see files and environment variables that ``forward`` reads, nor attributes of modules whose names
``forward`` computes.
"""

import functools
import hashlib
import io
import pickletools
import re
import types
import zipfile
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils.hooks import RemovableHandle

from sigma_bench.models.digest_content import (
    PLAIN,
    imported_in,
    is_installed,
    names_in,
    pickled,
    place_in_set,
    tensor_bytes,
    version_of,
)

_MANGLED = re.compile(r"\.?/?___torch_mangle_\d+")
"""Suffix that TorchScript adds to the name of a class if the process has loaded another one of that name."""
_NO_CODE = {
    *("__dict__", "__weakref__", "__module__", "__doc__", "__annotations__", "__annotate__", "__annotate_func__"),
    *("__firstlineno__", "__static_attributes__", "__slotnames__", "__signature__"),
}
"""Attributes of a class that do not affect what it computes."""


def code_digest(*roots: object, counts_weights: bool = False) -> str:
    """SHA-256 of code and configuration of torch modules, or of any other objects that compute features.

    Parameters of the submodules of the roots are weights and do not count.  Other parameters do, such as those of a
    module in a list, which is therefore not a submodule.  The same holds for the mode (training or evaluation).

    Args:
        counts_weights: whether parameters and mode of the roots count as well, because no other digest includes them.
    """
    walk = _Walk(() if counts_weights else roots)
    for root in roots:
        walk.add(root)
    return walk.hexdigest()


def weights_sha256(module: nn.Module) -> str:
    """Digest of a module's named tensors, of any type, for weights that are not read from a file.

    Raises:
        ValueError: a weight has no values, because it is on the device 'meta' or not initialised.
    """
    weights = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        if isinstance(value, Tensor) and (value.is_meta or is_lazy(value)):
            raise ValueError(f"the weight '{name}' has no values yet; load or initialise the network before")
        content = tensor_bytes(value) if isinstance(value, Tensor) else code_digest(value).encode()
        weights.update(name.encode() + content)
    return weights.hexdigest()


class _Walk:
    """One pass over objects and everything that they refer to; each object is counted once."""

    def __init__(self, roots: Iterable[object]) -> None:
        self._hash = hashlib.sha256()
        self._seen: dict[int, tuple[int, object]] = {}
        self._weighed = {id(part) for root in roots if isinstance(root, nn.Module) for part in root.modules()}

    def hexdigest(self) -> str:
        return self._hash.hexdigest()

    def add(self, value: Any) -> None:
        """Count a value and, unless it has been counted before, its parts."""
        if isinstance(value, PLAIN):
            self._say(type(value).__qualname__, repr(value))
        elif id(value) in self._seen:
            self._say("again", str(self._seen[id(value)][0]))
        else:
            self._seen[id(value)] = len(self._seen), value  # kept, so that no other object gets its id
            self._add_new(value)

    def _add_new(self, value: Any) -> None:
        match value:
            case torch.jit.ScriptModule() | torch.jit.ScriptFunction():
                self._script(value)
            case Tensor() | np.ndarray() | np.generic():
                self._array(value)
            case nn.Module():
                self._module(value)
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
            case dict() | types.MappingProxyType():
                self._say("mapping", str(len(value)))
                self._all(*(part for item in value.items() for part in item))
            case list() | tuple():
                self._say(type(value).__name__, str(len(value)))
                self._all(*value)
            case set() | frozenset():
                self._say("set", str(len(value)))
                self._all(*sorted(value, key=place_in_set))
            case _:
                self._object(value)

    def _say(self, *words: str) -> None:
        self._hash.update("".join(f"{len(word)}:{word}" for word in words).encode(errors="surrogatepass"))

    def _all(self, *values: Any) -> None:
        for value in values:
            self.add(value)

    def _attributes(self, values: Mapping[str, Any]) -> None:
        """Count named values, independent of the order of their definition."""
        self._say("attributes", str(len(values)))
        for name in sorted(values):
            self._say(name)
            self.add(values[name])

    def _array(self, value: Tensor | np.ndarray | np.generic) -> None:
        self._say("array", str(tuple(value.shape)), str(value.dtype))
        if isinstance(value, Tensor):
            self._hash.update(tensor_bytes(value))
        elif value.dtype.hasobject:
            self.add(value.tolist())
        else:
            self._hash.update(np.ascontiguousarray(value).tobytes())

    def _module(self, module: nn.Module) -> None:
        compiled = module._modules.get("_orig_mod")
        if compiled is not None:  # by torch.compile, whose own attributes differ each time
            self._say("compiled")
            self.add(compiled)
            return
        left_out = set()
        if id(module) in self._weighed:
            left_out = {"_parameters", "training"}
            known = {name: one for name, one in module._parameters.items() if one is not None and not is_lazy(one)}
            self._say(*(f"{name} {tuple(one.shape)} {one.dtype}" for name, one in known.items()))
        # The keys of hooks are left out, because they count the hooks of all modules in the process.
        self.add(type(module))
        self._attributes(
            {
                name: list(one.values()) if "_hooks" in name and isinstance(one, dict) else one
                for name, one in vars(module).items()
                if name not in left_out
            }
        )

    def _script(self, script: Any) -> None:
        """Count the code, the attributes and the constants of TorchScript; frozen weights are constants."""
        content = io.BytesIO()
        torch.jit.save(script, content)
        with zipfile.ZipFile(content) as archive:
            for name in sorted(archive.namelist()):
                inner = name.partition("/")[2]
                if inner.startswith("constants/"):
                    self._hash.update(archive.read(name))
                elif inner.startswith("code/") and inner.endswith(".py"):
                    self._say(*(_MANGLED.sub("", text) for text in (inner, archive.read(name).decode())))
                elif inner in ("constants.pkl", "data.pkl"):
                    steps = pickletools.genops(archive.read(name))
                    self._say(*(_MANGLED.sub("", f"{step.name} {value}") for step, value, _ in steps))
        if isinstance(script, nn.Module) and id(script) not in self._weighed:
            self._all(*script.state_dict().values())

    def _class(self, cls: type) -> None:
        self._say("class", cls.__module__, cls.__qualname__)
        self._all(*cls.__bases__)
        if is_installed(cls.__module__):
            self._say(version_of(cls.__module__))
            self._attributes({name: value for name, value in vars(cls).items() if _is_users(value)})
            return
        self.add(type(cls))
        used = {name for name in vars(cls) if name not in _NO_CODE and not name.startswith("__pydantic_")}
        self._attributes({name: vars(cls)[name] for name in used})

    def _function(self, function: types.FunctionType) -> None:
        module = _module_of(function)
        self._say("function", module, function.__qualname__)
        for cell in function.__closure__ or ():
            try:
                self.add(cell.cell_contents)
            except ValueError:  # has no value yet
                self._say("empty")
        if is_installed(module):
            self._say(version_of(module))
            return
        self._code(function.__code__, function.__doc__)
        self._all(function.__defaults__, function.__kwdefaults__)
        self._attributes(vars(function))
        names, met = names_in(function.__code__), set[int]()
        self._names(function.__globals__, names, met, is_users=True)
        for imported in imported_in(function.__code__, function.__globals__):
            self._inside(imported, names, met)

    def _names(self, namespace: Mapping[str, Any], names: set[str], met: set[int], *, is_users: bool) -> None:
        """Count what code refers to by these names; in an installed module, only functions of a user."""
        for name in sorted(names & namespace.keys()):
            value = namespace[name]
            if isinstance(value, types.ModuleType):
                self._inside(value, names, met)
            elif is_users or _is_users(value):
                self._say(name)
                self.add(value)

    def _inside(self, module: types.ModuleType, names: set[str], met: set[int]) -> None:
        """Count what code refers to inside a module, and inside modules that it reaches through this module."""
        if id(module) in met:
            return
        met.add(id(module))
        is_users = not is_installed(module.__name__)
        if is_users:
            self._say("module", module.__name__)
        self._names(vars(module), names, met, is_users=is_users)

    def _code(self, code: types.CodeType, docstring: str | None = None) -> None:
        self._hash.update(code.co_code)
        self._say(str((code.co_flags, code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount)))
        self._say(*code.co_names, *code.co_varnames, *code.co_freevars)
        has_docstring = docstring is not None and code.co_consts[:1] == (docstring,)
        self._all(*code.co_consts[1 if has_docstring else 0 :])

    def _object(self, value: Any) -> None:
        self.add(type(value))
        if isinstance(value, RemovableHandle):  # contains only the number of its hook
            return
        self.add(getattr(value, "__wrapped__", None))  # cached functions have this attribute
        if is_installed(type(value).__module__):
            self._all(*pickled(value))
        else:
            self.add(object.__getstate__(value))


def _module_of(function: types.FunctionType) -> str:
    """The module that a function's code is part of; ``__module__`` may be that of a function which it wraps."""
    return str(function.__globals__.get("__name__", ""))


def _is_users(value: object) -> bool:
    """Whether a value in an installed class or module is a function defined by a user."""
    return isinstance(value, types.FunctionType) and not is_installed(_module_of(value))
