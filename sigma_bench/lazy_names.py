"""Names of a public module that are imported when they are first used."""

import importlib
from collections.abc import Mapping
from typing import Any


def import_name(public: str, modules: Mapping[str, tuple[str, ...]], name: str) -> Any:
    """The object of a name.

    Args:
        public: the module that exports the name.
        modules: module that defines names -> these names.

    Raises:
        AttributeError: the public module does not export the name.
    """
    for module, names in modules.items():
        if name in names:
            return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module '{public}' has no attribute '{name}'", name=name)
