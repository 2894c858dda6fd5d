"""Records of older schema versions, brought up to today's, one step per version.

A record file is never rewritten: it is upgraded each time it is read, and its name stays the digest of what was
written.  Every step has a fixture in ``tests/records/fixtures``.

| version | what changed |
|---|---|
| 1 | the first |
| 2 | ``bootstrap`` intervals are expanded for few units; the plain percentile ones of version 1 say ``percentile`` |
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


def _name_plain_percentile(content: dict[str, Any]) -> dict[str, Any]:
    """1 to 2: what version 1 called ``bootstrap`` is the plain percentile interval."""
    scores = [score | {"interval": score["interval"] | {"method": "percentile"}} for score in content["scores"]]
    return content | {"scores": scores}


UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _name_plain_percentile}
