"""Export in the result layout of MTEB: ``<model>/<checkpoint>/<task>.json`` and a ``model_meta.json`` beside them.

Keys are those of MTEB's results repository.  Values without a counterpart there (intervals, seeds, the fingerprint) are
stored under ``sigma_bench`` in each file.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from sigma_bench.leaderboard.select import reported_split
from sigma_bench.records.record import Record
from sigma_bench.records.store import folder_name

_REVISION_LENGTH = 12


def mteb_files(records: Iterable[Record], labels: Mapping[str, str] | None = None) -> dict[str, str]:
    """Relative path and JSON text of every file; several seeds of a task are entries of one file's scores.

    Args:
        labels: by the id of a record, the label of its model in tables; the model's name by default.
    """
    files: dict[str, dict[str, Any]] = {}
    for record in records:
        label = (labels or {}).get(record.id, record.model.model)
        folder = f"{folder_name(label)}/{folder_name(record.model.checkpoint_sha256[:_REVISION_LENGTH])}"
        files.setdefault(f"{folder}/model_meta.json", _meta(record, label))
        file = f"{folder}/{folder_name(record.task.task.replace('/', '.'))}.{record.fingerprint}.json"
        entry = files.setdefault(file, _header(record))
        entry["scores"].setdefault(_split(record), []).append(_scores(record))
        entry["evaluation_time"] += sum(record.provenance.seconds.values())
    return {path: json.dumps(content, indent=1, ensure_ascii=False) + "\n" for path, content in sorted(files.items())}


def _meta(record: Record, label: str) -> dict[str, Any]:
    model = record.model
    return {
        "name": label,
        "revision": model.checkpoint_sha256,
        "n_parameters": model.num_parameters,
        "embed_dim": model.feature_width,
        "training_datasets": list(model.pretraining_data),
        "framework": ["PyTorch"],
        "modalities": ["video"],
    }


def _header(record: Record) -> dict[str, Any]:
    return {
        "dataset_revision": reported_split(record.data).manifest_sha256,
        "task_name": record.task.task,
        "mteb_version": None,
        "scores": {},
        "evaluation_time": 0.0,
        "kg_co2_emissions": None,
        "sigma_bench": {
            "version": record.provenance.sigma_bench,
            "protocol": record.task.protocol.protocol,
            "fingerprint": record.fingerprint,
            "data_source": record.data.world,
        },
    }


def _split(record: Record) -> str:
    return next(name for name, split in record.data.splits.items() if split == reported_split(record.data))


def _scores(record: Record) -> dict[str, Any]:
    values = {score.metric: score.value for score in record.scores}
    return {
        **values,
        "main_score": record.scores[0].value,
        "hf_subset": "default",
        "languages": [],
        "sigma_bench": {
            "record": record.id,
            "seed": record.seed,
            "pretraining_seed": record.model.pretraining_seed,
            "intervals": {s.metric: [s.interval.low, s.interval.high, s.interval.level] for s in record.scores},
        },
    }
