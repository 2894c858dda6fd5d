"""Upgrades of records of older schema versions to the current one, one step per version.

A record file is never rewritten: it is upgraded each time it is read, and its name remains the digest of its original
content.  Every step has a fixture in ``tests/records/fixtures``.

| version | what changed |
|---|---|
| 3 | the oldest version that is read |
| 4 | Protocols no longer state keys that have one possible value, so their fingerprints differ. |
"""

from collections.abc import Callable
from typing import Any, Final

from sigma_bench.specs.fingerprint import task_fingerprint
from sigma_bench.specs.protocol import protocol_class
from sigma_bench.specs.strict import parse_spec
from sigma_bench.specs.task import ResolvedTask

SCHEMA_VERSION: Final = 4

_CONSTANT_KEYS = frozenset(
    {
        *("classes_scored", "clusters", "crop", "frame_to_clip", "normalise", "on_decode_failure", "optimiser"),
        *("pooling", "schedule", "scored_frames", "standardise", "tokens", "tubelet_to_frames", "view_pooling"),
        *("view_score", "void_label"),
    }
)
"""Keys of version 3 with one possible value; they are kept in protocols that still have them."""
_CONSTANT_INNER_KEYS = (
    ("clip", "sampling", "short_video"),
    ("mixing", "pairs"),
    ("select_on_test", "best"),
    ("training", "segment_draw"),
    ("training", "optimiser"),
)


def upgraded(content: dict[str, Any]) -> dict[str, Any]:
    """The content of a record file in the current schema; the argument is not changed.

    Raises:
        ValueError: the schema version is missing or unknown.
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


def _to_4(content: dict[str, Any]) -> dict[str, Any]:
    """Remove the constant keys that the class of the protocol no longer has, and recompute the fingerprint."""
    before = content["task"]["protocol"]
    fields = protocol_class(before["kind"]).model_fields
    protocol = {key: value for key, value in before.items() if key in fields or key not in _CONSTANT_KEYS}
    for path in _CONSTANT_INNER_KEYS:
        protocol = _without(protocol, path)
    task = content["task"] | {"protocol": protocol}
    fingerprint = task_fingerprint(parse_spec(ResolvedTask, task, where="its task"))
    return content | {"task": task, "fingerprint": fingerprint}


def _without(content: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    """The mapping without one nested key, if it is there."""
    key, *rest = path
    inner = content.get(key)
    if not rest:
        return {name: value for name, value in content.items() if name != key}
    if not isinstance(inner, dict) or (key == "sampling" and inner.get("sampler") != "dense"):
        return content
    return content | {key: _without(inner, tuple(rest))}


UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {3: _to_4}
