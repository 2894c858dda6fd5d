"""Fingerprints: short hashes of everything that can change a number, and of nothing else."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from sigma_bench.specs.recipe import Recipe
from sigma_bench.specs.task import ResolvedTask

FINGERPRINT_LENGTH = 16


def digest(content: Any) -> str:
    """SHA-256 (hex) of JSON-like content, independent of key order."""
    return hashlib.sha256(_encoded(content)).hexdigest()


def digest_of_rows(name: str, rows: Iterable[Any]) -> str:
    """As ``digest([name, [*rows]])``, without holding the text of all rows."""
    found, before = hashlib.sha256(b"[" + _encoded(name) + b",["), b""
    for row in rows:
        found.update(before + _encoded(row))
        before = b","
    found.update(b"]]")
    return found.hexdigest()


def _encoded(content: Any) -> bytes:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode(errors="surrogatepass")


def task_fingerprint(task: ResolvedTask) -> str:
    """Identity of a resolved task: dataset, folds and all keys of the protocol except summary and run options."""
    protocol = task.protocol.model_dump(mode="json", exclude={"summary", *task.protocol.run_options})
    return digest({"dataset": task.dataset.dataset, "folds": task.folds, "protocol": protocol})[:FINGERPRINT_LENGTH]


def recipe_fingerprint(recipe: Recipe) -> str:
    """Identity of a recipe: all keys except its name, its summary and the interval between checkpoints."""
    content = recipe.model_dump(mode="json", exclude={"recipe", "summary", "checkpoint_every_steps"})
    return digest(content)[:FINGERPRINT_LENGTH]
