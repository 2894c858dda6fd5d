"""Paired bootstrap: it finds what is there as often as theory says, calls ties ties, and pairs only what is paired."""

import re
from pathlib import Path

import numpy as np
import pytest

from sigma_bench.leaderboard.fill import fill, predictions_of
from sigma_bench.leaderboard.model_comparison import compare
from sigma_bench.leaderboard.notes import footnotes
from sigma_bench.leaderboard.paired_bootstrap import (
    Draws,
    Resampled,
    mean_difference,
    resample,
    score_samples,
    shared_ranks,
)
from sigma_bench.metrics.uncertainty import Resampling
from sigma_bench.records.record import Record
from sigma_bench.records.scoring import metrics_of
from sigma_bench.records.store import Store
from sigma_bench.specs.board import Board, BoardColumn, MeanColumn
from sigma_bench.specs.catalogue import load_task, resolve
from sigma_bench.specs.fingerprint import task_fingerprint
from tests.factories import make_record
from tests.records.filled import add, predictions


def resampled(value_R: np.ndarray, value: float, num_units: int, higher_is_better: bool = True) -> Resampled:
    return Resampled(value, value_R, num_units, "same", higher_is_better, np.zeros(0), None)


def share_found(only_first: float, only_second: float, num_samples: int = 2000, num_pairs: int = 400) -> float:
    """How often two models are told apart that differ on these shares of samples."""
    draw_SD = np.random.default_rng(0).random((num_samples, num_pairs))
    first = draw_SD < only_first  # right where the second is wrong; where both are right or wrong does not matter
    second = (draw_SD >= only_first) & (draw_SD < only_first + only_second)
    resampling = Resampling(np.arange(num_samples), replicates=1000, rng=np.random.default_rng(1))
    first_RD, second_RD = resampling.means(first), resampling.means(second)
    found = [
        not mean_difference(
            [resampled(first_RD[:, d], first[:, d].mean(), num_samples)],
            [resampled(second_RD[:, d], second[:, d].mean(), num_samples)],
        ).is_tie
        for d in range(num_pairs)
    ]
    return float(np.mean(found))


def test_a_planted_gap_of_two_points_is_found_with_the_expected_power() -> None:
    # Variance of the difference per sample: 0.06 + 0.04 - 0.02^2 = 0.0996; standard error over 2000: 0.00706; the gap
    # is 2.834 of them, so a two-sided test at 5 % finds it with probability Phi(2.834 - 1.960) = 0.809.  The share
    # found in 400 trials has a standard error of 0.02.
    assert share_found(0.06, 0.04) == pytest.approx(0.809, abs=0.06)


def test_equal_models_are_told_apart_in_one_of_twenty_cases() -> None:
    assert share_found(0.05, 0.05) == pytest.approx(0.05, abs=0.03)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def compared(store: Store, first: str = "a", second: str = "b", **options: int):
    return compare(store.records(), first, second, predictions_of(store), **options)


def test_equal_predictions_tie_with_an_interval_of_no_width(store: Store) -> None:
    add(store, predictions(0.6), model="a")
    add(store, predictions(0.6), model="b")
    (task,) = compared(store).tasks
    assert (task.difference.value, task.difference.low, task.difference.high) == (0, 0, 0)
    assert task.difference.is_tie and task.differing == ()


def test_swapping_the_models_turns_the_sign_and_nothing_else(store: Store) -> None:
    add(store, predictions(0.9), model="a")
    add(store, predictions(0.4, seed=1), model="b")
    there, back = compared(store).overall, compared(store, "b", "a").overall
    assert not there.is_tie and there.value > 0
    assert (back.value, back.low, back.high) == pytest.approx((-there.value, -there.high, -there.low))


def test_samples_that_differ_are_listed_and_seeds_are_pooled(store: Store) -> None:
    right = predictions(1.0)
    wrong = right | {"predicted": np.where(np.arange(60) == 7, -1, right["predicted"])}
    add(store, right, model="a")
    add(store, wrong, model="b", pretraining_seed=0)
    add(store, right, model="b", pretraining_seed=1)
    (task,) = compared(store).tasks
    assert task.differing == (("clip007", 1.0, 0.5),)
    assert (task.first, task.second) == (1.0, pytest.approx(1 - 0.5 / 60))


