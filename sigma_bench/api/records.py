"""``Records``: the records of a folder as a sequence, a frame, tables and comparisons."""

import copy
import gc
import logging
import multiprocessing
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, overload

import pandas as pd

from sigma_bench.api.arguments import mapping_of, name_of, names_of, path_of, whole_number
from sigma_bench.api.boards import Leaderboard
from sigma_bench.leaderboard.comparison import ModelComparison
from sigma_bench.leaderboard.fill import NO_RECORDS, fill_published, fill_usable, predictions_of, require_records
from sigma_bench.leaderboard.html_table import frame_html
from sigma_bench.leaderboard.model_comparison import compare as compare_models
from sigma_bench.leaderboard.record_boards import board_of_all, boards_of
from sigma_bench.leaderboard.select import concerns, partial_line, scores_of, with_unknown_epochs
from sigma_bench.leaderboard.settings import chosen
from sigma_bench.records.record import Record
from sigma_bench.records.store import Store, read_record
from sigma_bench.records.verification import Verification, verify_store
from sigma_bench.specs.board import Board, load_board

FRAME_COLUMNS = (
    *("model", "task", "metric", "value", "low", "high", "seed", "pretraining_seed"),
    *("spread", "level", "num_units", "higher_is_better"),
    *("dataset", "protocol", "asks", "data_source", "num_scored", "num_failed"),
    *("family", "num_parameters", "pretraining_data", "pretraining_epochs"),
    *("record_id", "path", "fingerprint", "manifest", "started_utc", "limit"),
)
"""Columns of ``Records.frame``."""
MAX_SAMPLES = 1_000_000
RECORDS_PER_WORKER = 20
"""Least number of records per process, below which a process takes longer to start than to work."""
logger = logging.getLogger(__name__)
_SHOWN = ("model", "task", "metric", "value", "low", "high", "seed")


