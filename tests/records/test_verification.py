"""Tampering: whatever is changed by hand, exchanged, cut or doubled is found and named."""

import json
from pathlib import Path

import numpy as np
import pytest

from sigma_bench.records.store import Store, read_record
from sigma_bench.records.verification import Verification, verify_store
from tests.factories import make_record
from tests.records.filled import OVERRIDES, add, predictions

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two models on one task."""
    filled = Store(tmp_path)
    add(filled, predictions(0.7), model="mini_a")
    add(filled, predictions(0.5, seed=1), model="mini_b")
    return filled


def only_problem(found: Verification) -> str:
    (problem,) = found.problems
    return problem


def path_of(store: Store, model: str) -> Path:
    (path,) = (path for path in store.paths() if model in path.parts)
    return path


def rewrite(path: Path, old: str, new: str) -> None:
    """Change a record by hand and give it the name that its new content asks for."""
    from sigma_bench.specs.fingerprint import digest

    text = path.read_text()
    assert text.count(old) >= 1
    changed = text.replace(old, new, 1)
    path.unlink()
    path.with_name(f"{digest(json.loads(changed))[:12]}.json").write_text(changed)


def test_a_sound_store_says_what_it_cannot_know(store: Store) -> None:
    heard: list[tuple[int, int]] = []
    found = verify_store(store, lambda done, total: heard.append((done, total)))
    assert (found.num_records, found.num_scores, found.problems) == (2, 4, ())
    assert [words.split(":")[0] for words in found.unchecked] == ["2 checkpoint digests", "2 manifest digests"]
    assert heard == [(1, 2), (2, 2)]


def test_a_flipped_digit_is_found_when_a_record_is_read(store: Store) -> None:
    path = path_of(store, "mini_a")
    value = json.loads(path.read_text())["scores"][0]["value"]
    text = path.read_text()
    path.write_text(text.replace(str(value), str(value + 0.1), 1))
    assert "was changed after it was written" in only_problem(verify_store(store))
    with pytest.raises(ValueError, match=f"{path.name}: the record was changed"):
        list(store.records())


def test_a_flipped_digit_under_a_fitting_name_is_found_by_computing_again(store: Store) -> None:
    path = path_of(store, "mini_a")
    value = json.loads(path.read_text())["scores"][0]["value"]
    rewrite(path, f'"value": {value}', f'"value": {value + 0.1}')
    problem = only_problem(verify_store(store))
    assert f"top1 is {value + 0.1!r} in the record and {value!r} when computed from its predictions" in problem


def test_a_widened_interval_is_found(store: Store) -> None:
    path = path_of(store, "mini_b")
    low = json.loads(path.read_text())["scores"][0]["interval"]["low"]
    rewrite(path, f'"low": {low}', '"low": 0.0')
    assert "top1 has the lower end 0.0 in the record" in only_problem(verify_store(store))


def test_swapped_prediction_files_are_found(store: Store) -> None:
    first, second = sorted((store.root / "predictions").glob("*.npz"))
    spare = store.root / "spare"
    first.rename(spare), second.rename(first), spare.rename(second)
    found = verify_store(store)
    assert len(found.problems) == 2 and found.num_scores == 0
    assert all("not those the record was computed from" in problem for problem in found.problems)


def test_a_record_that_points_to_anothers_predictions_is_found(store: Store) -> None:
    a, b = path_of(store, "mini_a"), path_of(store, "mini_b")
    sha_a, sha_b = (json.loads(path.read_text())["predictions"]["sha256"] for path in (a, b))
    text = a.read_text().replace(sha_a, sha_b)
    a.write_text(text)
    rewrite(a, sha_b, sha_b)
    assert "when computed from its predictions" in " ".join(verify_store(store).problems)


def test_missing_predictions_are_unchecked_not_wrong(store: Store) -> None:
    for path in (store.root / "predictions").glob("*.npz"):
        path.unlink()
    found = verify_store(store)
    assert found.problems == () and found.num_scores == 0
    assert sum("no score was computed again" in words for words in found.unchecked) == 2


def test_two_checkpoints_under_one_name_are_named_and_are_no_problem(store: Store) -> None:
    """Tables tell them apart, so a folder that was exported with both verifies."""
    add(store, predictions(0.6), model="mini_a", task="ssv2/knn", checkpoint="f" * 64)
    found = verify_store(store)
    assert found.problems == ()
    assert sum(words.startswith("mini_a: 2 encoders") for words in found.unchecked) == 1


def test_one_evaluation_with_two_results_is_found(store: Store) -> None:
    add(store, predictions(0.6, seed=7), model="mini_a", started="2025-02-01T00:00:00.000+00:00")
    assert "one evaluation of mini_a with two results" in only_problem(verify_store(store))


def test_half_a_record_is_named_and_the_others_are_checked(store: Store) -> None:
    path = path_of(store, "mini_a")
    path.write_bytes(path.read_bytes()[:500])
    found = verify_store(store)
    assert only_problem(found).startswith(f"{path}: not a record of this version")
    assert (found.num_records, found.num_scores) == (1, 2)


def test_a_record_in_another_models_folder_is_found(store: Store) -> None:
    path = path_of(store, "mini_a")
    target = store.root / "records" / "mini_z" / "ucf101" / "knn" / path.name
    target.parent.mkdir(parents=True)
    path.rename(target)
    assert "stands in the wrong folder" in only_problem(verify_store(store))


def test_a_fingerprint_of_another_task_is_found(store: Store) -> None:
    path = path_of(store, "mini_a")
    rewrite(path, make_record(overrides={}).task.task, "ucf101/knn")
    (path,) = path.parent.glob("*.json")
    rewrite(path, '"neighbours": 10', '"neighbours": 11')
    assert "is not that of the task it holds" in only_problem(verify_store(store))


def test_a_sample_twice_in_the_predictions_is_found(store: Store) -> None:
    arrays = predictions(0.7)
    arrays["ids"] = arrays["ids"].copy()
    arrays["ids"][1] = arrays["ids"][0]
    add(store, arrays, model="mini_c")
    assert "hold 1 samples twice" in only_problem(verify_store(store))


def test_missing_files_that_count_as_wrong_are_no_problem(store: Store) -> None:
    """60 samples scored where 58 files were found: the two others are named, and their answers are wrong."""
    plain = make_record(overrides=OVERRIDES, scored=60)
    split = plain.data.splits["test"].model_copy(update={"found": 58, "failed_ids": ("clip000", "clip001")})
    data = plain.data.model_copy(update={"splits": plain.data.splits | {"test": split}})
    _, record = add(Store(store.root / "aside"), predictions(0.7), model="mini_c")
    store.add_predictions(predictions(0.7))
    store.add(record.model_copy(update={"data": data}))
    assert verify_store(store).problems == ()
    few = split.model_copy(update={"failed_ids": ("clip000",)})
    data = plain.data.model_copy(update={"splits": plain.data.splits | {"test": few}})
    store.add(record.model_copy(update={"data": data, "seed": 1}))
    assert "scored 60 samples where 58 were found" in " ".join(verify_store(store).problems)


@pytest.mark.parametrize("name", ["truth", "groups"])
def test_predictions_without_an_array_are_named(store: Store, name: str) -> None:
    path = path_of(store, "mini_a")
    record = read_record(path)
    arrays = dict(store.load_predictions(record.predictions))
    (store.root / record.predictions.file).unlink()
    del arrays[name]
    store.add_reduced(record.predictions, arrays)
    assert f"{path}: its predictions do not hold" in verify_store(store).problems[0]


@pytest.mark.parametrize(
    "change",
    [
        {"truth": np.zeros(7, int)},
        {"truth": np.array(["a"] * 60)},
        {"groups": np.array(["one"] * 60)},
    ],
)
def test_predictions_of_no_use_are_a_problem_and_not_the_end(store: Store, change: dict[str, np.ndarray]) -> None:
    """Reduced ones have no digest, so what is in them may be anything; the other records are checked all the same."""
    path = path_of(store, "mini_a")
    record = read_record(path)
    arrays = store.load_predictions(record.predictions)
    (store.root / record.predictions.file).unlink()
    store.add_reduced(record.predictions, arrays | change)
    found = verify_store(store)
    assert f"{path}: top1 cannot be computed from its predictions" in " ".join(found.problems)
    assert (found.num_records, found.num_scores) == (2, 2)


def test_a_link_to_nothing_is_named(store: Store) -> None:
    (store.root / "records" / "lost.json").symlink_to(store.root / "nowhere.json")
    assert "lost.json: cannot be read (No such file or directory)" in only_problem(verify_store(store))


def test_a_spread_that_its_predictions_do_not_give_is_found(store: Store) -> None:
    path = path_of(store, "mini_a")
    rewrite(path, '"spread": null', '"spread": 0.01')
    assert "top1 has the spread 0.01 in the record and None" in only_problem(verify_store(store))


def test_what_no_record_speaks_of_is_listed(store: Store) -> None:
    store.add_predictions(predictions(0.1, seed=9))
    (store.root / "records" / ".writing-abc").write_bytes(b"{")
    words = " ".join(verify_store(store).unchecked)
    assert "no record refers to it" in words and "killed while it wrote" in words