def test_the_order_of_listed_samples_is_said_with_ties(store: Store) -> None:
    right, wrong = predictions(1.0), predictions(0.0)
    half = right | {"predicted": np.where(np.arange(60) < 2, right["predicted"], wrong["predicted"])}
    add(store, right, model="a")
    add(store, wrong, model="b", pretraining_seed=0)
    at_most = {size: compared(store, num_samples=size).tasks[0] for size in (5, 60)}
    assert (at_most[5].num_differing, at_most[5].order) == (60, "in alphabetical order")
    assert at_most[60].order == "in alphabetical order" and len(at_most[60].differing) == 60
    add(store, half, model="b", pretraining_seed=1)
    assert (
        compared(store, num_samples=5).tasks[0].order == "largest differences first, equal ones in alphabetical order"
    )
    assert compared(store, num_samples=0).tasks[0].differing == ()


def test_a_comparison_as_text_has_the_lines_of_the_command_line(store: Store) -> None:
    add(store, predictions(0.9, num_samples=9), model="a[v2]")
    add(store, predictions(0.1, num_samples=9, seed=1), model="b\x1b[2J")
    text = str(compared(store, "a[v2]", "b\x1b[2J", num_samples=2))
    first, *lines = text.split("\n")
    assert first.split() == [
        "task",
        "metric",
        "a[v2]",
        "b\\x1b[2J",
        *["difference", "95", "%", "interval", "units", "better"],
    ]
    assert "ucf101/knn: intervals from 3 test units are rough" in lines
    found = r"^ucf101/knn  2 of [5-9] samples on which they differ, in alphabetical order, with top1 of each model$"
    assert re.search(found, text, re.M)
    assert "\x1b" not in text and "Difference(" not in text and all(len(line) <= 110 for line in lines)


def test_pairs_are_matched_by_id_not_by_place(store: Store) -> None:
    arrays = predictions(0.7)
    order = np.random.default_rng(3).permutation(60)
    add(store, arrays, model="a")
    add(store, {name: array[order] for name, array in arrays.items()}, model="b")
    (task,) = compared(store).tasks
    assert task.differing == () and task.difference.low == task.difference.high == 0


def test_units_are_groups_so_copies_of_a_clip_add_nothing(store: Store) -> None:
    def ten_copies(arrays):
        copied = {name: array.repeat(10) for name, array in arrays.items()}
        return copied | {"ids": np.array([f"{name}#{i % 10}" for i, name in enumerate(copied["ids"])])}

    first, second = predictions(0.7), predictions(0.6, seed=1)
    add(store, first, model="a"), add(store, second, model="b")
    (
        add(store, ten_copies(first), model="a", task="ssv2/knn"),
        add(store, ten_copies(second), model="b", task="ssv2/knn"),
    )
    copies, plain = compared(store).tasks
    assert (copies.task, copies.difference.num_units, plain.difference.num_units) == ("ssv2/knn", 20, 20)
    width = [task.difference.high - task.difference.low for task in (copies, plain)]
    assert width[0] == pytest.approx(width[1], rel=0.1)


def test_overall_is_the_mean_over_common_tasks(store: Store) -> None:
    for task, shares in {"ucf101/knn": (0.9, 0.5), "ssv2/knn": (0.4, 0.5)}.items():
        for seed, (model, share) in enumerate(zip("ab", shares, strict=True)):
            add(store, predictions(share, seed=seed), model=model, task=task)
    add(store, predictions(0.5), model="a", task="cifar100/knn")
    result = compared(store)
    assert result.left_out == ("cifar100/knn: no record of b",)
    assert result.overall.value == pytest.approx(np.mean([task.difference.value for task in result.tasks]))


def test_where_lower_is_better_the_lower_one_is_better() -> None:
    low, high = np.full(50, 0.2), np.full(50, 0.3)
    difference = mean_difference([resampled(low, 0.2, 9, False)], [resampled(high, 0.3, 9, False)])
    assert difference.value == pytest.approx(0.1) and not difference.is_tie


