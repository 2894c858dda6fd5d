"""Evaluations end to end on the small world: every sample once, nothing twice, scores recomputable."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sigma_bench.data.custom_csv import read_csv
from sigma_bench.data.datasets import open_dataset
from sigma_bench.evaluation.requirements import require_disjoint
from sigma_bench.evaluation.run import find_or_evaluate
from sigma_bench.metrics.accuracy import top1
from sigma_bench.models.zoo import load_encoder
from sigma_bench.records.store import Store
from sigma_bench.specs.catalogue import load_dataset, load_suite, load_task, resolve
from sigma_bench.specs.task import ResolvedTask


def quiet(phase: str, done: int, total: int) -> None:
    pass


@pytest.mark.parametrize("name", load_suite("demo").tasks)
def test_every_task_scores_every_sample_and_is_found_again(world: Path, tmp_path: Path, name: str) -> None:
    task, encoder = resolve(load_task(name)), load_encoder("random:mini_videomae", seed=1)
    found = find_or_evaluate(encoder, task, world, tmp_path, seed=0, report=quiet)
    record = found.record
    arrays = Store(tmp_path).load_predictions(record.predictions)
    split = open_dataset(task.dataset, world).splits["test"]
    assert not found.was_there
    assert record.data.world == "mini"
    assert record.data.splits["test"].scored == record.data.splits["test"].found == len(split.samples)
    if "predicted" in arrays:
        assert arrays["ids"].tolist() == list(split.ids)
        assert record.scores[0].value == top1(arrays["truth"], arrays["predicted"])
    else:
        assert record.scores[0].value == pytest.approx(arrays["miou"].mean())
        assert record.controls["all_background"] < record.controls["oracle_tubes_8x6x6"]
    interval = record.scores[0].interval
    assert interval.low <= record.scores[0].value <= interval.high
    again = find_or_evaluate(encoder, task, world, tmp_path, seed=0, report=quiet)
    assert again.was_there
    assert (again.record, again.path) == (record, found.path)


def test_a_changed_knob_or_seed_is_another_evaluation(world: Path, tmp_path: Path) -> None:
    encoder = load_encoder("statistics:mini_videomae")
    base, changed = resolve(load_task("ssv2/knn")), resolve(load_task("ssv2/knn"), {"neighbours": 5})
    for task, seed in ((base, 0), (changed, 0), (base, 1)):
        assert not find_or_evaluate(encoder, task, world, tmp_path, seed=seed, report=quiet).was_there
    assert len(list(Store(tmp_path).records())) == 3
    assert len(list((tmp_path / "features").glob("*/feature.npy"))) == 2  # one pass over each split served all three


def weizmann_like(folder: Path, world: Path, split: str = "all") -> Path:
    """Thirty-two clips of eight classes by four 'persons', as a user's CSV."""
    samples = open_dataset(load_dataset("ssv2"), world).splits["train"].samples[:32]
    rows = [f"{s.path},class{s.label},{split},person{i // 8}" for i, s in enumerate(samples)]
    path = folder / "mine.csv"
    path.write_text("path,label,split,group\n" + "\n".join(rows) + "\n")
    return path


def own_task(protocol: str, folds: str) -> ResolvedTask:
    return resolve(load_task(f"ssv2/{protocol}"), {"neighbours": 5}).model_copy(update={"folds": folds})


def test_leave_one_group_out_asks_every_sample_once(world: Path, tmp_path: Path) -> None:
    manifest = read_csv(weizmann_like(tmp_path, world))
    encoder = load_encoder("statistics:mini_videomae")
    task = own_task("knn", "leave_one_group_out")
    record = find_or_evaluate(encoder, task, manifest, tmp_path, seed=0, report=quiet).record
    arrays = Store(tmp_path).load_predictions(record.predictions)
    assert len(arrays["ids"]) == len(set(arrays["ids"])) == 32
    assert (arrays["predicted"] >= 0).all()
    assert record.scores[0].interval.num_units == 4


def test_every_fold_is_predicted_from_the_others_and_the_division_is_part_of_the_key(
    world: Path, tmp_path: Path
) -> None:
    """The votes of one neighbour, computed here from the cached features."""
    manifest, encoder = read_csv(weizmann_like(tmp_path, world)), load_encoder("statistics:mini_videomae")
    task = resolve(load_task("ssv2/knn"), {"neighbours": 1}).model_copy(update={"folds": "2"})
    record = find_or_evaluate(encoder, task, manifest, tmp_path, seed=0, report=quiet).record
    arrays = Store(tmp_path).load_predictions(record.predictions)
    assert [len(set(arrays["fold"][arrays["groups"] == f"person{n}"].tolist())) for n in range(4)] == [1] * 4
    (file,) = (tmp_path / "features").glob("*/feature.npy")
    feature_SD = np.load(file)
    feature_SD = feature_SD / np.linalg.norm(feature_SD, axis=1, keepdims=True)
    cosine_SS = np.where(arrays["fold"][:, None] == arrays["fold"], -2, feature_SD @ feature_SD.T)
    assert arrays["predicted"].tolist() == arrays["truth"][cosine_SS.argmax(1)].tolist()
    assert record.task.folds == "2" and record.data.folds_sha256 is not None
    assert record.key()["folds"] == record.data.folds_sha256
    other = record.data.model_copy(update={"folds_sha256": "0" * 64})
    assert record.model_copy(update={"data": other}).key() != record.key()
    assert find_or_evaluate(encoder, task, manifest, tmp_path, seed=0, report=quiet).was_there


