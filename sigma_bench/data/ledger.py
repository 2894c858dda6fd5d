"""The ledger of a dataset's folder: what each file was found to be when it was last read from end to end.

One JSON line per file, appended as results come, so a stopped verification continues.  An entry counts as long as
size and time of its file stay what they were.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any, Self

from sigma_bench.data.decoder import DecoderName
from sigma_bench.data.manifest import Manifest, Sample


@dataclass(frozen=True)
class Entry:
    """One file, or one folder of frames with its masks."""

    path: str
    """Relative to the dataset's folder."""
    size: int
    """Bytes."""
    mtime_ns: int
    """Of the file, or the latest of a folder's and its masks'."""
    sha256: str | None = None
    """Of the content; equal ones are duplicates."""
    frames: int | None = None
    height: int | None = None
    width: int | None = None
    decoder: DecoderName | None = None
    """Who reads it exactly; None for what is no video."""
    problem: str | None = None
    """Why it is broken, in one sentence."""

    def as_line(self) -> str:
        """The JSON line, with its end."""
        return json.dumps({key: value for key, value in asdict(self).items() if value is not None}) + "\n"


class Ledger:
    """Entries by path."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._entries = {entry.path: entry for entry in entries}

    @classmethod
    def read(cls, path: Path) -> Self:
        """The ledger of a file; empty where there is none.  A last line that a killed run has torn is not counted.

        Raises:
            ValueError: any other line is not an entry.
        """
        if not path.exists():
            return cls()
        *lines, _torn = path.read_text(encoding="utf-8", errors="replace").split("\n")
        return cls(_parsed(path, number, line) for number, line in enumerate(lines, start=1))

    def add(self, entry: Entry) -> None:
        """Replace what was known of the entry's file."""
        self._entries[entry.path] = entry

    def entry_of(self, path: Path, mask_folder: Path | None, folder: Path) -> Entry | None:
        """What is known of a medium below the dataset's folder, if it still is what was looked at."""
        entry = self._entries.get(name_of(path, folder))
        is_known = entry is not None and path.exists() and (entry.size, entry.mtime_ns) == state_of(path, mask_folder)
        return entry if is_known else None

    def __len__(self) -> int:
        return len(self._entries)


def ledger_path(root: Path, home: str) -> Path:
    """Where the ledger of a dataset's folder lies below its data root."""
    return root / f"{home}.ledger.jsonl"


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
    return (path.relative_to(folder) if path.is_relative_to(folder) else path).as_posix()


def state_of(path: Path, mask_folder: Path | None) -> tuple[int, int]:
    """Size and time of a file; of a folder of frames the sum and the latest over its files and its masks."""
    if not path.is_dir():
        status = path.stat()
        return status.st_size, status.st_mtime_ns
    places = [path] if mask_folder is None or not mask_folder.is_dir() else [path, mask_folder]
    states = [child.stat() for place in places for child in place.iterdir()]
    return sum(state.st_size for state in states), max((state.st_mtime_ns for state in states), default=0)


def with_decoders(manifest: Manifest, ledger: Ledger, folder: Path) -> Manifest:
    """The manifest whose videos name the decoder that was found right when they were verified."""

    def known(sample: Sample) -> Sample:
        entry = ledger.entry_of(sample.path, None, folder) if sample.media == "video" else None
        return replace(sample, decoder=entry.decoder) if entry is not None else sample

    splits = {name: replace(s, samples=tuple(map(known, s.samples))) for name, s in manifest.splits.items()}
    return replace(manifest, splits=splits)


def _parsed(path: Path, number: int, line: str) -> Entry:
    try:
        content: Any = json.loads(line)
        return Entry(**content)
    except (json.JSONDecodeError, TypeError) as error:
        raise ValueError(
            f"{path}: line {number}: not an entry of a ledger; remove the file and verify again"
        ) from error
