"""Aggregation: pooled seeds, tie sets, coverage and published rows."""

from pathlib import Path
from typing import Any

import pytest

from sigma_bench.leaderboard.aggregate import aggregate
from sigma_bench.leaderboard.board_table import BoardTable, Cell
from sigma_bench.leaderboard.select import select
from sigma_bench.records.published import PublishedScore
from sigma_bench.records.record import Record
from sigma_bench.specs.board import Board
from sigma_bench.specs.strict import parse_spec
from tests.factories import make_record

FROZEN = {"table": "frozen", "task": "linear_probe", "dataset": "ucf101", "metric": "top1"}


def board(published: dict[str, Any] | None = None, rows: tuple[str, ...] = ()) -> Board:
    columns: list[dict[str, Any]] = [
        {"task": "ucf101/knn", "metric": "top1", "label": "kNN", "group": "UCF101"},
        {"task": "ucf101/linear", "metric": "top1", "label": "linear", "group": "UCF101"},
    ]
    if published:
        columns[1]["published"] = FROZEN
    content = {"name": "b", "title": "B", "rows": rows, "columns": columns, "published": published, "note": ""}
    return parse_spec(Board, content, where="test")


def published_rows(methods: tuple[str, ...] = ("SIGMA-MLP",), **where: tuple[str, ...]) -> dict[str, Any]:
    section = {"title": "", "where": {"method": methods, **where}}
    identity = ("method", "backbone")
    return {"file": "paper", "identity": identity, "sections": (section,), "within_points": 1.0, "note": "published"}


def printed(value: float, pretrain_data: str | None = "k400", dataset: str = "ucf101") -> PublishedScore:
    return PublishedScore(
        source="Paper",
        table="frozen",
        method="SIGMA-MLP",
        backbone="vit_b",
        pretrain_data=pretrain_data,
        pretrain_epochs=None,
        extra_data=None,
        motion_guided=None,
        task="linear_probe",
        dataset=dataset,
        metric="top1",
        value=value,
    )


def filled(*records: Record, rows: tuple[str, ...] = ()) -> BoardTable:
    shown = board(rows=rows)
    filed = [(Path(f"{index}.json"), record) for index, record in enumerate(records)]
    return aggregate(shown, select(filed, shown))


def cell(table: BoardTable, model: str, column: int = 0) -> Cell:
    (row,) = (row for row in table.rows if row.model == model)
    found = row.cells[column]
    assert found is not None
    return found


TASKS = ("ucf101/knn", "ucf101/linear", "ssv2/knn")


def tiny_severe() -> Board:
    """An axis of two columns and an axis of one."""
    columns = [
        {"task": task, "metric": "top1", "label": task, "group": "Shift" if "ucf101" in task else "Error"}
        for task in TASKS
    ]
    mean = {"label": "Mean", "published": None, "axes": True}
    content = {"name": "b", "title": "B", "rows": (), "columns": columns, "mean": mean, "published": None, "note": ""}
    return parse_spec(Board, content, where="test")


def with_spread(record: Record, spread: float) -> Record:
    score = record.scores[0].model_copy(update={"spread": spread})
    return record.model_copy(update={"scores": (score, *record.scores[1:])})


def test_one_seed_keeps_its_bootstrap_interval() -> None:
    record = make_record(value=0.7, low=0.62, high=0.77)
    found = cell(filled(record), "mini_sigma_mlp")
    assert (found.value, found.low, found.high, found.seed_std) == (0.7, 0.62, 0.77, None)
    assert found.record_ids == (record.id,)


def test_seeds_pool_and_keep_two_uncertainties_apart() -> None:
    records = [make_record(value=v, low=v - 0.1, high=v + 0.2, seed=s) for s, v in enumerate((0.5, 0.6, 0.7))]
    found = cell(filled(*records), "mini_sigma_mlp")
    assert found.value == pytest.approx(0.6)
    assert (found.low, found.high) == (pytest.approx(0.5), pytest.approx(0.8))
    assert found.seed_std == pytest.approx(0.1) and found.repeat_std is None
    assert found.num_seeds == 3 and found.seed_values == (0.5, 0.6, 0.7)


def test_the_spread_over_a_protocols_repetitions_is_not_that_over_seeds() -> None:
    records = [with_spread(make_record(value=0.5, seed=seed), spread) for seed, spread in enumerate((0.01, 0.03))]
    found = cell(filled(*records), "mini_sigma_mlp")
    assert (found.seed_std, found.repeat_std) == (0, pytest.approx(0.02))


