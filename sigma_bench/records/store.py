"""The append-only store: records and predictions as files, written atomically, found by content.

Layout below the root::

    records/<model>/<dataset>/<task>/<id>.json
    predictions/<sha256>.npz
    predictions/<sha256>.reduced.npz

Reduced predictions hold what the scores are computed from and nothing to look at; they stand in for those of the same
name where a folder of records has to be small.  What they hold is checked against the scores, not by a digest.

The id is the start of the digest of the record's content, so a file that was changed by hand is found when it is read.
"""

import contextlib
import hashlib
import io
import json
import os
import re
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from sigma_bench.records.record import PredictionsRef, Record
from sigma_bench.records.upgrade import upgraded
from sigma_bench.specs.fingerprint import digest

ID_LENGTH = 12
_LONGEST_NAME = 100


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is either whole or absent.

    Raises:
        ValueError: the disk is full or the folder cannot be written; says which file.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except OSError as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                Path(temporary).unlink(missing_ok=True)
        raise ValueError(
            f"{path}: cannot be written ({error.strerror}); free some space or choose another folder"
        ) from error


def predictions_reference(arrays: Mapping[str, np.ndarray]) -> PredictionsRef:
    """Where predictions with this content are stored, and under which hash."""
    sha256 = hashlib.sha256(_npz(arrays)).hexdigest()
    return PredictionsRef(sha256=sha256, file=f"predictions/{sha256}.npz")


def folder_name(name: str) -> str:
    """A model's or dataset's name as the name of one folder, different for different names.

    What file systems give a meaning (``/``, ``..``, spaces, control characters) is percent-encoded, a long name ends
    in a digest.
    """
    safe = re.sub(r"[^A-Za-z0-9._@+=-]", lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), name)
    if safe.startswith("."):
        safe = f"%2E{safe[1:]}"
    if len(safe) > _LONGEST_NAME:
        safe = f"{safe[: _LONGEST_NAME - 17]}~{digest(name)[:16]}"
    return safe


class Store:
    """Records and predictions below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def add_predictions(self, arrays: Mapping[str, np.ndarray]) -> PredictionsRef:
        """Store per-sample predictions under the hash of their content."""
        reference = predictions_reference(arrays)
        write_atomically(self.root / reference.file, _npz(arrays))
        return reference

    def load_predictions(self, reference: PredictionsRef) -> dict[str, np.ndarray]:
        """Read predictions back; ValueError when the file is missing or not what the record says."""
        path = self.root / reference.file
        if not path.is_file():
            raise ValueError(f"{path}: the predictions of a record are missing")
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != reference.sha256:
            raise ValueError(f"{path}: the predictions are not those the record was computed from")
        return _arrays(content)

    def add_reduced(self, reference: PredictionsRef, arrays: Mapping[str, np.ndarray]) -> Path:
        """Store a part of predictions in their place."""
        path = self.root / reduced_file(reference)
        write_atomically(path, _npz(arrays))
        return path

    def find_predictions(self, reference: PredictionsRef) -> tuple[dict[str, np.ndarray], bool] | None:
        """Predictions and whether they are reduced; None where there are neither.

        Raises:
            ValueError: predictions that are not those the record was computed from.
        """
        path = self.root / reduced_file(reference)
        if (self.root / reference.file).is_file():
            return self.load_predictions(reference), False
        if not path.is_file():
            return None
        try:
            return _arrays(path.read_bytes()), True
        except (zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
            raise ValueError(f"{path}: not a file of predictions ({error}); keep the records again") from error

    def add(self, record: Record) -> Path:
        """Store a record under the hash of its content; records are never overwritten or changed."""
        path = self.place(record) / f"{digest(record.model_dump(mode='json'))[:ID_LENGTH]}.json"
        if not path.exists():
            write_atomically(path, record.model_dump_json(indent=1).encode())
        return path

    def place(self, record: Record) -> Path:
        """The folder of a record."""
        return self.root.joinpath("records", *map(folder_name, (record.model.model, *record.task.task.split("/"))))

    def paths(self) -> list[Path]:
        """The files of all records, by name."""
        return sorted((self.root / "records").rglob("*.json"))

    def records(self) -> Iterator[tuple[Path, Record]]:
        """All records, oldest first; ValueError names a file that is not one or was changed."""
        found = [(path, read_record(path)) for path in self.paths()]
        yield from sorted(found, key=lambda pair: pair[1].provenance.started_utc)

    def find(self, key: Mapping[str, Any]) -> tuple[Record, Path] | None:
        """The record of an evaluation that has been done already, if any, and its file."""
        folder = self.root / "records" / folder_name(str(key["model"]))
        for path in sorted(folder.rglob("*.json")):
            record = read_record(path)
            if record.key() == key:
                return record, path
        return None


def read_record(path: Path) -> Record:
    """The record in a file, upgraded where an older sigma-bench wrote it.

    Raises:
        ValueError: half a file, a link to nothing, another schema, or a content that is not the one the file is named
            after.
    """
    try:
        content = json.loads(path.read_bytes())
        if not isinstance(content, dict):
            raise ValueError("not a JSON object")
        record = Record.model_validate_json(json.dumps(upgraded(content)))
        name = digest(content)[:ID_LENGTH]
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{path}: not a record of this version (key '{where}': {first['msg']})") from error
    except (ValueError, TypeError, LookupError) as error:
        raise ValueError(f"{path}: not a record of this version ({error})") from error
    if name != path.stem:
        raise ValueError(f"{path}: the record was changed after it was written (its content is that of {name}.json)")
    return record


def reduced_file(reference: PredictionsRef) -> str:
    """Where reduced predictions are stored."""
    return reference.file.removesuffix(".npz") + ".reduced.npz"


def _arrays(content: bytes) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def _npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Arrays as an npz whose bytes depend on nothing but the arrays (zip dates are constant)."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()
