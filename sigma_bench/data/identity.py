"""The identity of samples: the digest of the content and, for a video, the decoder that reads it.

A file is read once, when an evaluation or a pretraining run first uses it, and again when its size or modification time
has changed.  The results are kept in the dataset's ledger.  The identity depends on the content alone, so a copy of a
data root has the same one; its files are read once more if their modification times differ.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import IO

from sigma_bench.data.decoder import DECODER_RULE, DecodeError, DecoderName
from sigma_bench.data.ledger import (
    Ledger,
    LedgerEntry,
    content_digest,
    fallback_path,
    medium_files,
    name_of,
    open_for_appending,
    state_of,
)
from sigma_bench.data.manifest import LedgerPlace, Manifest, Medium, Split, medium_of
from sigma_bench.data.video_facts import video_facts

NUM_THREADS = min(8, (os.cpu_count() or 1) + 2)
SETTLED_NS = 2 * 10**9
"""Age of a change, in ns, from which an entry is kept: a younger file could still change without a new time stamp."""


def identified(
    manifest: Manifest, used: Iterable[Split], report: Callable[[int, int], None] = lambda done, total: None
) -> Manifest:
    """The manifest, with content digests and decoders filled in for the samples of the used splits.

    Args:
        used: splits of the manifest, or parts of them.
        report: is called with the number of files read so far and the number of files to read.

    Raises:
        ValueError: the ledger is damaged, or a file cannot be read.
    """
    names = {split.name for split in used}
    todo = {name: split for name, split in manifest.splits.items() if split.name in names and not split.is_identified}
    if not todo:
        return manifest
    media = dict.fromkeys(medium_of(sample) for split in todo.values() for sample in split.samples)
    entries = _entries(list(media), manifest.ledger, report)

    def known(split: Split) -> Split:
        found = [(sample, entries.get(medium_of(sample))) for sample in split.samples]
        samples = (
            replace(sample, content=entry.sha256, decoder=entry.decoder) if entry else sample for sample, entry in found
        )
        return replace(split, samples=tuple(samples), is_identified=True)

    return replace(manifest, splits={**manifest.splits, **{name: known(split) for name, split in todo.items()}})


def chosen_decoder(medium: Medium) -> DecoderName | None:
    """The decoder whose frames are exact for a video, according to its packets.

    It is None for other media and for unreadable packets.
    """
    try:
        return video_facts(medium.path).decoder if medium.media == "video" else None
    except DecodeError:
        return None


def _entries(
    media: list[Medium], place: LedgerPlace | None, report: Callable[[int, int], None]
) -> dict[Medium, LedgerEntry]:
    """The entry of every medium that exists: from the ledger if it is up to date, otherwise by reading the medium."""
    ledger = Ledger.read(place.file, fallback_path(place.file)) if place else Ledger()
    entries: dict[Medium, LedgerEntry] = {}
    unknown = []
    for medium in media:
        entry = ledger.entry_of(medium, place.folder) if place else None
        if entry is not None and entry.sha256 is not None and entry.rule == DECODER_RULE:
            entries[medium] = entry
        else:
            unknown.append(medium)
    if not unknown:
        return entries
    with _appending(place) as stream, ThreadPoolExecutor(NUM_THREADS) as pool:
        for done, (medium, entry, is_settled) in enumerate(pool.map(lambda one: _read(one, place), unknown), start=1):
            if entry is not None:
                entries[medium] = entry
                if stream is not None and is_settled:
                    stream.write(entry.as_line())
            report(done, len(unknown))
    return entries


def _read(medium: Medium, place: LedgerPlace | None) -> tuple[Medium, LedgerEntry | None, bool]:
    """The medium, its entry (None if the file does not exist), and whether its last change is old enough to keep the
    entry."""
    try:
        size, stamp = state_of(medium)
        changed = max((file.stat().st_mtime_ns for file in medium_files(medium)), default=0)
        is_settled = time.time_ns() - changed > SETTLED_NS
        digest = content_digest(medium)
    except FileNotFoundError:
        return medium, None, False
    except OSError as error:
        raise ValueError(f"{medium.path}: cannot be read ({error.strerror})") from error
    name = name_of(medium.path, place.folder) if place else medium.path.as_posix()
    return medium, LedgerEntry(name, size, stamp, digest, decoder=chosen_decoder(medium), rule=DECODER_RULE), is_settled


@contextlib.contextmanager
def _appending(place: LedgerPlace | None) -> Iterator[IO[str] | None]:
    """The ledger to append to: beside the dataset, or in the user's cache folder if that cannot be written.

    It is None if neither can be written.
    """
    stream = _opened(place) if place else None
    with stream or contextlib.nullcontext():
        yield stream


def _opened(place: LedgerPlace) -> IO[str] | None:
    with contextlib.suppress(ValueError):
        return open_for_appending(place.file)
    fallback = fallback_path(place.file)
    with contextlib.suppress(ValueError, OSError):
        fallback.parent.mkdir(parents=True, exist_ok=True)
        return open_for_appending(fallback)
    return None