def test_axis_means_need_their_own_columns_only() -> None:
    shown = tiny_severe()
    records = [make_record("mini_a", task, value) for task, value in zip(TASKS, (0.8, 0.6, 0.3), strict=True)]
    part = [make_record("mini_b", task, 0.5) for task in TASKS[:2]]
    turned = records[2].scores[0].model_copy(update={"higher_is_better": False})
    records[2] = records[2].model_copy(update={"scores": (turned, *records[2].scores[1:])})
    filed = [(Path(f"{index}.json"), record) for index, record in enumerate((*records, *part))]
    table = aggregate(shown, select(filed, shown))
    assert table.axes == ("Shift", "Error")
    assert [(row.axis_means, row.mean) for row in table.rows] == [
        ((pytest.approx(0.7), pytest.approx(0.7)), pytest.approx(0.7)),
        ((0.5, None), None),
    ]


def test_a_missing_cell_is_none_and_lowers_coverage() -> None:
    table = filled(make_record(), rows=("mini_sigma_mlp", "mini_never_run"))
    assert [(row.model, row.coverage, row.cells[1]) for row in table.rows] == [
        ("mini_sigma_mlp", "1/2", None),
        ("mini_never_run", "0/2", None),
    ]


def test_declared_rows_come_first_then_complete_ones_by_name() -> None:
    table = filled(
        make_record("mini_a"),
        make_record("mini_c"),
        make_record("mini_c", "ucf101/linear"),
        make_record("mini_declared"),
        rows=("mini_declared",),
    )
    assert [row.model for row in table.rows] == ["mini_declared", "mini_c", "mini_a"]


def test_rows_of_one_model_name_stay_together_and_controls_come_last() -> None:
    old, new = "mini_c (image_size=64)", "mini_c (image_size=112)"
    control = {"family": "random init", "pretraining_seed": None, "pretraining_data": ()}
    complete = [
        make_record(model, task, **more)
        for model, more in (("mini_a", control), (old, {}), ("mini_d", {}))
        for task in ("ucf101/knn", "ucf101/linear")
    ]
    table = filled(*complete, make_record(new), make_record("mini_b"))
    assert [row.model for row in table.rows] == [old, new, "mini_d", "mini_b", "mini_a"]


def test_bold_is_the_set_that_overlaps_the_best() -> None:
    table = filled(
        make_record("mini_best", value=0.8, low=0.75, high=0.85),
        make_record("mini_touching", value=0.7, low=0.65, high=0.75),
        make_record("mini_below", value=0.6, low=0.5, high=0.74),
    )
    assert [row.model for row in table.rows if row.cells[0] and row.cells[0].among_best] == [
        "mini_best",
        "mini_touching",
    ]


def test_where_lower_is_better_the_lowest_is_best() -> None:
    records = [make_record("mini_low", value=0.2), make_record("mini_high", value=0.8)]
    turned = [
        record.model_copy(
            update={"scores": tuple(s.model_copy(update={"higher_is_better": False}) for s in record.scores)}
        )
        for record in records
    ]
    table = filled(*turned)
    assert cell(table, "mini_low").among_best and not cell(table, "mini_high").among_best


def test_reference_values_and_counts() -> None:
    table = filled(
        make_record(controls={"chance": 0.1}), make_record("mini_videomae", scored=98, failed_ids=("a", "b"))
    )
    (reference,) = table.references
    assert (reference.name, reference.values, reference.kind) == ("chance", (0.1, None), "floor")
    assert [(c.num_expected, c.num_scored, c.num_failed, c.models) for c in table.counts] == [
        (100, 100, 0, ("mini_sigma_mlp",)),
        (100, 98, 2, ("mini_videomae",)),
    ]
    assert (table.data_sources, table.levels) == (("mini",), (0.95,))


def test_published_numbers_stand_below_their_column() -> None:
    shown = board(published_rows())
    (row,) = aggregate(shown, select([], shown), [printed(0.738), printed(0.3, dataset="ssv2")]).published
    assert (row.label, row.values) == ("SIGMA-MLP ViT-B", (None, 0.738))
    assert row.source == "Paper: table frozen (pretrained on k400)"


def test_an_ambiguous_published_number_needs_a_condition() -> None:
    scores = [printed(0.7, "k400"), printed(0.6, "ssv2")]
    with pytest.raises(ValueError, match=r"2 published numbers of SIGMA-MLP fit table frozen.*'where'"):
        aggregate(board(published_rows()), select([]), scores)
    (row,) = aggregate(board(published_rows(pretrain_data=("ssv2",))), select([]), scores).published
    assert row.values == (None, 0.6)


def test_a_published_number_that_is_not_there() -> None:
    with pytest.raises(ValueError, match=r"paper has no number for table frozen.*dataset ucf101"):
        aggregate(board(published_rows()), select([]), [printed(0.7, dataset="ssv2")])


def test_a_section_without_any_number() -> None:
    with pytest.raises(ValueError, match="paper has no number for the section"):
        aggregate(board(published_rows(methods=("SIGMA",))), select([]), [printed(0.7)])
