"""The append-only store: records and predictions as files, written atomically, found by content.

Layout below the root::

    records/<model>/<dataset>/<task>/<id>.json
    predictions/<sha256>.npz
    predictions/<sha256>.reduced.npz

Reduced predictions hold only the arrays that scores are computed from, for small folders of records.  They replace the
predictions of the same name and are checked against the scores, not by a digest.

The id is the start of the digest of the record's content, so a file that was changed by hand is found when it is read.
"""

import contextlib
import gc
import hashlib
import io
import json
import logging
import math
import os
import re
import tempfile
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError
from pydantic_core import from_json

from sigma_bench.records.record import ID_LENGTH, PredictionsRef, Record
from sigma_bench.records.upgrade import upgraded
from sigma_bench.specs.fingerprint import digest
from sigma_bench.specs.untrusted import read_bounded, with_visible_controls

UNREADABLE_ARRAY = (
    ValueError, TypeError, LookupError, OSError, EOFError, OverflowError, MemoryError, RuntimeError, SyntaxError,
    tokenize.TokenError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""Exceptions of NumPy (including its parser of Python 2 headers) and zipfile for damaged bytes."""
LOGGER = logging.getLogger(__name__)
MAX_RECORD_BYTES = 64 << 20
MAX_PREDICTION_BYTES = 4 << 30
"""Most bytes of predictions, packed or unpacked; token maps of a large segmentation are the largest."""
_LONGEST_NAME = 100
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is either complete or absent.

    Raises:
        ValueError: the disk is full or the folder cannot be written; names the file.
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


def folder_name(name: str) -> str:
    """The name of a model or dataset as the name of one folder; different names give different folders.

    Characters with a meaning in file systems (``/``, leading dots, spaces, control characters) are percent-encoded; a
    long name ends in a digest.
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
        """Store predictions under the hash of their content."""
        content = _npz(arrays)
        sha256 = hashlib.sha256(content).hexdigest()
        reference = PredictionsRef(sha256=sha256, file=f"predictions/{sha256}.npz")
        write_atomically(self.root / reference.file, content)
        return reference

    def load_predictions(self, reference: PredictionsRef) -> dict[str, np.ndarray]:
        """Read predictions; ValueError if the file is missing or its digest is not that of the record."""
        path = self.root / reference.file
        if not path.is_file():
            raise ValueError(f"{path}: the predictions of a record are missing")
        content = read_bounded(path, MAX_PREDICTION_BYTES)
        if hashlib.sha256(content).hexdigest() != reference.sha256:
            raise ValueError(f"{path}: the predictions are not those the record was computed from")
        return _arrays(path, content)

    def add_reduced(self, reference: PredictionsRef, arrays: Mapping[str, np.ndarray]) -> Path:
        """Store reduced predictions in place of the whole ones."""
        path = self.root / reduced_file(reference)
        write_atomically(path, _npz(arrays))
        return path

    def find_predictions(self, reference: PredictionsRef) -> tuple[dict[str, np.ndarray], bool] | None:
        """Predictions and whether they are reduced; None if there is no file.

        Raises:
            ValueError: predictions that are not those the record was computed from.
        """
        path = self.root / reduced_file(reference)
        if (self.root / reference.file).is_file():
            return self.load_predictions(reference), False
        if not path.is_file():
            return None
        return _arrays(path, read_bounded(path, MAX_PREDICTION_BYTES)), True

    def has_reduced_only(self, reference: PredictionsRef) -> bool:
        """Whether the predictions are stored without what only pictures need, such as maps of clusters."""
        return not (self.root / reference.file).is_file() and (self.root / reduced_file(reference)).is_file()

    def add(self, record: Record) -> Path:
        """Store a record under the hash of its content; records are never changed."""
        path = self.place(record) / f"{record.id}.json"
        if not path.exists():
            write_atomically(path, record.model_dump_json(indent=1).encode())
        return path

    def place(self, record: Record) -> Path:
        """The folder of a record."""
        return self.root.joinpath("records", *map(folder_name, (record.model.model, *record.task.task.split("/"))))

    def paths(self) -> list[Path]:
        """The files of all records, by name."""
        return sorted((self.root / "records").rglob("*.json"))

    def records(self, on_problem: Callable[[Path, ValueError], None] | None = None) -> Iterator[tuple[Path, Record]]:
        """All records, oldest first.

        Args:
            on_problem: is called for every file that is not a record or was changed, and reading continues.  Without
                it, the first such file raises ValueError.

        Raises:
            ValueError: names the file.
        """
        found = []
        with _without_collection():
            for path in self.paths():
                try:
                    found.append((path, read_record(path)))
                except ValueError as error:
                    if on_problem is None:
                        raise
                    on_problem(path, error)
        yield from sorted(found, key=lambda pair: pair[1].provenance.started_utc)

    def find(self, key: Mapping[str, Any]) -> tuple[Record, Path] | None:
        """The record of an evaluation and its file; None if the evaluation was not run.

        A file that is not a record is named in a warning, and the evaluation is run again.
        """
        folder = self.root / "records" / folder_name(str(key["model"]))
        for path in sorted(folder.rglob("*.json")):
            try:
                record = read_record(path)
            except ValueError as error:
                LOGGER.warning("%s", with_visible_controls(str(error)))
                continue
            if record.key() == key:
                return record, path
        return None


@contextlib.contextmanager
def _without_collection() -> Iterator[None]:
    """Pause the garbage collector, which would search all records read so far again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def read_record(path: Path) -> Record:
    """The record in a file, upgraded if an older version of sigma-bench wrote it.

    Raises:
        ValueError: the file is truncated or a broken link, has another schema, or its name is not the digest of its
            content.
    """
    try:
        raw = read_bounded(path, MAX_RECORD_BYTES)
        content = from_json(raw)  # it refuses more than 200 levels
        if not isinstance(content, dict):
            raise ValueError("not a JSON object")
        current = upgraded(content)
        record = Record.model_validate_json(raw if current is content else json.dumps(current))
        name = digest(content)[:ID_LENGTH]
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        what = first["msg"].removeprefix("Value error, ")[:200]
        raise ValueError(f"{path}: not a record of this version (key '{where[:200]}': {what})") from error
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise ValueError(f"{path}: not a record of this version ({str(error)[:200]})") from error
    if name != path.stem:
        raise ValueError(f"{path}: the record was changed after it was written (its content is that of {name}.json)")
    return record


def reduced_file(reference: PredictionsRef) -> str:
    """File name of reduced predictions in the store."""
    return reference.file.removesuffix(".npz") + ".reduced.npz"


def _arrays(path: Path, content: bytes) -> dict[str, np.ndarray]:
    """The arrays of an npz file; ValueError unless all hold numbers or text, within ``MAX_PREDICTION_BYTES``."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_PREDICTION_BYTES:
                raise ValueError(f"unpacked, it is larger than {MAX_PREDICTION_BYTES:,} bytes")
            return {entry.filename.removesuffix(".npy"): _array(archive, entry) for entry in archive.infolist()}
    except UNREADABLE_ARRAY as error:
        raise ValueError(f"{path}: not a file of predictions ({str(error)[:200]})") from error


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    """One array, read from its bytes, so that its header cannot claim more memory than the entry has."""
    with archive.open(entry) as stream:
        raw = stream.read(entry.file_size)  # at most the size that the archive states
    shape, is_fortran, dtype, start = _header(raw[: 12 + int.from_bytes(raw[8:10], "little")])
    if dtype.hasobject or dtype.kind not in "biufU":
        raise ValueError(f"the array '{entry.filename}' holds {dtype}, where numbers or text are expected")
    body = raw[start:]
    if math.prod(shape) * dtype.itemsize != len(body):
        raise ValueError(f"the array '{entry.filename}' has fewer or more bytes than its shape says")
    if not len(body):
        return np.zeros(shape, dtype)
    return np.frombuffer(body, dtype).reshape(shape, order="F" if is_fortran else "C").copy()


@lru_cache(maxsize=512)
def _header(start: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Shape, order and type of an array, and the number of bytes of its header; cached, since parsing it is slow."""
    stream = io.BytesIO(start)
    version = np.lib.format.read_magic(stream)
    if version not in _HEADERS:
        raise ValueError(f"an array has format version {version}")
    shape, is_fortran, dtype = _HEADERS[version](stream)
    return shape, is_fortran, dtype, stream.tell()


def _npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Arrays as an npz whose bytes depend on nothing but the arrays (zip dates are constant)."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()