class LeftOutWarning(UserWarning):
    """A record that cannot be used and is left out of tables and comparisons."""


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Context without garbage collection, for reading thousands of records: they are many objects and no cycles."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class Records(Sequence[Record]):
    """The records of a folder, oldest first.

    Files that are not records or were changed are named in a ``LeftOutWarning`` and in ``left_out``.  The same holds
    for records whose predictions are damaged or contradict them, once a table or comparison needs the predictions.

    Args:
        folder: folder with records and predictions, as ``evaluate`` and ``sigma-bench evaluate`` write it.
        files: files of records below the folder; all of them by default.

    Raises:
        ValueError: the folder holds no record that can be used, or one of ``files`` is not a record.
    """

    def __init__(self, folder: str | Path, *, files: Iterable[str | Path] | None = None) -> None:
        self.folder = path_of("the folder of records", folder)
        self.store = Store(self.folder)
        self.left_out: dict[Path, str] = {}
        """The reason for each file that is not used."""
        if files is not None:
            self._filed = [(path, read_record(path)) for path in map(Path, names_of("files", files))]
            return
        with _without_garbage_collection():
            self._filed = list(self.store.records(on_problem=lambda path, error: self.leave_out(path, str(error))))
        require_records(self.folder, len(self._filed), len(self.left_out))

    @property
    def filed(self) -> list[tuple[Path, Record]]:
        """File and record of every record that can be used."""
        if not self.left_out:
            return list(self._filed)
        return [(path, record) for path, record in self._filed if path not in self.left_out]

    def leave_out(self, path: Path, reason: str) -> None:
        """Leave a record out from now on, with a warning the first time."""
        if path not in self.left_out:
            self.left_out[path] = reason
            warnings.warn(reason, LeftOutWarning, stacklevel=3)

    def __len__(self) -> int:
        return len(self.filed)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> list[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | list[Record]:
        return [record for _, record in self.filed][index]

    def __iter__(self) -> Iterator[Record]:
        return iter([record for _, record in self.filed])

    def frame(self) -> pd.DataFrame:
        """One row per score, in the order of the records.

        Columns: ``model``, ``task``, ``metric``; ``value`` with the ends ``low`` and ``high`` of its bootstrap
        interval, as fractions; ``seed`` of the evaluation and ``pretraining_seed``; ``spread`` (standard deviation over
        the repetitions of the protocol), ``level`` of the interval, ``num_units`` (test units that are resampled) and
        ``higher_is_better``; ``dataset``, ``protocol``, ``asks`` (what the task depends on), ``data_source`` (official,
        mini, user or transcoded), ``num_scored`` and ``num_failed`` samples; ``family``, ``num_parameters``,
        ``pretraining_data`` and ``pretraining_epochs`` of the model (missing if the epochs are unknown);
        ``record_id``, ``path``, ``fingerprint`` of the task, ``manifest`` (digest of the scored split),
        ``started_utc``, and ``limit``, the number or fraction of samples of each split that a partial record was
        limited to (missing for complete records).
        """
        limits = {record.id: record.data.limit for record in self}
        frame = with_unknown_epochs(scores_of(self.filed))
        return frame.assign(limit=pd.to_numeric(frame["record_id"].map(limits)))[list(FRAME_COLUMNS)]

    def where(self, settings: Mapping[str, Any]) -> "Records":
        """The records with these settings, such as ``{"image_size": 112}`` or ``{"neighbours": 5}``.

        Settings are those of the model (``num_frames``, ``image_size``, ``checkpoint``, ...), of the protocol (as in
        the ``overrides`` of ``evaluate``, nested keys as ``clip.sampling.sampler``), ``protocol``, ``folds``,
        ``data_source`` and ``seed``.  Digests may be given by their first characters.

        Raises:
            ValueError: a setting does not exist, or no record has its value.
        """
        kept = copy.copy(self)
        kept._filed = chosen(self.filed, mapping_of("where", settings))
        return kept

    def table(self, board: str | Path | None = None) -> Leaderboard:
        """A board filled with these records.

        Args:
            board: name of a board or its file; None for a column per task, with the first metric of each.

        Raises:
            ValueError: there is no such board, or the records do not belong into one table; names their files.
        """
        if board is not None:
            return fill_boards([load_board(name_of("board", board))], self)[0]
        return fill_boards([board_of_all(self.filed, name="records", title="All records")], self)[0]

    def boards(self, *, by_dataset: bool = False) -> list[Leaderboard]:
        """Every declared board that a record fits, and one board per dataset for the records that fit none.

        Boards per dataset have a column per task, with the first metric of each; each holds records of one data source
        and no published numbers.

        Args:
            by_dataset: whether all records are shown on boards per dataset, and none on declared boards.

        Raises:
            ValueError: there is no complete record, or the records do not belong into one table; names their files.
        """
        found = boards_of(self.filed, by_dataset=by_dataset)
        unplaced = [(path, record) for path, record in self.filed if not any(concerns(record, one) for one in found)]
        for line in partial_line(unplaced, "every board"):
            logger.warning("%s", line)
        return fill_boards(found, self)

    def compare(
        self, first: str, second: str, *, where: Mapping[str, Any] | None = None, samples: int = 5
    ) -> ModelComparison:
        """Compare two models on all evaluations that both have, by a paired bootstrap over test units.

        Args:
            first, second: names of models, as in ``frame``; or as in a table, with the settings of a model that has
                several: ``mine (image_size=112)``.
            where: settings, as in ``where``, that choose among the records of a model with several values of them.
            samples: number of samples to list per task, those on which the two differ most.

        Raises:
            ValueError: a model has no records or stands for several encoders, or there is nothing to compare.
        """
        first, second = name_of("the first model", first), name_of("the second model", second)
        samples = whole_number("samples", samples, least=0, most=MAX_SAMPLES)
        load, settings = predictions_of(self.store), mapping_of("where", where)
        return compare_models(self.filed, first, second, load, where=settings, num_samples=samples)

    def verify(self) -> Verification:
        """Compute every score of the folder again from its predictions, and compare every digest.

        Files in the folder that are not among these records are verified too.
        """
        return verify_folder(self.folder)

    def __repr__(self) -> str:
        models, tasks = ({getter(record) for record in self} for getter in (_model, _task))
        num_partial = sum(record.is_partial for record in self)
        partial = f" ({num_partial} partial)" if num_partial else ""
        return f"<{len(self)} records{partial} of {len(models)} models on {len(tasks)} tasks in {self.folder}>"

    def _repr_html_(self) -> str:
        return frame_html(self.frame()[list(_SHOWN)], repr(self).strip("<>"))


def opened(records: Records | str | Path) -> Records:
    """The given records, or those of a folder.

    Raises:
        ValueError: the argument is neither, or as ``Records``.
    """
    if not isinstance(records, Records | str | Path):
        raise ValueError(f"the records are an object of type {type(records).__name__}; give Records or their folder")
    return records if isinstance(records, Records) else Records(records)


def compare(
    records: Records | str | Path,
    first: str,
    second: str,
    *,
    where: Mapping[str, Any] | None = None,
    samples: int = 5,
) -> ModelComparison:
    """As ``Records.compare``, for records or the folder that holds them."""
    return opened(records).compare(first, second, where=where, samples=samples)


def board(name: str | Path | None = None, records: Records | str | Path | None = None) -> Leaderboard:
    """A board filled with records, or with published numbers only.

    Args:
        name: name of a board, or path of a file that ends in .yaml; None for all records in one table.
        records: records, or their folder; None for published numbers only.

    Raises:
        ValueError: there is no such board, there are no records, or the records do not belong into one table.
    """
    if records is None:
        if name is None:
            raise ValueError("name is None and there are no records; give a board, such as 'frozen', or records")
        return Leaderboard(fill_published(load_board(name_of("board", name))), None, None)
    return opened(records).table(name)


def boards(records: Records | str | Path, *, by_dataset: bool = False) -> list[Leaderboard]:
    """As ``Records.boards``, for records or the folder that holds them."""
    return opened(records).boards(by_dataset=by_dataset)


def fill_boards(boards: Sequence[Board], records: Records) -> list[Leaderboard]:
    """Several boards from the same records; a record that one of them cannot use is left out of all.

    Raises:
        ValueError: as ``board``.
    """
    filled, reasons = fill_usable(boards, records.store, records.filed)
    for path, reason in reasons.items():
        records.leave_out(path, reason)
    return [Leaderboard(one.table, one, records.store) for one in filled]


def verify_folder(
    folder: str | Path, report: Callable[[int, int], None] = lambda done, total: None, *, num_workers: int = 1
) -> Verification:
    """Compute every score of a folder again from its predictions, and compare every digest.

    Args:
        num_workers: greatest number of processes; with several, a script needs ``if __name__ == "__main__":``.
        report: is called with the number of verified files and the number of all files.

    Raises:
        ValueError: there is no record.
    """
    store = Store(path_of("folder", folder))
    num_files = len(store.paths())
    if not num_files:
        raise ValueError(f"{folder}: {NO_RECORDS}")
    num_workers = min(num_workers, max(1, num_files // RECORDS_PER_WORKER))
    if num_workers == 1:
        return verify_store(store, report)
    with ProcessPoolExecutor(num_workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        return verify_store(store, report, pool.map)


def _model(record: Record) -> str:
    return record.model.model


def _task(record: Record) -> str:
    return record.task.task