def test_a_random_split_is_recorded_as_train_and_test(world: Path, tmp_path: Path) -> None:
    manifest, encoder = read_csv(weizmann_like(tmp_path, world)), load_encoder("statistics:mini_videomae")
    record = find_or_evaluate(encoder, own_task("knn", "random:0.5"), manifest, tmp_path, seed=0, report=quiet).record
    arrays = Store(tmp_path).load_predictions(record.predictions)
    assert (record.task.folds, record.data.splits["train"].found, record.data.splits["test"].scored) == (
        *("random:0.5", 16, 16),
    )
    assert record.scores[0].interval.num_units == len(set(arrays["groups"].tolist())) == 2


def test_what_has_no_interval_or_one_class_is_known_before_anything_is_encoded(world: Path, tmp_path: Path) -> None:
    path = weizmann_like(tmp_path, world, "train")
    rows = path.read_text().splitlines()
    encoder, task = load_encoder("statistics:mini_videomae"), own_task("knn", "official")
    path.write_text("\n".join([*rows[:25], *(row.replace(",train,", ",test,") for row in rows[25:])]))
    with pytest.raises(ValueError, match="all that is scored belongs to one group, 'person3'"):
        find_or_evaluate(encoder, task, read_csv(path), tmp_path, seed=0, report=quiet)
    one_class = [rows[0], *(re.sub("class[0-9]", "class0", row) for row in rows[1:])]
    path.write_text("\n".join([*one_class[:9], *(row.replace(",train,", ",test,") for row in one_class[9:])]))
    with pytest.raises(ValueError, match="are of the one class 'class0'"):
        find_or_evaluate(encoder, task, read_csv(path), tmp_path, seed=0, report=quiet)
    assert not (tmp_path / "features").exists()


def test_bank_and_queries_may_not_share_a_group(world: Path, tmp_path: Path) -> None:
    text = weizmann_like(tmp_path, world, "train").read_text().splitlines()
    text[1:9] = [line.replace(",train,", ",test,") for line in text[1:9]]
    text[9] = text[9].replace("person1", "person0")
    path = tmp_path / "shared.csv"
    path.write_text("\n".join(text))
    manifest = read_csv(path)
    sentence = "the group 'person0' stands in both train and test; they must not overlap, so move all rows of the group"
    with pytest.raises(ValueError, match=rf"^{path}: line 10: {sentence} into one of them"):
        require_disjoint(manifest, manifest.splits["train"], manifest.splits["test"])
    folder = tmp_path / "lists"
    folder.mkdir()
    for split, name in (("train", "train.csv"), ("test", "val.csv")):
        rows = [line.replace(f",{split}", "") for line in text[1:] if f",{split}" in line]
        (folder / name).write_text("\n".join([text[0].replace(",split", ""), *rows]))
    manifest = read_csv(folder)
    with pytest.raises(ValueError, match=rf"^{folder / 'train.csv'}: line 2: the group 'person0' stands in both"):
        require_disjoint(manifest, manifest.splits["train"], manifest.splits["test"])


def test_groups_on_both_sides_of_an_official_split_are_counted_in_the_record(world: Path, tmp_path: Path) -> None:
    """Two official file names of CIFAR-100 occur in both splits, as those of the mini world are made to here."""
    manifest = open_dataset(load_dataset("ssv2"), world)
    train, test = manifest.splits["train"], manifest.splits["test"]
    group = train.samples[0].group
    samples = tuple(
        replace(sample, group=group) if number < 2 else sample for number, sample in enumerate(test.samples)
    )
    overlapping = replace(manifest, splits={"train": train, "test": replace(test, samples=samples)})
    task = resolve(load_task("ssv2/knn"), {"neighbours": 5})
    encoder = load_encoder("statistics:mini_videomae")
    counted = []
    for one in (manifest, overlapping):
        record = find_or_evaluate(encoder, task, one, tmp_path, seed=0, report=quiet).record
        counted.append(record.data.shared_groups)
    assert counted == [0, 1]
    require_disjoint(overlapping, *overlapping.splits.values())
    with pytest.raises(ValueError, match=f"the group '{group}' stands in both train and test"):
        require_disjoint(replace(overlapping, data_source="user"), *overlapping.splits.values())
    twice = replace(test, samples=(train.samples[0], *test.samples))
    with pytest.raises(ValueError, match=r"the sample .* stands in both"):
        require_disjoint(manifest, train, twice)


@pytest.mark.parametrize("failure", ["fail", "count_as_wrong"])
def test_a_broken_video_is_named_and_never_skipped(world: Path, tmp_path: Path, failure: str) -> None:
    path = weizmann_like(tmp_path, world)
    rows = path.read_text().splitlines()
    (tmp_path / "broken.webm").write_bytes(b"not a video")
    rows[5] = ",".join(["broken.webm", *rows[5].split(",")[1:]])
    path.write_text("\n".join(rows))
    task = resolve(load_task("ssv2/knn"), {"neighbours": 5, "on_decode_failure": failure})
    task = task.model_copy(update={"folds": "leave_one_group_out"})
    encoder = load_encoder("statistics:mini_videomae")
    if failure == "fail":
        with pytest.raises(ValueError, match=r"1 samples cannot be decoded .* first 'broken.webm'"):
            find_or_evaluate(encoder, task, read_csv(path), tmp_path, seed=0, report=quiet)
        assert not list((tmp_path / "records").rglob("*.json"))
        return
    record = find_or_evaluate(encoder, task, read_csv(path), tmp_path, seed=0, report=quiet).record
    arrays = Store(tmp_path).load_predictions(record.predictions)
    assert record.data.splits["all"].failed_ids == ("broken.webm",)
    assert arrays["predicted"][4] == -1
    assert record.scores[0].value == np.mean(arrays["predicted"] == arrays["truth"])
    assert record.data.splits["all"].scored == 32