def test_what_cannot_be_compared_is_said(store: Store) -> None:
    add(store, predictions(0.7), model="a")
    add(store, predictions(0.7), model="b", overrides={"neighbours": 11})
    add(store, predictions(0.7), model="c", task="ssv2/knn")
    add(store, predictions(0.7, num_samples=30), model="d")
    for other, words in {
        "b": r"a was measured under another version of the protocol \(.*neighbours=10\), b was not",
        "c": "nothing in common that can be compared: ssv2/knn: no record of a; ucf101/knn: no record of c",
        "d": "scored on different samples",
        "e": "no record of a model 'e'",
    }.items():
        with pytest.raises(ValueError, match=words):
            compared(store, "a", other)
    for path in (store.root / "predictions").glob("*"):
        path.unlink()
    with pytest.raises(ValueError, match="its predictions are not beside the records"):
        compared(store, "a", "d")


def test_records_under_other_folds_are_not_compared_and_the_folds_are_named(store: Store) -> None:
    for model, folds in (("a", "5"), ("b", "4")):
        _, record = add(store, predictions(0.7), model=model, overrides={"neighbours": 11})
        task = record.task.model_copy(update={"folds": folds})
        store.add(record.model_copy(update={"task": task, "fingerprint": task_fingerprint(task), "key": f"{model}9"}))
    add(store, predictions(0.7), model="a")
    result = compared(store)
    assert "ucf101/knn: a was measured under another version of the protocol (folds=5" in "; ".join(result.left_out)


def test_two_checkpoints_under_one_label_are_not_pooled_as_seeds(store: Store) -> None:
    add(store, predictions(0.9), model="a", checkpoint="old")
    add(store, predictions(0.2, seed=3), model="a", checkpoint="new")
    add(store, predictions(0.5, seed=5), model="b")
    with pytest.raises(ValueError, match=r"a stands for several encoders, which differ in checkpoint \(new, old\); ch"):
        compared(store)


def on_other_data(record: Record) -> Record:
    other = record.data.splits["test"].model_copy(update={"manifest_sha256": "other files"})
    data = record.data.model_copy(update={"splits": record.data.splits | {"test": other}})
    return record.model_copy(update={"data": data})


def test_models_that_read_other_files_under_the_same_ids_are_resampled_together(store: Store) -> None:
    """Equal predictions differ by nothing, on every resample; but a comparison is about the same data."""
    records = [add(store, predictions(0.7), model="a")[1]]
    path, plain = add(store, predictions(0.7), model="b")
    path.unlink()
    records.append(on_other_data(plain))
    store.add(records[1])
    load, draws = predictions_of(store), Draws()
    scored = [score_samples([record], "top1", load, draws) for record in records]
    a, b = resample([one for one in scored if one is not None])
    np.testing.assert_array_equal(a.value_R, b.value_R)
    with pytest.raises(ValueError, match=r"a was measured on other data \(digest \w{8}\), b was not"):
        compared(store)


def test_what_matches_is_compared_and_each_other_evaluation_is_named_in_a_line(store: Store) -> None:
    """One model was also measured with a setting, on other data, and with another seed."""
    for task in ("ssv2/knn", "ucf101/knn"):
        add(store, predictions(0.9), model="a", task=task)
        add(store, predictions(0.4, seed=1), model="b", task=task)
    clean = compared(store)
    assert clean.left_out == ()
    add(store, predictions(0.1), model="a", overrides={"neighbours": 11})
    add(store, predictions(0.1), model="a", seed=4)
    path, record = add(store, predictions(0.2), model="b", seed=5)
    path.unlink()
    store.add(on_other_data(record))
    result = compared(store)
    assert (result.tasks, result.overall) == (clean.tasks, clean.overall)
    assert len(result.left_out) == 3 and all(line.startswith("ucf101/knn: ") for line in result.left_out)
    text = "\n".join(result.left_out)
    assert "a was measured with seed 4, b was not" in text
    assert "b was measured on other data" in text
    assert "--set neighbours=11), b was not" in text
    add(store, predictions(0.6), model="b", overrides={"neighbours": 11})
    both = compared(store)
    assert [task.task.partition(" (")[0] for task in both.tasks] == ["ssv2/knn", "ucf101/knn", "ucf101/knn"]
    assert len({task.task for task in both.tasks}) == 3 and len(both.left_out) == 2


