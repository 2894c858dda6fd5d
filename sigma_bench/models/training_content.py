"""The content of the custom videos of a pretraining run, as a list of digests in the folder of the run.

An evaluation names test videos that are among them.  The list describes the checkpoint and changes nothing in it.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from sigma_bench.records.store import write_atomically

CONTENT_NAME = "training_videos.txt"
_DIGEST = re.compile(r"[0-9a-f]{16}")


def short_digest(sha256: str) -> str:
    """The beginning of the digest of a file, as in the list; a million files differ in it."""
    return sha256[:16]


def write_training_content(folder: Path, digests: Iterable[str], *, identity: str) -> None:
    """Write the list of a run: its identity, and then one short digest per line, sorted."""
    write_atomically(folder / CONTENT_NAME, "".join(f"{line}\n" for line in (identity, *sorted(digests))).encode())


def read_training_content(folder: Path, *, identity: str) -> frozenset[str] | None:
    """The short digests of the custom videos of a run; None if its folder has no list, or one of another run."""
    try:
        first, *lines = (folder / CONTENT_NAME).read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return None
    return frozenset(filter(_DIGEST.fullmatch, lines)) if first == identity else None
