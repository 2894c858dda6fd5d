"""Unusable records: a command names each one, continues without it, and ends with exit code 1."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from sigma_bench.cli.console import err

if TYPE_CHECKING:
    from sigma_bench.leaderboard.fill import Filled
    from sigma_bench.records.record import Record
    from sigma_bench.records.store import Store
    from sigma_bench.specs.board import Board

NO_RECORDS = "no records here yet; run 'sigma-bench evaluate' or 'sigma-bench demo' first"


class LeftOut:
    """Collects the record files that a command leaves out."""

    def __init__(self) -> None:
        self.paths: set[Path] = set()
        self._num_files = 0

    def records(self, store: "Store") -> "list[tuple[Path, Record]]":
        """The usable records of a folder.

        Raises:
            ValueError: there is no record, or none can be used.
        """
        self._num_files += len(store.paths())
        records = list(store.records(on_problem=self._name))
        if not records and self.paths:
            raise ValueError(
                f"{store.root}: no record here can be used; {len(self.paths)} were left out, see 'sigma-bench verify'"
            )
        if not records:
            raise ValueError(f"{store.root}: {NO_RECORDS}")
        return records

    def fill(self, boards: "Sequence[Board]", store: "Store", records: "list[tuple[Path, Record]]") -> "list[Filled]":
        """Boards from records; a record whose predictions are damaged or contradict it is left out."""
        from sigma_bench.leaderboard.fill import UnusableRecordsError, fill

        filled: list[Filled] = []
        while len(filled) < len(boards):
            usable = [pair for pair in records if pair[0] not in self.paths]
            try:
                filled.append(fill(boards[len(filled)], store, usable))
            except UnusableRecordsError as error:
                for path in error.paths:
                    self._name(path, error)
                filled.clear()  # boards filled so far may hold these records
        return filled

    def end(self) -> None:
        """Exit with code 1 if records were left out; a command calls this last."""
        if self.paths:
            err.print(f"{len(self.paths)} of {self._num_files} records were left out; see 'sigma-bench verify'")
            raise typer.Exit(1)

    def _name(self, path: Path, error: ValueError) -> None:
        if path not in self.paths:
            err.print(f"left out: {error}", soft_wrap=True, markup=False)
        self.paths.add(path)
