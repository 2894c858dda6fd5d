"""Records of custom data: datasets that no catalogue knows, under any name."""

from collections.abc import Mapping
from typing import Any

from sigma_bench.records.record import Record
from sigma_bench.records.scoring import score_all
from sigma_bench.records.store import Store
from sigma_bench.specs.fingerprint import digest, task_fingerprint
from tests.factories import make_record
from tests.records.filled import OVERRIDES, predictions


def add_custom(
    store: Store,
    dataset: str,
    share_right: float = 0.7,
    *,
    model: str = "m",
    task: str = "knn",
    image_size: int = 64,
    world: str = "user",
    files: str = "",
    folds: str = "official",
    num_samples: int = 60,
    overrides: Mapping[str, Any] | None = None,
    **about: Any,
) -> Record:
    """A stored record of a task on a dataset of this name, of an encoder whose weights follow from name and size.

    Args:
        files: other text stands for other files of the dataset.
        num_samples: number of scored samples, in groups of three.
    """
    arrays = predictions(share_right, seed=len(model), num_samples=num_samples)
    settings = OVERRIDES | dict(overrides or {})
    plain = make_record(model, "ucf101/knn", overrides=settings, scored=num_samples, world=world, **about)
    card = plain.task.dataset.model_copy(update={"dataset": dataset, "title": dataset})
    about_task = {"dataset": card, "task": f"{dataset}/{task}", "asks": "unspecified", "folds": folds}
    resolved = plain.task.model_copy(update=about_task)
    splits = {
        name: split.model_copy(update={"manifest_sha256": digest([dataset, name, files])})
        for name, split in plain.data.splits.items()
    }
    changed = {
        "task": resolved,
        "fingerprint": task_fingerprint(resolved),
        "model": plain.model.model_copy(update={"image_size": image_size}),
        "data": plain.data.model_copy(update={"splits": splits}),
        "scores": score_all(resolved.protocol, arrays, plain.seed),
        "controls": {"chance": 0.25},
        "predictions": store.add_predictions(arrays),
    }
    record = plain.model_copy(update=changed)
    store.add(record)
    return record