def test_one_task_without_predictions_does_not_stop_the_others(store: Store) -> None:
    add(store, predictions(0.9), model="a"), add(store, predictions(0.4, seed=1), model="b")
    for number, model in enumerate("ab"):
        _, lost = add(store, predictions(0.5, seed=5 + number), model=model, task="ssv2/knn")
        (store.root / lost.predictions.file).unlink()
    result = compared(store)
    assert [task.task for task in result.tasks] == ["ucf101/knn"]
    assert "its predictions are not beside the records" in result.left_out[0]


def test_a_metric_that_is_no_mean_is_computed_on_every_resample(store: Store) -> None:
    _, record = add(store, predictions(0.7))
    scored = score_samples([record], "mean_class_accuracy", predictions_of(store), Draws())
    assert scored is not None
    (found,) = resample([scored])
    assert found.of_sample is None
    assert found.value == record.scores[1].value
    assert found.value_R.std() > 0


@pytest.mark.parametrize(
    ("task", "metric"),
    [
        ("ucfrep/counting", "counting_error"),
        ("ucf101/clustering", "hungarian_accuracy"),
        ("ucfrep/counting", "off_by_one"),
        ("ucf101/clustering", "purity"),
        ("ucf101/knn", "top1"),
    ],
)
def test_a_mean_over_samples_is_what_the_metric_says_on_every_resample(store: Store, task: str, metric: str) -> None:
    truth = np.arange(60) % 4 + 1
    drawn_SR = np.random.default_rng(2).integers(1, 5, (60, 3))
    arrays = predictions(0.7) | {"truth": truth, "predicted": drawn_SR[:, 0], "matched": drawn_SR, "majority": drawn_SR}
    records = [add(store, arrays, pretraining_seed=0)[1]]
    records.append(add(store, arrays | {"predicted": drawn_SR[:, 1]}, pretraining_seed=1)[1])
    records = [record.model_copy(update={"task": resolve(load_task(task))}) for record in records]
    load, draws, statistic = predictions_of(store), Draws(), metrics_of(records[0].task.protocol)[metric].statistic
    scored = score_samples(records, metric, load, draws)
    assert scored is not None
    (found,) = resample([scored])
    assert found.of_sample is not None
    plain = [
        scored.resampling.values(lambda index, stored=stored: statistic(stored, index))
        for record in records
        if (stored := load(record)) is not None
    ]
    np.testing.assert_allclose(found.value_R, np.mean(plain, axis=0), rtol=0, atol=1e-12)


@pytest.mark.parametrize("num_replicates", [40, 41, 200])
def test_ranks_are_those_of_asking_about_every_pair(num_replicates: int) -> None:
    """Means of two tasks, an error among them, in steps of a tenth, so that ends of intervals often are zero."""
    rng = np.random.default_rng(num_replicates)
    level_NC = rng.integers(0, 4, (30, 2)) / 10
    models = [
        [
            resampled(np.round(level + 0.1 * rng.standard_normal(num_replicates), 1), level, 12, higher_is_better=up)
            for level, up in zip(levels, (True, False), strict=True)
        ]
        for levels in level_NC
    ]
    models.append(models[0])
    asked = [1 + sum(mean_difference(other, own).low > 1e-12 for other in models if other is not own) for own in models]
    assert shared_ranks(models) == asked
    assert 2 < len(set(asked)) < len(models)


def board(*tasks: str, mean: bool = False) -> Board:
    columns = tuple(BoardColumn(group=task, label="kNN", task=task, metric="top1") for task in tasks)
    last = MeanColumn(label="Mean", published=None) if mean else None
    return Board(name="b", title="B", rows=(), columns=columns, mean=last, published=None, note="")


def test_bold_is_decided_by_pairs_where_intervals_alone_would_miss_it(store: Store) -> None:
    """Right on the same samples but for a few on which only the first is: overlap of intervals sees nothing."""
    first = predictions(0.6, num_samples=300)
    is_right = first["predicted"] == first["truth"]
    wrong_too = np.flatnonzero(is_right)[::10]
    second = first | {"predicted": first["predicted"].copy()}
    second["predicted"][wrong_too] = -1
    add(store, first, model="a"), add(store, second, model="b")
    records = list(store.records())
    paired = fill(board("ucf101/knn"), store, records).table
    assert paired.columns[0].is_paired is True
    assert [row.cells[0].mark for row in paired.rows if row.cells[0]] == ["best", None]
    for path in (store.root / "predictions").glob("*"):
        path.unlink()
    apart = fill(board("ucf101/knn"), store, records).table
    assert apart.columns[0].is_paired is False
    assert [row.cells[0].mark for row in apart.rows if row.cells[0]] == ["best", "best"]


