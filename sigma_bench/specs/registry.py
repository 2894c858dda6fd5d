"""Registries of names: those that this package defines, and those that other packages add through entry points.

A package adds a name in its ``pyproject.toml``::

    [project.entry-points."sigma_bench.protocols"]
    agreement = "my_package.agreement"

Nothing is imported before a name is looked up.
"""

import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from sigma_bench.specs.strict import suggestion


@dataclass(frozen=True)
class Registry:
    """Names of one concept and the modules or objects that implement them."""

    concept: str
    """What a name stands for, as in error messages: ``protocol kind``."""
    group: str
    """Entry-point group that adds names, such as ``sigma_bench.protocols``."""
    built_in: Mapping[str, str]
    """Name -> ``package.module`` or ``package.module:attribute``."""

    def __contains__(self, name: object) -> bool:
        return name in self.built_in or any(point.name == name for point in _entry_points(self.group))

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted({*self.built_in, *(point.name for point in _entry_points(self.group))})

    def target(self, name: str) -> str:
        """Where the implementation of a name is, ``package.module`` or ``package.module:attribute``.

        Raises:
            ValueError: the name is unknown, or registered more than once.
        """
        points = [point for point in _entry_points(self.group) if point.name == name]
        sources = ["sigma-bench"] * (name in self.built_in) + [_package(point) for point in points]
        if not sources:
            raise ValueError(f"there is no {self.concept} '{name}'.{suggestion(name, self.names())}")
        if len(sources) > 1:
            raise ValueError(
                f"the {self.concept} '{name}' is registered by {' and by '.join(sources)}; rename one of them or "
                "uninstall its package"
            )
        return self.built_in[name] if name in self.built_in else points[0].value

    def load(self, name: str, submodule: str = "") -> Any:
        """The module or object of a name.

        Args:
            submodule: of the registered module, such as ``run``.

        Raises:
            ValueError: as ``target``, or the package of another author cannot be imported.
        """
        module, _, attribute = self.target(name).partition(":")
        where = f"{module}.{submodule}" if submodule else module
        try:
            found = importlib.import_module(where)
            return getattr(found, attribute) if attribute else found
        except (Exception, SystemExit) as error:
            if name in self.built_in:
                raise
            raise ValueError(
                f"the {self.concept} '{name}' of another package cannot be imported from {where}: "
                f"{type(error).__name__}: {error}"
            ) from error


def _entry_points(group: str) -> tuple[EntryPoint, ...]:
    """Entry points of a group."""
    return _on_path(group, tuple(sys.path))


@cache
def _on_path(group: str, path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """Entry points of the packages on ``sys.path``; an editable install that is found twice counts once."""
    found = {(point.name, point.value, _package(point)): point for point in entry_points(group=group)}
    return tuple(found.values())


def _package(point: EntryPoint) -> str:
    return f"the package {point.dist.name}" if point.dist else "another package"
