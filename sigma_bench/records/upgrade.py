"""Upgrades of records of older schema versions to the current one, one step per version.

A record file is never rewritten: it is upgraded each time it is read, and its name stays the digest of what was
written.  Every step has a fixture in ``tests/records/fixtures``.

| version | what changed |
|---|---|
| 2 | the oldest version that is read |
| 3 | Records name the decoders of a split, the digest of the encoder's code and, in every split, the groups that the |
|   | scored split shares with the train split.  Version 2 did not know them: such a record is shown, but it is never |
|   | taken for the result of a new evaluation, because its key lacks the digest of the code. |
"""

from collections.abc import Callable
from typing import Any, Final

SCHEMA_VERSION: Final = 3


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


def _to_3(content: dict[str, Any]) -> dict[str, Any]:
    """Fill in the fields that version 2 did not have with empty values."""
    splits = {name: {**split, "decoders": {}} for name, split in content["data"]["splits"].items()}
    return content | {
        "model": content["model"] | {"code_sha256": ""},
        "data": content["data"] | {"splits": splits},
    }


UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {2: _to_3}
