"""Verification of a store: all scores are computed again from predictions, and all available digests are compared.

Nothing is repaired.  A problem is an error; an unchecked item may be correct but cannot be verified with this folder
alone.
"""

import hashlib
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from sigma_bench.records.record import Record, Score
from sigma_bench.records.scoring import NOT_COMPUTABLE, Arrays, metrics_of, require_samples, score
from sigma_bench.records.store import Store, read_record, reduced_file
from sigma_bench.specs.fingerprint import digest, task_fingerprint
from sigma_bench.specs.untrusted import one_line, parse_json, read_bounded

MANIFEST = "manifest.json"
"""File of an exported folder with the digests of its files."""
MAX_MANIFEST_BYTES = 64 << 20
_TOLERANCE = 1e-9
"""Tolerance for sums, which differ in the last bits between processors."""


@dataclass(frozen=True)
class Verification:
    """The result of a verification.  Problems and unchecked items are sentences that name a file."""

    num_records: int
    """Number of records that were read."""
    num_scores: int
    """Number of scores that were computed again and agree."""
    problems: tuple[str, ...]
    """Disagreements of a record with its predictions, its digests or other records."""
    unchecked: tuple[str, ...]
    """What cannot be verified with this folder alone."""


class VerifiedFile(NamedTuple):
    """What was found in one file of a record."""

    path: Path
    record: Record | None
    """None if the file is not a record."""
    num_scores: int = 0
    problems: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()


Map = Callable[[Callable[[Path], VerifiedFile], Sequence[Path]], Iterable[VerifiedFile]]
"""Applies a function to files, in order, as ``map`` or the ``map`` of a pool of processes."""


def verify_store(
    store: Store, report: Callable[[int, int], None] = lambda done, total: None, map_files: Map = map
) -> Verification:
    """Check every record of a store.

    Args:
        report: is called with the number of verified files and of all files.
        map_files: applies the check of a file to all of them.
    """
    paths, files = store.paths(), []
    for done, file in enumerate(map_files(partial(_verified, store), paths), start=1):
        files.append(file)
        report(done, len(paths))
    found = [(file.path, file.record) for file in files if file.record is not None]
    problems = [f"{file.path}: {sentence}" if file.record else sentence for file in files for sentence in file.problems]
    unchecked = [f"{file.path}: {sentence}" for file in files for sentence in file.unchecked]
    return Verification(
        len(found),
        sum(file.num_scores for file in files),
        (*problems, *_across(found), *_of_manifest(store.root)),
        (*unchecked, *_beyond(store, [record for _, record in found])),
    )


def _verified(store: Store, path: Path) -> VerifiedFile:
    try:
        record = read_record(path)
    except ValueError as error:
        return VerifiedFile(path, None, problems=(str(error),))
    wrong, right, missed = _of_scores(store, record)
    return VerifiedFile(path, record, right, (*_of_record(store, path, record), *wrong), tuple(missed))


def _of_record(store: Store, path: Path, record: Record) -> list[str]:
    """Problems within a record: its folder, its fingerprint and its counts."""
    wrong = []
    if path.parent != store.place(record):
        where = store.place(record).relative_to(store.root)
        wrong.append(f"stands in the wrong folder; it is a record of {record.model.model} and belongs into {where}")
    if task_fingerprint(record.task) != record.fingerprint:
        wrong.append(f"the fingerprint {record.fingerprint} is not that of the task it holds")
    for name, split in record.data.splits.items():
        if split.scored > split.found + len(split.failed_ids):  # missing files that count as wrong are named
            wrong.append(f"split {name} scored {split.scored} samples where {split.found} were found")
    return wrong


def _of_scores(store: Store, record: Record) -> tuple[list[str], int, list[str]]:
    """Problems, the number of scores that agree with the predictions, and unchecked items."""
    try:
        found = store.find_predictions(record.predictions)
    except ValueError as error:
        return [str(error)], 0, []
    if found is None:
        return [], 0, [f"its predictions ({record.predictions.file}) are not here, so no score was computed again"]
    stored, is_reduced = found
    try:
        require_samples(stored)
    except ValueError as error:
        return [str(error)], 0, []
    wrong, right = _of_samples(stored), 0
    missed = ["its predictions are reduced to what its scores need, so their digest was not compared"] * is_reduced
    for stated in record.scores:
        if stated.metric not in metrics_of(record.task.protocol):
            missed.append(f"the metric {stated.metric} of {record.task.protocol.protocol} is not known here")
            continue
        try:
            again = score(stated.metric, record.task.protocol, stored, record.seed, by_samples=True)
        except KeyError as error:
            wrong.append(f"its predictions do not hold {error}, from which {stated.metric} is computed")
            continue
        except NOT_COMPUTABLE as error:  # the arrays may have any content
            wrong.append(f"{stated.metric} cannot be computed from its predictions ({one_line(str(error))[:200]})")
            continue
        difference = _difference(stated, again)
        right += not difference
        wrong += [f"{stated.metric} {difference}"] if difference else []
    return wrong, right, missed


