"""The ledger of a dataset: what is known of every file, so that it is read again only after it has changed.

One JSON line per file, appended as results come, so that a stopped run continues; the last line of a file counts.  A
line is valid as long as the size and the time of change of its file stay the same, and may be removed at any time.
Where the ledger's own folder cannot be written, lines go to the user's cache folder.
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

from sigma_bench.data.decoder import DecoderName
from sigma_bench.data.files import visible
from sigma_bench.data.manifest import Medium


@dataclass(frozen=True)
class Entry:
    """One file, or one folder of frames with its masks."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)
    path: str
    """Relative to the dataset's folder."""
    size: int
    """Bytes."""
    stamp: int
    """Time of change in ns; of a folder of frames a digest of the names, sizes and times of its files and masks."""
    sha256: str | None = None
    """Of the content; equal ones are duplicates."""
    frames: int | None = None
    """Known once the medium has been read from end to end, like height and width."""
    height: int | None = None
    width: int | None = None
    decoder: DecoderName | None = None
    """The decoder that reads a video exactly; None for anything else."""
    problem: str | None = None
    """Why it is broken, in one sentence."""
    rule: int | None = None
    """Number of the rule for choosing decoders that was in force, ``DECODER_RULE``."""

    @property
    def is_inspected(self) -> bool:
        """Whether the medium was read from end to end."""
        return self.frames is not None or self.problem is not None

    def as_line(self) -> str:
        """The JSON line, with its end."""
        return json.dumps({key: value for key, value in asdict(self).items() if value is not None}) + "\n"


_ENTRY = TypeAdapter(Entry)


class Ledger:
    """Entries by path."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._entries = {entry.path: entry for entry in entries}

    @classmethod
    def read(cls, *paths: Path) -> Self:
        """The ledger of one or several files, the later ones counting more; a last line that is torn is left out.

        Raises:
            ValueError: any other line is not an entry.
        """
        return cls(entry for path in paths if path.exists() for entry in _entries(path))

    def add(self, entry: Entry) -> None:
        """Replace what was known of the entry's file."""
        self._entries[entry.path] = entry

    def entry_of(self, medium: Medium, folder: Path) -> Entry | None:
        """What is known of a medium below the dataset's folder; None where it is missing, unknown or has changed."""
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
    """Where the ledger of a dataset's folder lies below its data root."""
    return root / f"{home}.ledger.jsonl"


def fallback_path(path: Path) -> Path:
    """The file below the user's cache folder that takes the lines of a ledger whose own folder cannot be written."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:16]
    return cache / "sigma-bench" / "ledgers" / f"{name}.ledger.jsonl"


def open_for_appending(path: Path) -> IO[str]:
    """The file to append entries to, after a torn last line was cut off.

    Raises:
        ValueError: it cannot be written.
    """
    try:
        content = path.read_bytes() if path.exists() else b""
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            with path.open("r+b") as stream:
                stream.truncate(whole)
        return path.open("a", encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{path}: cannot be written ({error.strerror}); name another place with --ledger") from error


def name_of(path: Path, folder: Path) -> str:
    """Path of a file as a ledger writes it."""
    name, start = path.as_posix(), f"{folder.as_posix()}/"
    return name.removeprefix(start)


def state_of(medium: Medium) -> tuple[int, int]:
    """Size and stamp of a medium, which change with it.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is a pipe, a socket or a device, which may never end.
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
    whole = hashlib.sha256()
    for child in medium_files(medium):
        whole.update(f"{child.name}\n{_file_digest(child)}\n".encode(errors="surrogateescape"))
    return whole.hexdigest()


def _file_digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _entries(path: Path) -> Iterable[Entry]:
    *lines, _torn = path.read_text(encoding="utf-8", errors="replace").split("\n")
    for number, line in enumerate(lines, start=1):
        yield _parsed(path, number, line)


def _parsed(path: Path, number: int, line: str) -> Entry:
    try:
        return _ENTRY.validate_json(line.encode(errors="surrogatepass"))
    except ValidationError as error:
        raise ValueError(
            f"{path}: line {number}: not an entry of a ledger; remove the file and verify again"
        ) from error
