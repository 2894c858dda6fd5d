"""Verifying a dataset: every medium of its manifest is read once, in processes that may crash or hang.

Results go into the ledger as they come, so a run that was stopped, however, continues where it was.
"""

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import Future, as_completed
from dataclasses import dataclass
from pathlib import Path

from pebble import ProcessExpired, ProcessPool

from sigma_bench.data.decoder import DECODER_RULE
from sigma_bench.data.ledger import Entry, Ledger, name_of, open_for_appending, state_of
from sigma_bench.data.manifest import Manifest, Medium, Split, medium_of
from sigma_bench.data.media_inspection import inspect

SECONDS_PER_MEDIUM = 300
TASKS_PER_PROCESS = 1000
"""After which a process is replaced, so that what decoders lose does not add up."""


@dataclass(frozen=True)
class SplitReport:
    """What verification says about one split."""

    name: str
    expected: int
    listed: int
    missing: tuple[str, ...]
    """Sample ids whose file is not there."""
    broken: dict[str, str]
    """Of the others: reason by sample id."""
    duplicates: tuple[tuple[str, str], ...]
    """Sample ids of this split whose content is that of an earlier sample, named ``split/id``."""
    decoders: dict[str, int]
    """How many videos each reads."""

    @property
    def is_clean(self) -> bool:
        """Whether everything that is expected is there and sound; duplicates are the list's own affair."""
        return self.expected == self.found and not self.broken

    @property
    def found(self) -> int:
        """How many of those listed are there."""
        return self.listed - len(self.missing)


def verify(manifest: Manifest, folder: Path, ledger_file: Path, *, num_workers: int) -> Iterator[tuple[int, int]]:
    """Inspect what the ledger does not know yet, yielding how many media are done and how many there are.

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


def _is_inspected(entry: Entry | None) -> bool:
    """Whether a medium was read from end to end under the current ``DECODER_RULE``."""
    return entry is not None and entry.is_inspected and entry.rule == DECODER_RULE


def reports(manifest: Manifest, folder: Path, ledger: Ledger) -> list[SplitReport]:
    """What a ledger says about every split; media it does not know are not counted as broken."""
    first_of: dict[tuple[str, int], str] = {}
    return [_report(split, folder, ledger, first_of) for split in manifest.splits.values()]


def _inspected(todo: list[Medium], folder: Path, num_workers: int) -> Iterator[Entry]:
    # Neither forked (decoders hold threads) nor started afresh (seconds of imports): from a server that has imported.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["sigma_bench.data.media_inspection"])
    with ProcessPool(max_workers=num_workers, max_tasks=TASKS_PER_PROCESS, context=context) as pool:
        try:
            jobs: dict[Future[Entry], Medium] = {
                pool.schedule(inspect, args=(medium, folder), timeout=SECONDS_PER_MEDIUM): medium for medium in todo
            }
            for job in as_completed(jobs):
                try:
                    yield job.result()
                except ProcessExpired as crash:
                    yield _failed(jobs[job], folder, f"the decoder crashed (exit code {crash.exitcode})")
                except TimeoutError:
                    yield _failed(jobs[job], folder, f"reading it took more than {SECONDS_PER_MEDIUM} seconds")
        except (KeyboardInterrupt, GeneratorExit):
            pool.stop()
            raise


def _failed(medium: Medium, folder: Path, problem: str) -> Entry:
    return Entry(name_of(medium.path, folder), *state_of(medium), problem=problem)


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