def _of_samples(stored: Arrays) -> list[str]:
    """A problem if predictions contain a sample more than once."""
    ids = stored["ids"]
    num_twice = len(ids) - len(np.unique(ids))
    return [f"its predictions hold {num_twice} samples twice"] if num_twice else []


def _difference(stated: Score, again: Score) -> str:
    """Description of a difference; empty if the score and its interval agree with the record."""
    numbers = [
        ("is", stated.value, again.value),
        ("has the lower end", stated.interval.low, again.interval.low),
        ("has the upper end", stated.interval.high, again.interval.high),
        ("has the spread", stated.spread, again.spread),
    ]
    for words, stands, comes_out in numbers:
        if stands is None and comes_out is None:
            continue
        if stands is None or comes_out is None or not math.isclose(stands, comes_out, rel_tol=0, abs_tol=_TOLERANCE):
            return f"{words} {stands!r} in the record and {comes_out!r} when computed from its predictions"
    return ""


def _across(found: list[tuple[Path, Record]]) -> list[str]:
    """Problems between records: one evaluation with two results."""
    wrong: list[str] = []
    results: dict[str, tuple[Path, dict[str, float]]] = {}
    for path, record in found:
        values = {score.metric: score.value for score in record.scores}
        first, before = results.setdefault(digest(record.key()), (path, values))
        if before != values:
            wrong.append(f"{first} and {path}: one evaluation of {record.model.model} with two results")
    return wrong


def _of_manifest(folder: Path) -> list[str]:
    """Problems of an exported folder whose files differ from its manifest."""
    path = folder / MANIFEST
    if not path.is_file():
        return []
    try:
        content = parse_json(read_bounded(path, MAX_MANIFEST_BYTES))
        stated = {str(name): str(entry["sha256"]) for name, entry in content["files"].items()}
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        return [f"{path}: not the manifest of an exported folder ({error})"]
    return [sentence for name, sha256 in stated.items() for sentence in _of_listed_file(folder, name, sha256)]


def _of_listed_file(folder: Path, name: str, sha256: str) -> list[str]:
    """Problems of a file that a manifest lists; a name outside of the folder is not opened."""
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "\0" in name:
        return [f"{folder / MANIFEST}: lists '{name[:200]}', which lies outside its folder"]
    file = folder / name
    try:
        if not file.is_file():
            return [f"{file}: is listed in {MANIFEST} but does not exist"]
        with file.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        return [f"{folder / MANIFEST}: lists '{name[:200]}', which cannot be read ({error.strerror})"]
    if found != sha256:
        return [f"{file}: was changed after it was written ({MANIFEST} has another digest)"]
    return []


def _beyond(store: Store, records: list[Record]) -> list[str]:
    """Items that cannot be verified with a folder of records alone, and files that belong to no record."""
    missed = []
    for words, digests in (
        ("checkpoint", {record.model.checkpoint_sha256 for record in records}),
        ("manifest", {split.manifest_sha256 for record in records for split in record.data.splits.values()}),
    ):
        if digests:
            missed.append(f"{len(digests)} {words} digests: the {words}s themselves are not part of a store")
    encoders: dict[tuple[str, int | None], set[str]] = {}
    for model in {record.model for record in records}:
        encoders.setdefault((model.model, model.pretraining_seed), set()).add(digest(model.identity))
    missed += [
        f"{name}: {len(found)} encoders, which differ in weights, code, clip or normalisation, carry this name; tables "
        "tell them apart by their settings"
        for name, found in sorted({name: found for (name, _), found in encoders.items() if len(found) > 1}.items())
    ]
    known = {store.root / record.predictions.file for record in records}
    known |= {store.root / reduced_file(record.predictions) for record in records}
    unknown = [path for path in sorted((store.root / "predictions").glob("*")) if path not in known]
    missed += [f"{path}: no record refers to it" for path in unknown]
    halves = sorted((store.root / "records").rglob(".writing-*"))
    missed += [f"{path}: left behind by a process that was killed while it wrote" for path in halves]
    return missed
