"""``export``: from records to a folder that can be attached to a paper."""

from collections.abc import Iterable
from pathlib import Path

from sigma_bench.api.arguments import names_of, path_of
from sigma_bench.api.records import Records, fill_boards, opened
from sigma_bench.leaderboard.bundle import write_bundle
from sigma_bench.leaderboard.training_figure import training_histories
from sigma_bench.specs.board import load_board


def export(
    records: Records | str | Path,
    folder: str | Path,
    boards: str | Iterable[str] = (),
    *,
    by_dataset: bool = False,
    with_predictions: bool = True,
) -> tuple[list[str], list[str]]:
    """Write tables, figures, records and a manifest with the digest of every file.

    Args:
        records: records, or their folder.
        folder: folder that does not exist or is empty.
        boards: names of boards; by default those of ``Records.boards``.
        by_dataset: as in ``Records.boards``.
        with_predictions: whether predictions are copied too, so that the folder can be verified by itself.

    Returns:
        The names of the boards, and the files relative to the folder.

    Raises:
        ValueError: there is no complete record, the folder is not empty, or predictions are missing.
    """
    records, names, folder = opened(records), names_of("boards", boards), path_of("folder", folder)
    if names and by_dataset:
        raise ValueError("--by-dataset makes the boards from the records; leave it out, or name no board")
    found = fill_boards(list(map(load_board, names)), records) if names else records.boards(by_dataset=by_dataset)
    filled = [one.filled for one in found if one.filled is not None]
    histories = training_histories(records.folder)
    files = write_bundle(folder, filled, records.store, histories, with_predictions=with_predictions)
    return [one.table.name for one in filled], files
