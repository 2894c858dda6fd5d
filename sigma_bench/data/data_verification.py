"""Verification of a dataset: every medium of its manifest is read once, in processes that may crash or hang.

Results are written to the ledger as they are found, so an interrupted run continues where it stopped.
"""

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import Future, as_completed
from dataclasses import dataclass
from pathlib import Path

from pebble import ProcessExpired, ProcessPool

from sigma_bench.data.decoder import DECODER_RULE
from sigma_bench.data.ledger import Ledger, LedgerEntry, name_of, open_for_appending, state_of
from sigma_bench.data.manifest import Manifest, Medium, Split, medium_of
from sigma_bench.data.media_inspection import inspect

SECONDS_PER_MEDIUM = 300
"""Time limit for reading one medium."""
TASKS_PER_PROCESS = 1000
"""Number of media after which a process is replaced, so that memory leaks of decoders do not add up."""


@dataclass(frozen=True)
class SplitReport:
    """The results of verification for one split."""

    name: str
    expected: int
    """Number of samples that the split must have."""
    listed: int
    """Number of samples in the list."""
    missing: tuple[str, ...]
    """Ids of the samples whose file does not exist."""
    broken: dict[str, str]
    """Reason by id of the samples whose file cannot be read."""
    duplicates: tuple[tuple[str, str], ...]
    """Ids of samples with the content of an earlier sample, each with the ``split/id`` of that sample."""
    decoders: dict[str, int]
    """Number of videos by the decoder that reads them."""

    @property
    def is_clean(self) -> bool:
        """Whether all expected samples exist and can be read; duplicates are allowed."""
        return self.expected == self.found and not self.broken

    @property
    def found(self) -> int:
        """Number of listed samples whose file exists."""
        return self.listed - len(self.missing)


def verify(manifest: Manifest, folder: Path, ledger_file: Path, *, num_workers: int) -> Iterator[tuple[int, int]]:
    """Inspect the media without a valid entry in the ledger, and yield the numbers of media done and of all media.

    Raises:
        ValueError: the ledger cannot be read or written.
    """
    ledger = Ledger.read(ledger_file)
    media = {medium_of(sample): None for split in manifest.splits.values() for sample in split.samples}
    present = [medium for medium in media if medium.path.exists()]
    todo = [medium for medium in present if not _is_inspected(ledger.entry_of(medium, folder))]
    done = len(present) - len(todo)
    yield done, len(present)
    with open_for_appending(ledger_file) as stream:
        for entry in _inspected(todo, folder, num_workers):
            stream.write(entry.as_line())
            stream.flush()
            done += 1
            yield done, len(present)


def _is_inspected(entry: LedgerEntry | None) -> bool:
    """Whether a medium was read from end to end under the current ``DECODER_RULE``."""
    return entry is not None and entry.is_inspected and entry.rule == DECODER_RULE


def reports(manifest: Manifest, folder: Path, ledger: Ledger) -> list[SplitReport]:
    """Reports on every split from the entries of a ledger; media without an entry do not count as broken."""
    first_of: dict[tuple[str, int], str] = {}
    return [_report(split, folder, ledger, first_of) for split in manifest.splits.values()]


def _inspected(todo: list[Medium], folder: Path, num_workers: int) -> Iterator[LedgerEntry]:
    # Decoders have threads, which rules out fork, and spawn takes seconds for imports; the fork server imports once.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["sigma_bench.data.media_inspection"])
    with ProcessPool(max_workers=num_workers, max_tasks=TASKS_PER_PROCESS, context=context) as pool:
        try:
            medium_of_future: dict[Future[LedgerEntry], Medium] = {
                pool.schedule(inspect, args=(medium, folder), timeout=SECONDS_PER_MEDIUM): medium for medium in todo
            }
            for future in as_completed(medium_of_future):
                medium = medium_of_future[future]
                try:
                    yield future.result()
                except ProcessExpired as crash:
                    yield _failed(medium, folder, f"the decoder crashed (exit code {crash.exitcode})")
                except TimeoutError:
                    yield _failed(medium, folder, f"reading it took more than {SECONDS_PER_MEDIUM} seconds")
        except (KeyboardInterrupt, GeneratorExit):
            pool.stop()
            raise


def _failed(medium: Medium, folder: Path, problem: str) -> LedgerEntry:
    return LedgerEntry(name_of(medium.path, folder), *state_of(medium), problem=problem)


def _report(split: Split, folder: Path, ledger: Ledger, first_of: dict[tuple[str, int], str]) -> SplitReport:
    missing = set(split.missing)
    broken: dict[str, str] = {}
    duplicates: list[tuple[str, str]] = []
    decoders: dict[str, int] = {}
    for sample in split.samples:
        entry = None if sample in missing else ledger.entry_of(medium_of(sample), folder)
        if entry is None or not _is_inspected(entry):
            continue
        if entry.problem is not None:
            broken[sample.id] = entry.problem
        if entry.decoder is not None:
            decoders[entry.decoder] = decoders.get(entry.decoder, 0) + 1
        if entry.sha256 is not None:
            here = f"{split.name}/{sample.id}"
            first = first_of.setdefault((entry.sha256, sample.position), here)
            if first != here:
                duplicates.append((sample.id, first))
    return SplitReport(
        name=split.name,
        expected=split.expected,
        listed=len(split.samples),
        missing=tuple(sample.id for sample in split.missing),
        broken=broken,
        duplicates=tuple(duplicates),
        decoders=dict(sorted(decoders.items())),
    )
