"""Files of declarations by concept and name, with what they have from their base filled in."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from sigma_bench.resources import declared
from sigma_bench.specs.overrides import with_base
from sigma_bench.specs.strict import nearest, read_yaml

FOLDERS = {
    "dataset": "tasks",
    "protocol": "tasks/protocols",
    "suite": "tasks/suites",
    "variants": "tasks/variants",
    "recipe": "pretrain",
}
"""Concept -> where its files are."""
_BASED = ("dataset", "protocol")
"""Concepts whose files may name a base."""


def files_of(concept: str) -> dict[str, Path]:
    """Files by name of a ``dataset``, ``protocol``, ``suite``, ``variants`` or ``recipe``."""
    return declared(FOLDERS[concept])


def content_of(concept: str, name: str) -> tuple[dict[str, Any], Path]:
    """The mapping that a declaration's file holds, with what it has from its base, and the file.

    Raises:
        ValueError: the name or that of the base is unknown, the base has a base itself, or the file says another name.
    """
    files = files_of(concept)
    require_known(concept, name, files)
    path = files[name]
    content = _read(path)
    if "base" in content and concept in _BASED:
        content = with_base(_base(concept, str(content["base"]), path), content)
    if concept in content:
        require_same_name(concept, str(content[concept]), name, path)
    return content, path


def _base(concept: str, name: str, path: Path) -> dict[str, Any]:
    """The mapping that a declaration starts from, which is written out itself."""
    files = files_of(concept)
    if name not in files:
        raise ValueError(f"{path}: key 'base': there is no {concept} '{name}'.{nearest(name, files)}")
    content = _read(files[name])
    if "base" in content:
        raise ValueError(
            f"{path}: key 'base': '{name}' has a base itself, '{content['base']}'; name a {concept} that has none"
        )
    return content


def _read(path: Path) -> dict[str, Any]:
    """The mapping of a file, read again only where the file has changed; it must not be modified."""
    try:
        state = path.stat()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from error
    return _read_version(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=512)
def _read_version(path: Path, mtime_ns: int, size: int) -> dict[str, Any]:
    return read_yaml(path)


def require_same_name(kind: str, declared_name: str, name: str, path: Path) -> None:
    """ValueError for a declaration that says another name than its file."""
    if declared_name != name:
        raise ValueError(f"{path}: key '{kind}' says '{declared_name}', but the file's name says '{name}'")


def require_known(kind: str, name: str, known: Mapping[str, Any]) -> None:
    """ValueError for a name that is not declared; suggests the nearest ones."""
    if name not in known:
        raise ValueError(f"there is no {kind} '{name}'.{nearest(name, known)}")
