"""Selection: what a reader would take for the same thing is the same thing, or an error naming both files."""

from pathlib import Path
from typing import Any

import pytest

from sigma_bench.leaderboard.select import LONG_COLUMNS, select
from sigma_bench.records.record import Record
from sigma_bench.records.store import Store
from sigma_bench.specs.board import Board, BoardColumn, load_board
from tests.factories import make_record


def filed(*records: Record) -> list[tuple[Path, Record]]:
    return [(Path(f"records/{index}.json"), record) for index, record in enumerate(records)]


def refuse(*records: Record) -> str:
    with pytest.raises(ValueError) as caught:
        select(filed(*records))
    return str(caught.value)


def board_of(*columns: tuple[str, Any]) -> Board:
    shown = tuple(BoardColumn(task=task, metric=metric, label=task, group="all") for task, metric in columns)
    return Board(name="b", title="B", rows=(), columns=shown, published=None, note="")


def test_one_row_per_score_with_everything_a_table_asks_for() -> None:
    record = make_record(scores={"top1": 0.71, "mean_class_accuracy": 0.69}, failed_ids=("a",))
    table = select(filed(record))
    assert list(table.columns) == list(LONG_COLUMNS)
    assert list(table["metric"]) == ["top1", "mean_class_accuracy"]
    first = table.iloc[0]
    assert (first["value"], first["low"], first["high"]) == (0.71, 0.71 - 0.05, 0.71 + 0.05)
    assert (first["num_expected"], first["num_found"], first["num_scored"], first["num_failed"]) == (100, 100, 100, 1)
    assert (first["data_source"], first["path"], first["record_id"]) == ("mini", "records/0.json", record.id)


def test_nothing_gives_an_empty_table_with_the_same_columns() -> None:
    assert list(select([]).columns) == list(LONG_COLUMNS)


def test_record_id_is_the_file_name_in_a_store(tmp_path: Path) -> None:
    record = make_record()
    assert Store(tmp_path).add(record).stem == record.id


def test_only_the_boards_columns_count() -> None:
    records = filed(make_record(), make_record(task="ssv2/knn"), make_record(task="ssv2/knn", world="official"))
    table = select(records, board_of(("ucf101/knn", "top1")))
    assert list(table["task"]) == ["ucf101/knn"]


def test_a_board_of_the_mini_world_takes_no_other_record() -> None:
    """Its words, such as 'generated miniature datasets', would not be true of them."""
    records = filed(make_record(value=0.7), make_record("mini_videomae", world="official"))
    assert list(select(records, load_board("mini"))["value"]) == [0.7]


def test_seeds_stand_side_by_side() -> None:
    table = select(
        filed(
            make_record(value=0.70, seed=0),
            make_record(value=0.72, seed=1),
            make_record(value=0.74, seed=0, pretraining_seed=1),
        )
    )
    assert sorted(table["value"]) == [0.70, 0.72, 0.74]


def test_two_versions_of_a_protocol_in_one_column() -> None:
    message = refuse(make_record(), make_record("mini_videomae", overrides={"neighbours": 20}))
    assert "records/0.json" in message and "records/1.json" in message and "ucf101/knn" in message


def test_two_worlds_in_one_column() -> None:
    message = refuse(make_record(), make_record("mini_videomae", world="official"))
    assert "records/0.json and records/1.json" in message and "mini and official" in message


@pytest.mark.parametrize("pretraining_seed", [0, None])
def test_two_checkpoints_under_one_label_and_seed(pretraining_seed: int | None) -> None:
    message = refuse(
        make_record(pretraining_seed=pretraining_seed, checkpoint="a" * 64),
        make_record(task="ssv2/knn", pretraining_seed=pretraining_seed, checkpoint="b" * 64),
    )
    assert "records/0.json and records/1.json" in message and "mini_sigma_mlp" in message


def test_seeds_of_one_label_that_were_pretrained_otherwise() -> None:
    """Their mean would be the score of no model."""
    message = refuse(make_record(), make_record(pretraining_seed=1, pretraining_data=("ssv2",)))
    assert "not seeds of one model" in message and "pretraining data k400 and ssv2" in message


def test_a_second_measurement_with_the_same_value_counts_once_and_the_latest_stays() -> None:
    late = make_record(started="2025-03-01T00:00:00.000+00:00")
    early = make_record(started="2025-02-01T00:00:00.000+00:00")
    table = select(filed(late, early))
    assert list(table["record_id"]) == [late.id]


def test_a_second_measurement_with_another_value() -> None:
    message = refuse(make_record(value=0.7), make_record(value=0.71, started="2025-02-01T00:00:00.000+00:00"))
    assert "records/0.json and records/1.json" in message and "0.7 and 0.71" in message


@pytest.mark.parametrize("value", [0.7, 0.71])
def test_a_second_measurement_on_other_files(value: float) -> None:
    record = make_record(value=value, started="2025-02-01T00:00:00.000+00:00")
    test = record.data.splits["test"].model_copy(update={"manifest_sha256": "0" * 64})
    data = record.data.model_copy(update={"splits": record.data.splits | {"test": test}})
    message = refuse(make_record(value=0.7), record.model_copy(update={"data": data}))
    assert "records/0.json and records/1.json were scored on other files" in message


def test_a_record_without_a_test_split() -> None:
    record = make_record()
    train = record.data.splits["train"]
    data = record.data.model_copy(update={"splits": {"train": train, "validation": train}})
    assert "without a test split: train, validation" in refuse(record.model_copy(update={"data": data}))
