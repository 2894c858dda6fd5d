"""Partial evaluations: a fixed draw in which every class stays, which is marked and enters no result."""

import logging
from collections import Counter
from pathlib import Path

import pytest

from sigma_bench.api.records import Records
from sigma_bench.data.datasets import open_dataset
from sigma_bench.data.limited import draw_limited
from sigma_bench.data.manifest import Sample
from sigma_bench.evaluation.plan import plan_tasks, run_planned
from sigma_bench.evaluation.run import find_or_evaluate
from sigma_bench.leaderboard.rerun import rerun_command
from sigma_bench.models.zoo import load_encoder
from sigma_bench.protocols.feature_cache import FeatureCache
from sigma_bench.records.record import Record
from sigma_bench.records.verification import verify_store
from sigma_bench.specs.catalogue import load_dataset, load_task, resolve
from sigma_bench.specs.limit import limited_number, parse_limit

FEW = {"uncertainty": {"replicates": 20}}


def samples(num_classes: int | None, number: int, per_group: int = 1) -> tuple[Sample, ...]:
    return tuple(
        Sample(f"{i}", Path(f"{i}.mp4"), "video", i % num_classes if num_classes else None, group=f"g{i // per_group}")
        for i in range(number)
    )


@pytest.mark.parametrize("number", [1, 30, 31, 299])
def test_every_class_stays_and_larger_draws_hold_smaller_ones(number: int) -> None:
    listed = samples(10, 300)
    drawn = draw_limited(listed, number)
    assert len(drawn) == max(number, 20)
    counts = Counter(sample.label for sample in drawn)
    assert len(counts) == 10 and max(counts.values()) - min(counts.values()) <= 1
    assert set(drawn) <= set(draw_limited(listed, number + 1))
    assert list(drawn) == [sample for sample in listed if sample in set(drawn)]


def test_samples_without_a_class_come_from_different_groups_first() -> None:
    drawn = draw_limited(samples(None, 100, per_group=10), 10)
    assert len({sample.group for sample in drawn}) == 10


@pytest.mark.parametrize(("text", "number"), [("100", 100), ("0.01", 11), ("5000", 1001), (7, 7), (0.5, 501)])
def test_a_limit_is_a_number_or_a_fraction(text: str | float, number: int) -> None:
    assert limited_number(parse_limit(text), 1001) == number


@pytest.mark.parametrize("value", ["0", "1.0", "-3", "nan", "ten", "", True, 0.0, 2.5, None])
def test_anything_else_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="give a number of samples per split, such as 100, or a fraction"):
        parse_limit(value)


def partial(world: Path, output: Path, name: str = "ssv2/knn", limit: int | float = 4) -> Record:
    encoder = load_encoder("statistics:mini_videomae")
    return find_or_evaluate(encoder, resolve(load_task(name), FEW), world, output, seed=0, limit=limit).record


@pytest.mark.parametrize(
    ("name", "limit", "scored"),
    [
        ("ssv2/knn", 4, 16),  # eight classes, two of each
        ("ssv2/knn", 0.5, 20),
        ("ssv2/linear", 4, 16),
        ("ssv2/clustering", 4, 24),  # three clusters per class
    ],
)
def test_the_scored_samples_are_as_few_as_the_protocol_allows(
    world: Path, tmp_path: Path, name: str, limit: float, scored: int
) -> None:
    record = partial(world, tmp_path, name, limit)
    assert record.is_partial and record.data.limit == limit
    assert record.data.splits["test"].scored == record.data.splits["test"].expected == scored


def test_a_limit_that_leaves_nothing_out_gives_the_complete_record(world: Path, tmp_path: Path) -> None:
    record = partial(world, tmp_path, limit=10_000)
    assert not record.is_partial and "limit" not in record.data.model_dump()
    complete = resolve(load_task("ssv2/knn"), FEW)
    again = find_or_evaluate(load_encoder("statistics:mini_videomae"), complete, world, tmp_path, seed=0)
    assert again.was_there and again.record == record


def test_a_partial_record_is_found_again_and_is_not_the_complete_one(world: Path, tmp_path: Path) -> None:
    first = partial(world, tmp_path)
    encoder, task = load_encoder("statistics:mini_videomae"), resolve(load_task("ssv2/knn"), FEW)
    assert first.key()["limit"] == 4
    assert find_or_evaluate(encoder, task, world, tmp_path, seed=0, limit=4).was_there
    assert not find_or_evaluate(encoder, task, world, tmp_path, seed=0).was_there
    assert not find_or_evaluate(encoder, task, world, tmp_path, seed=0, limit=20).was_there
    assert not verify_store(Records(tmp_path).store).problems


def test_a_plan_counts_the_limited_samples_only(world: Path, tmp_path: Path) -> None:
    encoder, cache = load_encoder("statistics:mini_videomae"), FeatureCache(tmp_path / "features")
    tasks = [(resolve(load_task(name), FEW), world) for name in ("ssv2/knn", "ssv2/linear")]
    plan = plan_tasks(encoder, tasks, tmp_path, cache, seed=0, limit=4)
    assert [planned.clips for planned in plan] == [20 + 16, 16]
    assert run_planned(encoder, plan[0], tmp_path, cache, seed=0, limit=4).record.is_partial


def test_partial_records_enter_no_board_and_no_comparison(
    world: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    partial(world, tmp_path)
    records = Records(tmp_path)
    assert records.frame()["limit"].tolist() == [4] * len(records.frame())
    assert "(1 partial)" in repr(records)
    with pytest.raises(ValueError, match="all of them are partial"):
        records.table()
    with caplog.at_level(logging.WARNING):
        assert records.table("mini").table.record_ids == ()
    assert "left out of 'mini', since it is partial (limit 4)" in caplog.text
    name = records[0].model.model
    with pytest.raises(ValueError, match="left out of the comparison, since it is partial"):
        records.compare(name, name)


def test_the_command_of_a_partial_record_names_its_limit(world: Path, tmp_path: Path) -> None:
    assert "--limit 4 " in f"{rerun_command(partial(world, tmp_path))} "


def test_the_draw_does_not_depend_on_the_seed_of_the_evaluation(world: Path, tmp_path: Path) -> None:
    encoder, task = load_encoder("statistics:mini_videomae"), resolve(load_task("ssv2/knn"), FEW)
    manifest = open_dataset(load_dataset("ssv2"), world)
    first, second = (
        find_or_evaluate(encoder, task, manifest, tmp_path, seed=seed, limit=4).record.data for seed in (0, 1)
    )
    assert first.splits == second.splits
