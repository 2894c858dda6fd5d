"""The digest of a custom encoder's code changes with everything that changes a feature, and with nothing else."""

import os
import subprocess
import sys
import textwrap
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import nn

from sigma_bench.models.code_digest import code_digest

SCALE = """
    FACTOR = 2.0

    def scaled(x):
        return x * FACTOR
"""
NETWORK = """
    import helper_of_digest as helper
    import torch

    class Base(torch.nn.Module):
        def pooled(self, x):
            return x.flatten(3).mean(3)

    class Network(Base):
        def __init__(self, layer=-1):
            super().__init__()
            self.layer, self.norm = layer, torch.nn.LayerNorm(4)
            self.embed = torch.nn.Conv3d(3, 4, 2, stride=2)

        def forward(self, x):
            return helper.scaled(self.pooled(x))
"""


def network(folder: Path, monkeypatch: pytest.MonkeyPatch, source: str = NETWORK, helper: str = SCALE) -> ModuleType:
    """The module of a file, loaded again together with the file that it imports."""
    monkeypatch.syspath_prepend(str(folder))
    for name, text in (("helper_of_digest", helper), ("network_of_digest", source)):
        sys.modules.pop(name, None)
        module = ModuleType(name)
        module.__file__ = str(folder / f"{name}.py")
        monkeypatch.setitem(sys.modules, name, module)
        exec(compile(textwrap.dedent(text), module.__file__, "exec"), module.__dict__)
    return module


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("mean(3)", "amax(3)"),  # a method of a base class
        ("helper.scaled(self.pooled(x))", "self.pooled(x)"),
        ("* FACTOR", "+ FACTOR"),  # a function of another file
        ("FACTOR = 2.0", "FACTOR = 3.0"),  # a constant of another file
        ("layer=-1", "layer=-2"),  # a default that becomes an attribute
        ("LayerNorm(4)", "LayerNorm(4, eps=1e-2)"),  # configuration of a module of torch
        ("stride=2", "stride=2, dilation=2"),
    ],
)
def test_what_changes_a_feature_changes_the_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str
) -> None:
    before = code_digest(network(tmp_path, monkeypatch).Network())
    source, helper = NETWORK.replace(old, new), SCALE.replace(old, new)
    assert (source, helper) != (NETWORK, SCALE)
    assert code_digest(network(tmp_path, monkeypatch, source, helper).Network()) != before


def test_comments_weights_and_what_is_not_used_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = network(tmp_path, monkeypatch).Network()
    source = NETWORK.replace("def forward", "# a comment\n        def forward") + "\n    UNUSED = 3\n"
    commented = network(tmp_path, monkeypatch, source, SCALE + "\n    OTHER = 4\n").Network()
    with torch.no_grad():
        commented.embed.weight.zero_()
    assert code_digest(plain) == code_digest(commented)


def test_lambdas_closures_hooks_and_loose_tensors_count() -> None:
    def with_function(function: object) -> nn.Module:
        module = nn.Identity()
        module.change = function  # type: ignore[assignment]
        return module

    def closure(factor: float) -> object:
        return lambda x: x * factor

    def hooked(factor: float) -> nn.Module:
        module = nn.Identity()
        module.register_forward_hook(lambda _module, _inputs, output: output * factor)
        return module

    variants = [
        with_function(lambda x: x),
        with_function(lambda x: -x),
        with_function(closure(2.0)),
        with_function(closure(3.0)),
        with_function(partial(torch.mul, 2)),
        with_function(partial(torch.mul, 3)),
        with_function(torch.zeros(2)),
        with_function(torch.ones(2, dtype=torch.bfloat16)),
        with_function(SimpleNamespace(layer=1)),
        with_function(SimpleNamespace(layer=2)),
        hooked(1.0),
        hooked(2.0),
    ]
    assert len({code_digest(module) for module in variants}) == len(variants)
    assert code_digest(with_function(closure(2.0))) == code_digest(with_function(closure(2.0)))


def test_objects_that_refer_to_each_other_end() -> None:
    module = nn.Sequential(nn.Linear(2, 2))
    module.me, module[0].parent = [module], {"of": module}  # type: ignore[assignment]
    assert code_digest(module) == code_digest(module)


def test_every_process_finds_the_same_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This one, and one in which strings have other hashes."""
    (tmp_path / "helper_of_digest.py").write_text(textwrap.dedent(SCALE))
    (tmp_path / "network_of_digest.py").write_text(textwrap.dedent(NETWORK))
    program = (
        "import network_of_digest as n; from sigma_bench.models.code_digest import code_digest as d;"
        "print(d(n.Network()))"
    )
    root = str(Path(__file__).resolve().parents[2])
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTHONHASHSEED": seed, "PYTHONPATH": f"{tmp_path}:{root}"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == code_digest(network(tmp_path, monkeypatch).Network())
