"""Kinds of Python objects that can change what an encoder computes, each of which changes the digest."""

import functools
import operator
import re
import sys
import types
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import timm
import torch
from timm.models.vision_transformer import Attention
from torch import Tensor, nn

from sigma_bench.models.code_digest import code_digest, weights_sha256


class Slotted:
    """A configuration without ``__dict__``."""

    __slots__ = ("layer",)

    def __init__(self, layer: int) -> None:
        self.layer = layer


@dataclass(slots=True, frozen=True)
class FrozenSlots:
    """A dataclass without ``__dict__``."""

    layer: int


class Scaled(nn.Module):
    """A module whose factor TorchScript keeps as an attribute."""

    factor: float

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


def holding(value: object) -> nn.Module:
    """A module with an attribute."""
    module = nn.Identity()
    module.value = value  # type: ignore[assignment]
    return module


def linear(seed: int) -> nn.Module:
    """A layer with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Linear(2, 2)


class Plain:
    """An encoder that is not a module but contains one."""

    def __init__(self, seed: int) -> None:
        self.network = linear(seed)


def shaped(rows: int) -> nn.Module:
    """The same weights in the same order, in another shape."""
    module = nn.Module()
    module.weight = nn.Parameter(torch.arange(6.0).reshape(rows, -1))
    return module


VALUES: dict[str, Callable[[int], Any]] = {
    "number of numpy": lambda n: holding(np.float32(n)),
    "slice": lambda n: holding(slice(0, n)),
    "regular expression": lambda n: holding(re.compile(f"a{n}")),
    "slots": lambda n: holding(Slotted(n)),
    "dataclass with slots": lambda n: holding(FrozenSlots(n)),
    "deque": lambda n: holding(deque([n])),
    "method by name": lambda n: holding(operator.methodcaller("mean", n)),
    "object of an installed class": lambda n: holding(torch.distributions.Normal(0.0, float(n))),
    "parameters in a list": lambda n: holding([linear(n)]),
    "parameters of what is no module": Plain,
    "order of a dict": lambda n: holding(dict([("a", 1), ("b", 2)][:: 3 - 2 * n])),
    "order of submodules": lambda n: nn.ModuleDict([("a", nn.ReLU()), ("b", nn.GELU())][:: 3 - 2 * n]),
    "attribute of TorchScript": lambda n: torch.jit.script(Scaled(float(n))),
    "TorchScript in a list": lambda n: holding([torch.jit.script(linear(n))]),
    "shape of parameters": lambda n: shaped(n),
}


@pytest.mark.filterwarnings("ignore::FutureWarning")  # TorchScript is what many have
@pytest.mark.parametrize("kind", VALUES)
def test_a_value_that_differs_is_seen_and_an_equal_one_is_not(kind: str) -> None:
    make = VALUES[kind]
    assert code_digest(make(1)) != code_digest(make(2))
    assert code_digest(make(1)) == code_digest(make(1))


SOURCES = {
    "a part of a package": "def forward(self, x):\n    return package_of_kinds.part.scaled(x)",
    "an import inside": "def forward(self, x):\n    from package_of_kinds.part import scaled\n    return scaled(x)",
    "a name as text": "def forward(self, x):\n    return getattr(package_of_kinds.part, 'scaled')(x)",
    "cached property": "@functools.cached_property\ndef s(self):\n    return FACTOR",
    "cached function": "@staticmethod\n@functools.lru_cache\ndef s():\n    return FACTOR",
    "attribute of a function": "def s(self, x):\n    return x\ns.factor = FACTOR",
}


def network(method: str, factor: int) -> nn.Module:
    """A module in a file of a user, and a package whose submodule contains the factor."""
    package, part, file = (types.ModuleType(f"{name}_of_kinds") for name in ("package", "part", "file"))
    exec(f"def scaled(x):\n    return x * {factor}", part.__dict__)
    package.part, package.__path__ = part, []  # type: ignore[attr-defined]
    modules = {"package_of_kinds": package, "package_of_kinds.part": part, "file_of_kinds": file}
    body = "\n".join(f"    {line}" for line in method.replace("FACTOR", str(factor)).splitlines())
    with pytest.MonkeyPatch.context() as patch:
        for name, module in modules.items():
            patch.setitem(sys.modules, name, module)
        source = "import functools, package_of_kinds\nfrom torch import nn\nclass Network(nn.Module):\n"
        exec(source + body, file.__dict__)
        found: nn.Module = file.Network()
        found.digest = code_digest(found)  # type: ignore[assignment]
    return found


@pytest.mark.parametrize("kind", SOURCES)
def test_code_that_is_reached_in_a_roundabout_way_counts(kind: str) -> None:
    assert network(SOURCES[kind], 2).digest != network(SOURCES[kind], 3).digest
    assert network(SOURCES[kind], 2).digest == network(SOURCES[kind], 2).digest


def test_a_docstring_is_a_comment() -> None:
    method = 'def forward(self, x):\n    "{}"\n    return x'
    assert network(method.format("one"), 1).digest == network(method.format("two"), 1).digest


def test_a_method_put_into_an_installed_class_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    model = timm.create_model("test_vit")
    before = code_digest(model)
    original = Attention.forward

    @functools.wraps(original)
    def patched(self: Attention, *args: Any, **kwargs: Any) -> Tensor:
        return -original(self, *args, **kwargs)

    monkeypatch.setattr(Attention, "forward", patched)
    assert code_digest(model) != before
    monkeypatch.undo()
    assert code_digest(model) == before


def test_other_modules_of_the_process_change_nothing() -> None:
    def hooked() -> nn.Module:
        module = nn.Identity()
        module.handle = module.register_forward_hook(lambda _module, _inputs, output: output * 2)  # type: ignore[assignment]
        return module

    assert code_digest(hooked()) == code_digest(hooked())  # hooks are numbered through the whole process
    assert code_digest(torch.compile(linear(0))) == code_digest(torch.compile(linear(0)))
    assert code_digest(holding({len: 1, linear: 2})) == code_digest(holding({len: 1, linear: 2}))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_equal_quantised_weights_have_one_digest_and_others_another() -> None:
    def quantised(seed: int) -> str:
        network = torch.ao.quantization.quantize_dynamic(nn.Sequential(linear(seed)), {nn.Linear})
        return weights_sha256(network)

    assert quantised(0) == quantised(0) != quantised(1)


def test_a_file_named_like_a_module_of_python_is_still_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    def digest_with(factor: int) -> str:
        module = types.ModuleType("colorsys")
        module.__file__ = "/home/user/colorsys.py"
        monkeypatch.setitem(sys.modules, "colorsys", module)
        exec(f"def scaled(x):\n    return x * {factor}", module.__dict__)
        return code_digest(holding(module.scaled))

    assert digest_with(2) == digest_with(2) != digest_with(3)