def test_one_run_under_other_settings_does_not_stop_a_table(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    shown = board("ucf101/knn")
    for model, share in (("a", 0.9), ("b", 0.5)):
        path, plain = add(store, predictions(share), model=model)
        path.unlink()
        declared = resolve(load_task("ucf101/knn"))
        store.add(plain.model_copy(update={"task": declared, "fingerprint": task_fingerprint(declared)}))
    clean = fill(shown, store, store.records()).table
    assert not caplog.records
    path, _ = add(store, predictions(0.1), model="a", overrides={"neighbours": 11})
    assert fill(shown, store, store.records()).table == clean
    assert f"{path}: left out of 'b', since its settings of ucf101/knn are not the catalogue's" in caplog.text
    other = [(path, record) for path, record in store.records() if record.task.protocol.neighbours == 11]
    assert [row.model for row in fill(shown, store, other).table.rows] == ["a"]


def test_a_number_that_its_predictions_contradict_does_not_get_into_a_table(store: Store) -> None:
    _, record = add(store, predictions(0.7))
    better = record.scores[0].model_copy(update={"value": record.scores[0].value + 0.1})
    forged = Store(store.root / "forged")
    forged.add(record.model_copy(update={"scores": (better, *record.scores[1:])}))
    forged.add_predictions(predictions(0.7))
    fill(board("ucf101/knn"), store, list(store.records()))
    with pytest.raises(ValueError, match=r"top1 is .* in the records and .* when computed from their predictions"):
        fill(board("ucf101/knn"), forged, list(forged.records()))


def test_models_that_cannot_be_told_apart_share_a_rank(store: Store) -> None:
    shares = {"a": 0.95, "b": 0.5, "c": 0.5, "d": 0.1}
    for number, (model, share) in enumerate(shares.items()):
        for task in ("ucf101/knn", "ssv2/knn"):
            add(store, predictions(share, seed=number), model=model, task=task)
    add(store, predictions(0.99), model="incomplete")
    table = fill(board("ucf101/knn", "ssv2/knn", mean=True), store, store.records()).table
    assert {row.model: row.rank for row in table.rows} == {"a": 1, "b": 2, "c": 2, "d": 4, "incomplete": None}
    by_model = {row.model: row for row in table.rows}
    assert by_model["incomplete"].mean is None and by_model["incomplete"].coverage == "1/2"
    cells = by_model["a"].cells
    assert by_model["a"].mean == pytest.approx(np.mean([cell.value for cell in cells if cell]))


def test_only_what_is_complete_needs_predictions_for_ranks(store: Store) -> None:
    shown = board("ucf101/knn", "ssv2/knn", mean=True)
    for model, share in (("a", 0.95), ("b", 0.2)):
        for task in ("ucf101/knn", "ssv2/knn"):
            add(store, predictions(share), model=model, task=task)
    _, lost = add(store, predictions(0.6, seed=7), model="incomplete")
    (store.root / lost.predictions.file).unlink()
    table = fill(shown, store, store.records()).table
    assert {row.model: row.rank for row in table.rows} == {"a": 1, "b": 2, "incomplete": None}
    assert "In front of a model its rank" in " ".join(footnotes(table))
    for path in (store.root / "predictions").iterdir():
        path.unlink()
    table = fill(shown, store, store.records()).table
    assert {row.rank for row in table.rows} == {None} and "No ranks: they need" in " ".join(footnotes(table))


def test_a_mean_counts_an_error_as_one_minus_it() -> None:
    from sigma_bench.leaderboard.aggregate import aggregate
    from sigma_bench.leaderboard.select import select

    good, error = make_record("a", "ucf101/knn", 0.8), make_record("a", "ssv2/knn", 0.3)
    turned = error.model_copy(
        update={"scores": tuple(s.model_copy(update={"higher_is_better": False}) for s in error.scores)}
    )
    shown = board("ucf101/knn", "ssv2/knn", mean=True)
    (row,) = aggregate(shown, select([(Path("a"), good), (Path("b"), turned)], shown)).rows
    assert row.mean == pytest.approx((0.8 + 0.7) / 2)
