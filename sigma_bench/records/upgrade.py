"""Records of older schema versions, brought up to today's, one step per version.

A record file is never rewritten: it is upgraded each time it is read, and its name stays the digest of what was
written.  Every step has a fixture in ``tests/records/fixtures``.

| version | what changed |
|---|---|
| 1 | the first |
| 2 | ``bootstrap`` intervals are expanded for few units; the plain percentile ones of version 1 say ``percentile``. |
|   | ``linear`` and ``segmentation`` got other keys; those of version 1 are ``retired`` protocols, as written. |
"""

from collections.abc import Callable
from typing import Any, Final

SCHEMA_VERSION: Final = 2


def upgraded(content: dict[str, Any]) -> dict[str, Any]:
    """The content of a record file in today's schema; the argument is left as it is.

    Raises:
        ValueError: no schema version, or one this sigma-bench does not know.
    """
    version = content.get("schema_version")
    if type(version) is not int or not min(UPGRADES) <= version <= SCHEMA_VERSION:
        raise ValueError(
            f"schema version {version!r} is unknown to this sigma-bench, which reads {min(UPGRADES)} to "
            f"{SCHEMA_VERSION}; a newer sigma-bench may know it"
        )
    for older in range(version, SCHEMA_VERSION):
        content = UPGRADES[older](content) | {"schema_version": older + 1}
    return content


def _to_2(content: dict[str, Any]) -> dict[str, Any]:
    """What version 1 called ``bootstrap`` is the plain percentile; two of its protocols are not run any more."""
    names = {"bootstrap": "percentile"}
    scores = []
    for score in content["scores"]:
        method = score["interval"]["method"]
        scores.append(score | {"interval": score["interval"] | {"method": names.get(method, method)}})
    protocol = content["task"]["protocol"]
    is_old = "inverse_regularisation_grid" in protocol or (
        protocol["kind"] == "segmentation" and "window_statistics" not in protocol
    )
    task = content["task"] | {"protocol": _retired(protocol) if is_old else protocol}
    return content | {"scores": scores, "task": task}


def _retired(protocol: dict[str, Any]) -> dict[str, Any]:
    """What every protocol states, and all of it as it was written."""
    shared = ("protocol", "summary", "on_decode_failure", "metrics", "uncertainty")
    return {"kind": "retired", "as_written": protocol, **{key: protocol[key] for key in shared}}


UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _to_2}
