"""Verification of a store: every score computed again from its predictions, every digest that can be compared.

Nothing is repaired.  A problem is something that is wrong; what is unchecked may be right, but this folder alone
cannot show it.
"""

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sigma_bench.records.record import Record, Score
from sigma_bench.records.scoring import METRICS, Arrays, score
from sigma_bench.records.store import Store, read_record, reduced_file
from sigma_bench.specs.fingerprint import digest, task_fingerprint

MANIFEST = "manifest.json"
"""Beside the records of an exported folder: the digest of every file."""
_TOLERANCE = 1e-9
"""Sums may come out differently in the last bits on another processor."""


@dataclass(frozen=True)
class Verification:
    """What was looked at, what is wrong, and what could not be looked at; one sentence each, with its file."""

    num_records: int
    num_scores: int
    """Scores that were computed again and agree."""
    problems: tuple[str, ...]
    unchecked: tuple[str, ...]


def verify_store(store: Store, report: Callable[[int, int], None] = lambda done, total: None) -> Verification:
    """Check every record of a store; ``report`` hears how many files of how many are done."""
    problems: list[str] = []
    unchecked: list[str] = []
    found: list[tuple[Path, Record]] = []
    num_scores, paths = 0, store.paths()
    for done, path in enumerate(paths, start=1):
        try:
            record = read_record(path)
        except ValueError as error:
            problems.append(str(error))
        else:
            found.append((path, record))
            problems += [f"{path}: {sentence}" for sentence in _of_record(store, path, record)]
            wrong, right, missed = _of_scores(store, record)
            problems += [f"{path}: {sentence}" for sentence in wrong]
            unchecked += [f"{path}: {sentence}" for sentence in missed]
            num_scores += right
        report(done, len(paths))
    problems += _across(found) + _of_manifest(store.root)
    unchecked += _beyond(store, [record for _, record in found])
    return Verification(len(found), num_scores, tuple(problems), tuple(unchecked))


def _of_record(store: Store, path: Path, record: Record) -> list[str]:
    """What a record says about itself."""
    wrong = []
    if path.parent != store.place(record):
        where = store.place(record).relative_to(store.root)
        wrong.append(f"stands in the wrong folder; it is a record of {record.model.model} and belongs into {where}")
    if task_fingerprint(record.task) != record.fingerprint:
        wrong.append(f"the fingerprint {record.fingerprint} is not that of the task it holds")
    for name, split in record.data.splits.items():
        if split.scored > split.found + len(split.failed_ids):  # what is missing may count as wrong, but is named then
            wrong.append(f"split {name} scored {split.scored} samples where {split.found} were found")
    return wrong


def _of_scores(store: Store, record: Record) -> tuple[list[str], int, list[str]]:
    """Problems, the number of scores that agree with their predictions, and what could not be computed."""
    try:
        found = store.find_predictions(record.predictions)
    except ValueError as error:
        return [str(error)], 0, []
    if found is None:
        return [], 0, [f"its predictions ({record.predictions.file}) are not here, so no score was computed again"]
    stored, is_reduced = found
    if absent := {"ids", "groups"} - stored.keys():
        return [f"its predictions do not hold {' and '.join(sorted(absent))}"], 0, []
    wrong, right = _of_samples(stored), 0
    missed = ["its predictions are reduced to what its scores need, so their digest was not compared"] * is_reduced
    for said in record.scores:
        if said.metric not in METRICS:
            missed.append(f"this sigma-bench does not know the metric {said.metric}")
            continue
        try:
            again = score(said.metric, record.task.protocol, stored, record.seed)
        except KeyError as error:
            wrong.append(f"its predictions do not hold {error}, from which {said.metric} is computed")
            continue
        except (ValueError, IndexError, TypeError) as error:  # reduced ones have no digest that would have told before
            wrong.append(f"{said.metric} cannot be computed from its predictions ({error})")
            continue
        difference = _difference(said, again)
        right += not difference
        wrong += [f"{said.metric} {difference}"] if difference else []
    return wrong, right, missed


def _of_samples(stored: Arrays) -> list[str]:
    """Every sample once, each with its group."""
    ids = stored["ids"]
    if len(np.unique(ids)) != len(ids):
        return [f"its predictions hold {len(ids) - len(np.unique(ids))} samples twice"]
    if len(stored["groups"]) != len(ids):
        return ["its predictions do not say the group of every sample"]
    return []


def _difference(said: Score, again: Score) -> str:
    """In words; empty where a score and its interval come out as they stand in the record."""
    numbers = [
        ("is", said.value, again.value),
        ("has the lower end", said.interval.low, again.interval.low),
        ("has the upper end", said.interval.high, again.interval.high),
        ("has the spread", said.spread, again.spread),
    ]
    for words, stands, comes_out in numbers:
        if stands is None and comes_out is None:
            continue
        if stands is None or comes_out is None or not math.isclose(stands, comes_out, rel_tol=0, abs_tol=_TOLERANCE):
            return f"{words} {stands!r} in the record and {comes_out!r} when computed from its predictions"
    return ""


def _across(found: list[tuple[Path, Record]]) -> list[str]:
    """Two checkpoints under one name, and one evaluation with two results."""
    wrong: list[str] = []
    checkpoints: dict[tuple[str, int | None], tuple[Path, str]] = {}
    results: dict[str, tuple[Path, dict[str, float]]] = {}
    for path, record in found:
        label = (record.model.model, record.model.pretraining_seed)
        first, sha256 = checkpoints.setdefault(label, (path, record.model.checkpoint_sha256))
        if sha256 != record.model.checkpoint_sha256:
            wrong.append(
                f"{first} and {path}: two checkpoints ({sha256[:12]} and {record.model.checkpoint_sha256[:12]}) carry "
                f"the name {record.model.model}"
            )
        values = {score.metric: score.value for score in record.scores}
        first, before = results.setdefault(digest(record.key()), (path, values))
        if before != values:
            wrong.append(f"{first} and {path}: one evaluation of {record.model.model} with two results")
    return wrong


def _of_manifest(folder: Path) -> list[str]:
    """Files of an exported folder that are not those it was written with."""
    path = folder / MANIFEST
    if not path.is_file():
        return []
    try:
        said = {str(name): str(entry["sha256"]) for name, entry in json.loads(path.read_bytes())["files"].items()}
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        return [f"{path}: not the manifest of an exported folder ({error})"]
    files = {name: folder / name for name in said}
    missing = [f"{file}: stands in {MANIFEST} and is not here" for file in files.values() if not file.is_file()]
    changed = [
        f"{file}: was changed after it was written ({MANIFEST} has another digest)"
        for name, file in files.items()
        if file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() != said[name]
    ]
    return missing + changed


def _beyond(store: Store, records: list[Record]) -> list[str]:
    """What a folder of records cannot show, and files that no record speaks of."""
    missed = []
    for words, digests in (
        ("checkpoint", {record.model.checkpoint_sha256 for record in records}),
        ("manifest", {split.manifest_sha256 for record in records for split in record.data.splits.values()}),
    ):
        if digests:
            missed.append(f"{len(digests)} {words} digests: the {words}s themselves are not part of a store")
    known = {store.root / record.predictions.file for record in records}
    known |= {store.root / reduced_file(record.predictions) for record in records}
    strangers = [path for path in sorted((store.root / "predictions").glob("*")) if path not in known]
    missed += [f"{path}: no record speaks of it" for path in strangers]
    halves = sorted((store.root / "records").rglob(".writing-*"))
    missed += [f"{path}: left behind by a process that was killed while it wrote" for path in halves]
    return missed
