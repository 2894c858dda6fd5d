"""A small store whose records say what their predictions say."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sigma_bench.records.record import Record
from sigma_bench.records.scoring import score_all
from sigma_bench.records.store import Store
from sigma_bench.specs.fingerprint import task_fingerprint
from tests.factories import make_record

OVERRIDES = {"uncertainty": {"method": "bootstrap", "unit": "group", "level": 0.95, "replicates": 200}}


_NUM = 60


def predictions(share_right: float, *, seed: int = 0, num_samples: int = 60) -> dict[str, np.ndarray]:
    """Predictions of which about this share is right; ids, groups of three and truth are always the same."""
    truth = np.arange(num_samples) % 4
    is_right = np.random.default_rng(seed).random(num_samples) < share_right
    return {
        "ids": np.array([f"clip{i:03}" for i in range(num_samples)]),
        "groups": np.array([f"video{i // 3:03}" for i in range(num_samples)]),
        "truth": truth,
        "predicted": np.where(is_right, truth, (truth + 1) % 4),
    }


def add(store: Store, arrays: Mapping[str, np.ndarray], **about: Any) -> tuple[Path, Record]:
    """A record of these predictions, stored beside them."""
    overrides = OVERRIDES | about.pop("overrides", {})
    plain = make_record(overrides=overrides, scored=len(arrays["ids"]), **about)
    scores = score_all(plain.task.protocol, arrays, plain.seed)
    record = plain.model_copy(update={"scores": scores, "predictions": store.add_predictions(arrays)})
    return store.add(record), record


def filed(
    store: Store,
    task: str,
    num_right: int,
    *,
    model: str = "m",
    taught: int = 200,
    checkpoint: str | None = None,
    **overrides: Any,
) -> None:
    """A record of a task (with its variant) in which the first so many of 60 are right."""
    truth = np.arange(_NUM) % 4
    arrays: Mapping[str, np.ndarray] = {
        "ids": np.array([f"clip{i:03}" for i in range(_NUM)]),
        "groups": np.array([f"clip{i:03}" for i in range(_NUM)]),
        "truth": truth,
        "predicted": np.where(np.arange(_NUM) < num_right, truth, (truth + 1) % 4),
    }
    plain = make_record(model, task.partition("+")[0], overrides=OVERRIDES | overrides, scored=_NUM)
    resolved = plain.task.model_copy(update={"task": task})
    train = plain.data.splits["train"].model_copy(update={"found": taught})
    data = plain.data.model_copy(update={"splits": {**plain.data.splits, "train": train}})
    card = plain.model.model_copy(update={} if checkpoint is None else {"checkpoint_sha256": checkpoint})
    changed = {
        "model": card,
        "task": resolved,
        "fingerprint": task_fingerprint(resolved),
        "data": data,
        "scores": score_all(resolved.protocol, arrays, 0),
        "predictions": store.add_predictions(arrays),
    }
    store.add(plain.model_copy(update=changed))
