"""``export``: from records to a folder that can be attached to a paper."""

from collections.abc import Sequence
from pathlib import Path

from sigma_bench.api.records import Records, fill_boards
from sigma_bench.leaderboard.bundle import write_bundle
from sigma_bench.leaderboard.select import boards_for
from sigma_bench.leaderboard.training_figure import training_histories
from sigma_bench.specs.board import load_board


def export(
    records: Records, folder: str | Path, boards: Sequence[str] = (), *, with_predictions: bool = True
) -> tuple[list[str], list[str]]:
    """Write tables, figures, records and a manifest with the digest of every file.

    Args:
        folder: folder that does not exist or is empty.
        boards: names of boards; by default all boards that a record fits.
        with_predictions: whether predictions are copied too, so that the folder can be verified by itself.

    Returns:
        The names of the boards, and the files relative to the folder.

    Raises:
        ValueError: no board fits, the folder is not empty, or predictions are missing.
    """
    specs = [load_board(name) for name in boards] or boards_for(records.filed)
    if not specs:
        raise ValueError(f"{records.folder}: no board has a column for these records; see results/boards")
    filled = [one.filled for one in fill_boards(specs, records) if one.filled is not None]
    histories = training_histories(records.folder)
    files = write_bundle(Path(folder), filled, records.store, histories, with_predictions=with_predictions)
    return [spec.name for spec in specs], files
