"""Doing what is left to do: a finished evaluation is found by its key, never computed again."""

from pathlib import Path

from sigma_bench.data.catalogue import open_dataset
from sigma_bench.data.clips import ClipMemory
from sigma_bench.data.manifest import Manifest
from sigma_bench.models.encoder import Encoder
from sigma_bench.protocols.classification import Report
from sigma_bench.protocols.features import FeatureCache
from sigma_bench.records.record import Record, resume_key
from sigma_bench.records.store import Store
from sigma_bench.runs.evaluate import data_identity, evaluate
from sigma_bench.specs.fingerprint import task_fingerprint
from sigma_bench.specs.task import ResolvedTask


def find_or_evaluate(
    encoder: Encoder,
    task: ResolvedTask,
    source: Path | Manifest,
    output: Path,
    *,
    seed: int,
    report: Report,
    clips: ClipMemory | None = None,
) -> tuple[Record, Path, bool]:
    """The record of an evaluation, its file, and whether it was there already.

    ``source`` is a data root or an open manifest; ``clips`` may hold what another encoder had decoded.  Raises
    ValueError as ``evaluate`` does, and when the output folder cannot be written (before anything is computed).
    """
    manifest = source if isinstance(source, Manifest) else open_dataset(task.dataset, source)
    store = Store(output)
    key = resume_key(encoder.card, task_fingerprint(task), seed, data_identity(manifest, task))
    found = store.find(key)
    if found is not None:
        return *found, True
    store.require_writable()
    cache = FeatureCache(output / "features", clips)
    record, arrays = evaluate(encoder, task, manifest, cache, seed=seed, report=report)
    store.add_predictions(arrays)
    return record, store.add(record), False
