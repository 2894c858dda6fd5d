"""The ledger of a dataset: one entry per file, so that a file is read again only after it has changed.

An entry is a JSON line.  Lines are appended as files are read, so an interrupted run continues where it stopped; of
several lines for one file, the last is valid.  A line is valid while the size and modification time of its file stay
the same, and may be removed at any time.  If the folder of the ledger cannot be written, lines go to the user's cache
folder.
"""

import hashlib
import json
import os
import stat
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Self

from pydantic import ConfigDict, TypeAdapter, ValidationError

from sigma_bench.data.data_files import visible
from sigma_bench.data.decoder import DecoderName
from sigma_bench.data.manifest import Medium


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One file, or one folder of frames with its masks."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)
    path: str
    """Relative to the dataset's folder."""
    size: int
    """Bytes."""
    stamp: int
    """Modification time in ns; for a folder of frames, a digest of the names, sizes and times of its files and
    masks."""
    sha256: str | None = None
    """Digest of the content; files with the same digest are duplicates."""
    frames: int | None = None
    """Number of frames; like height and width, None until the medium has been read from end to end."""
    height: int | None = None
    width: int | None = None
    decoder: DecoderName | None = None
    """The decoder that reads a video exactly; None for anything else."""
    problem: str | None = None
    """Reason in one sentence if the medium is missing or broken."""
    rule: int | None = None
    """Value of ``DECODER_RULE`` when the entry was written."""

    @property
    def is_inspected(self) -> bool:
        """Whether the medium was read from end to end."""
        return self.frames is not None or self.problem is not None

    def as_line(self) -> str:
        """The entry as a JSON line with a line end."""
        return json.dumps({key: value for key, value in asdict(self).items() if value is not None}) + "\n"


_ENTRY = TypeAdapter(LedgerEntry)


class Ledger:
    """The entries of a dataset by path."""

    def __init__(self, entries: Iterable[LedgerEntry] = ()) -> None:
        self._entries = {entry.path: entry for entry in entries}

    @classmethod
    def read(cls, *paths: Path) -> Self:
        """The ledger in one or several files; an entry in a later file replaces one in an earlier file.

        An incomplete last line, which an interrupted run leaves, is skipped.

        Raises:
            ValueError: a complete line is not an entry.
        """
        return cls(entry for path in paths if path.exists() for entry in _entries(path))

    def add(self, entry: LedgerEntry) -> None:
        """Add an entry; it replaces an earlier one of the same file."""
        self._entries[entry.path] = entry

    def entry_of(self, medium: Medium, folder: Path) -> LedgerEntry | None:
        """The entry of a medium below the dataset's folder; None if it is missing, has no entry or has changed."""
        entry = self._entries.get(name_of(medium.path, folder))
        if entry is None:
            return None
        try:
            return entry if (entry.size, entry.stamp) == state_of(medium) else None
        except FileNotFoundError:
            return None

    def __len__(self) -> int:
        return len(self._entries)


def ledger_path(root: Path, home: str) -> Path:
    """Path of the ledger of a dataset's folder, below the data root."""
    return root / f"{home}.ledger.jsonl"


def fallback_path(path: Path) -> Path:
    """Path below the user's cache folder that replaces a ledger whose own folder cannot be written."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:16]
    return cache / "sigma-bench" / "ledgers" / f"{name}.ledger.jsonl"


def open_for_appending(path: Path) -> IO[str]:
    """The ledger, opened to append entries; an incomplete last line is removed first.

    Raises:
        ValueError: the file cannot be written.
    """
    try:
        content = path.read_bytes() if path.exists() else b""
        complete = content.rfind(b"\n") + 1
        if complete < len(content):
            with path.open("r+b") as stream:
                stream.truncate(complete)
        return path.open("a", encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{path}: cannot be written ({error.strerror}); name another place with --ledger") from error


def name_of(path: Path, folder: Path) -> str:
    """Path of a file relative to the dataset's folder, as the ledger stores it."""
    name, start = path.as_posix(), f"{folder.as_posix()}/"
    return name.removeprefix(start)


def state_of(medium: Medium) -> tuple[int, int]:
    """Size and stamp of a medium, by which a change is noticed.

    Raises:
        FileNotFoundError: the medium does not exist.
        ValueError: it is a pipe, a socket or a device, from which reading may never end.
    """
    status = medium.path.stat()
    if not stat.S_ISDIR(status.st_mode):
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"{medium.path}: neither a file nor a folder but a pipe, socket or device; remove it")
        return status.st_size, status.st_mtime_ns
    states = [(child.name, child.stat()) for child in medium_files(medium)]
    text = json.dumps([(name, state.st_size, state.st_mtime_ns) for name, state in states])
    stamp = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
    return sum(state.st_size for _, state in states), stamp


def medium_files(medium: Medium) -> list[Path]:
    """The files that a medium consists of, by name: one file, or the frames and then the masks of a folder."""
    if not medium.path.is_dir():
        return [medium.path]
    masks = medium.mask_folder
    places = [medium.path] if masks is None or not masks.is_dir() else [medium.path, masks]
    return [child for place in places for child in visible(place) if child.is_file()]


def content_digest(medium: Medium) -> str:
    """SHA-256 of the bytes of a file, or of the names and bytes of its frames and masks."""
    if not medium.path.is_dir():
        return _file_digest(medium.path)
    digest = hashlib.sha256()
    for child in medium_files(medium):
        digest.update(f"{child.name}\n{_file_digest(child)}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _file_digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _entries(path: Path) -> Iterable[LedgerEntry]:
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if line.endswith(b"\n"):
                yield _parsed(path, number, line)


def _parsed(path: Path, number: int, line: bytes) -> LedgerEntry:
    try:
        return _ENTRY.validate_json(line)
    except ValidationError as error:
        raise ValueError(
            f"{path}: line {number}: not an entry of a ledger; remove the file and verify again"
        ) from error
