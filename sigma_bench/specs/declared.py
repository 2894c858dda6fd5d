"""Files of declarations by concept and name, with the keys of their base filled in."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from sigma_bench.resources import declared, hint_of_include
from sigma_bench.specs.overrides import with_base
from sigma_bench.specs.strict import read_yaml, suggestion

FOLDERS = {
    "dataset": "tasks",
    "protocol": "tasks/protocols",
    "suite": "tasks/suites",
    "variants": "tasks/variants",
    "recipe": "pretrain",
}
"""Concept -> folder of its files."""
_BASED = ("dataset", "protocol")
"""Concepts whose files may name a base."""


def files_of(concept: str) -> dict[str, Path]:
    """Name -> file of all declarations of one concept, a key of ``FOLDERS``."""
    return declared(FOLDERS[concept])


def content_of(concept: str, name: str) -> tuple[dict[str, Any], Path]:
    """The content of a declaration with the keys of its base, and the path of its file.

    Args:
        concept: a key of ``FOLDERS``.

    Raises:
        ValueError: the name or the base is unknown, the base has a base itself, or the file states another name.
    """
    files = files_of(concept)
    if hint := "" if name in files else hint_of_include(FOLDERS[concept], name):
        raise ValueError(f"there is no {concept} '{name}'.{hint}")
    require_known(concept, name, files)
    path = files[name]
    content = _read(path)
    if "base" in content and concept in _BASED:
        content = with_base(_base(concept, str(content["base"]), path), content)
    if concept in content:
        require_same_name(concept, str(content[concept]), name, path)
    return content, path


def _base(concept: str, name: str, path: Path) -> dict[str, Any]:
    """The content of a base; ValueError if it is unknown or has a base itself."""
    files = files_of(concept)
    if name not in files:
        raise ValueError(f"{path}: key 'base': there is no {concept} '{name}'.{suggestion(name, files)}")
    content = _read(files[name])
    if "base" in content:
        raise ValueError(
            f"{path}: key 'base': '{name}' has a base itself, '{content['base']}'; name a {concept} that has none"
        )
    return content


def _read(path: Path) -> dict[str, Any]:
    """The content of a file, which must not be modified; it is read again only if the file has changed."""
    try:
        state = path.stat()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from error
    return _read_version(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=512)
def _read_version(path: Path, mtime_ns: int, size: int) -> dict[str, Any]:
    return read_yaml(path)


def require_same_name(kind: str, declared_name: str, name: str, path: Path) -> None:
    """ValueError if a declaration states another name than that of its file."""
    if declared_name != name:
        raise ValueError(f"{path}: key '{kind}' is '{declared_name}', but the name of the file is '{name}'")


def require_known(kind: str, name: str, known: Mapping[str, Any]) -> None:
    """ValueError for an unknown name, with a suggestion."""
    if name not in known:
        raise ValueError(f"there is no {kind} '{name}'.{suggestion(name, known)}")
