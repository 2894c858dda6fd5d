"""The append-only store: records and predictions as files, written atomically, found by content.

Layout below the root::

    records/<model>/<dataset>/<task>/<id>.json
    predictions/<sha256>.npz
"""

import contextlib
import hashlib
import io
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from sigma_bench.records.record import PredictionsRef, Record
from sigma_bench.specs.fingerprint import digest

ID_LENGTH = 12


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
            f"{path}: cannot be written ({error.strerror}); free some space or choose another folder with --output"
        ) from error


def predictions_reference(arrays: Mapping[str, np.ndarray]) -> PredictionsRef:
    """Where predictions with this content are stored, and under which hash."""
    sha256 = hashlib.sha256(_npz(arrays)).hexdigest()
    return PredictionsRef(sha256=sha256, file=f"predictions/{sha256}.npz")


class Store:
    """Records and predictions below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def require_writable(self) -> None:
        """Fail now, not after an hour; ValueError names the folder."""
        probe = self.root / ".writable"
        write_atomically(probe, b"")
        probe.unlink()

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
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}

    def add(self, record: Record) -> Path:
        """Store a record under the hash of its content; records are never overwritten or changed."""
        text = record.model_dump_json(indent=1)
        name = digest(record.model_dump(mode="json"))[:ID_LENGTH]
        path = self.root / "records" / record.model.model / record.task.task / f"{name}.json"
        if not path.exists():
            write_atomically(path, text.encode())
        return path

    def records(self) -> Iterator[tuple[Path, Record]]:
        """All records, oldest first; ValueError names a file that is not one."""
        found = [(path, _read(path)) for path in sorted((self.root / "records").rglob("*.json"))]
        yield from sorted(found, key=lambda pair: pair[1].provenance.started_utc)

    def find(self, key: Mapping[str, Any]) -> tuple[Record, Path] | None:
        """The record of an evaluation that has been done already, if any, and its file."""
        folder = self.root / "records" / str(key["model"])
        for path in sorted(folder.rglob("*.json")):
            record = _read(path)
            if record.key() == key:
                return record, path
        return None


def _read(path: Path) -> Record:
    try:
        return Record.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{path}: not a record of this version (key '{where}': {first['msg']})") from error


def _npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Arrays as an npz whose bytes depend on nothing but the arrays (zip dates are constant)."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()
