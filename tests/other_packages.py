"""Packages that other people would install, written into a folder as ``pip install --target`` leaves them."""

import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hatchling.builders.wheel import WheelBuilder


def install(site: Path, package: str, modules: Mapping[str, str], group: str, names: Mapping[str, str]) -> None:
    """A package with its modules and entry points.

    Args:
        site: folder of installed packages.
        modules: source by name; ``__init__`` is empty unless given.
        group: of the entry points, such as ``sigma_bench.protocols``.
        names: entry points of this group.
    """
    folder, about = site / package, site / f"{package}-1.0.dist-info"
    for each in (folder, about):
        each.mkdir(parents=True)
    for name, text in {"__init__": "", **modules}.items():
        (folder / f"{name}.py").write_text(text)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = [f"[{group}]", *(f"{name} = {target}" for name, target in names.items())]
    (about / "entry_points.txt").write_text("\n".join(lines) + "\n")


def install_project(site: Path, project: Path) -> None:
    """The package of a project with a ``pyproject.toml``: its wheel, built and unpacked."""
    with TemporaryDirectory() as folder:
        (wheel,) = WheelBuilder(str(project)).build(directory=folder, versions=["standard"])
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)


@contextmanager
def visible(site: Path) -> Iterator[None]:
    """Context in which this process sees the packages in ``site``."""
    before = dict(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        yield
    for name in [name for name in sys.modules if name not in before]:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(str(site)):
            del sys.modules[name]
