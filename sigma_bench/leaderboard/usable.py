"""Boards from the records of a folder that can be used; every other record is named with the reason."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from sigma_bench.leaderboard.fill import Filled, UnusableRecordsError, fill
from sigma_bench.records.record import Record
from sigma_bench.records.store import Store
from sigma_bench.specs.board import Board

NO_RECORDS = "no records here yet; run 'sigma-bench evaluate' or 'sigma-bench demo' first"


def require_records(folder: Path, num_used: int, num_left_out: int) -> None:
    """ValueError if a folder holds no record, or none that can be used."""
    if not num_used and num_left_out:
        raise ValueError(
            f"{folder}: no record here can be used; {num_left_out} were left out, see 'sigma-bench verify'"
        )
    if not num_used:
        raise ValueError(f"{folder}: {NO_RECORDS}")


def fill_usable(
    boards: Sequence[Board], store: Store, records: Sequence[tuple[Path, Record]]
) -> tuple[list[Filled], Mapping[Path, str]]:
    """Boards from records, and the reason for each record that is in none of them.

    A record is left out of all boards if its predictions are damaged or contradict it.
    """
    filled: list[Filled] = []
    reasons: dict[Path, str] = {}
    while len(filled) < len(boards):
        usable = [pair for pair in records if pair[0] not in reasons]
        try:
            filled.append(fill(boards[len(filled)], store, usable))
        except UnusableRecordsError as error:
            reasons |= {path: str(error) for path in error.paths}
            filled.clear()  # boards filled so far may hold these records
    return filled, reasons
