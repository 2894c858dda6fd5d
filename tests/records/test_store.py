"""The store: atomic, append-only, idempotent, and suspicious of what lies on the disk."""

import errno
import multiprocessing
import os
from datetime import timedelta

import numpy as np
import pytest

from sigma_bench.records import provenance
from sigma_bench.records.record import (
    DataIdentity,
    Interval,
    PredictionsRef,
    Record,
    Score,
    SplitIdentity,
)
from sigma_bench.records.store import Store, folder_name, write_atomically
from sigma_bench.specs import catalogue
from sigma_bench.specs.encoder_card import EncoderCard
from sigma_bench.specs.fingerprint import task_fingerprint
from tests.records.filled import predictions

ABSENT = PredictionsRef(sha256="0" * 64, file=f"predictions/{'0' * 64}.npz")
PREDICTIONS = {"sample_id": np.array(["a", "b"]), "predicted": np.array([1, 0])}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results")


def card(model="mini/sigma_mlp", checkpoint="c" * 64):
    return EncoderCard(
        model=model, family="SIGMA-MLP", num_frames=8, image_size=64, tubelet_frames=2, mean=(0.5, 0.5, 0.5),
        std=(0.2, 0.2, 0.2), feature_width=96, num_parameters=1000, pretraining_data=("ssv2",), pretraining_epochs=3,
        checkpoint_sha256=checkpoint, code_sha256="c" * 64, pretraining_seed=0, recipe_fingerprint="f" * 16,
    )  # fmt: skip


def make_record(task="ucf101/knn", seed=0, hours=0, predictions=None, **card_changes):
    resolved = catalogue.resolve(catalogue.load_task(task))
    split = SplitIdentity(manifest_sha256="m" * 64, expected=2, found=2, scored=2, failed_ids=(), decoders={})
    interval = Interval(method="bootstrap", unit="group", level=0.95, replicates=10, num_units=2, low=0.1, high=0.9)
    return Record(
        task=resolved,
        fingerprint=task_fingerprint(resolved),
        model=card(**card_changes),
        seed=seed,
        data=DataIdentity(world="mini", num_classes=2, splits={"test": split}),
        scores=(Score(metric="top1", value=0.5, unit="fraction", higher_is_better=True, interval=interval),),
        selections=(),
        predictions=predictions or ABSENT,
        provenance=provenance.capture(started=provenance.now() + timedelta(hours=hours), seconds={"fit": 1.23456}),
    )


def files_below(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def full_disk(descriptor):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_written_file_is_whole_and_replaces_the_old_one(tmp_path):
    path = tmp_path / "new" / "folder" / "file.json"
    write_atomically(path, b"old")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o644
    assert files_below(tmp_path) == ["new/folder/file.json"]


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", full_disk)
    path = tmp_path / "file.json"
    with pytest.raises(ValueError, match=r"No space left .*free some space or choose") as caught:
        write_atomically(path, b"content")
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert files_below(tmp_path) == []


def test_a_full_disk_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file.json"
    write_atomically(path, b"old")
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(ValueError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert files_below(tmp_path) == ["file.json"]


def test_a_full_disk_leaves_no_half_record(store, monkeypatch):
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(ValueError, match="No space left"):
        store.add(make_record())
    with pytest.raises(ValueError, match="No space left"):
        store.add_predictions(PREDICTIONS)
    assert files_below(store.root) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "results").write_text("a file stands where the folder should be")
    with pytest.raises(ValueError, match=r"results/.*cannot be written .*choose another folder"):
        Store(tmp_path / "results").add(make_record())


def test_predictions_come_back_as_they_were(store):
    reference = store.add_predictions(PREDICTIONS)
    assert reference.file == f"predictions/{reference.sha256}.npz"
    found = store.load_predictions(reference)
    assert found.keys() == PREDICTIONS.keys()
    for name, values in PREDICTIONS.items():
        np.testing.assert_array_equal(found[name], values)


def test_equal_predictions_are_one_file_whenever_they_are_written(store, monkeypatch):
    first = store.add_predictions(PREDICTIONS)
    monkeypatch.setattr("time.time", lambda: 2e9)
    assert store.add_predictions(PREDICTIONS) == first
    assert files_below(store.root) == [first.file]


def test_different_predictions_are_different_files(store):
    first = store.add_predictions(PREDICTIONS)
    second = store.add_predictions(PREDICTIONS | {"predicted": np.array([1, 1])})
    assert files_below(store.root) == sorted([first.file, second.file])


def test_tampered_predictions_are_detected(store):
    reference = store.add_predictions(PREDICTIONS)
    path = store.root / reference.file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="not those the record was computed from"):
        store.load_predictions(reference)


def test_exchanged_predictions_are_detected(store):
    reference = store.add_predictions(PREDICTIONS)
    other = store.add_predictions(PREDICTIONS | {"predicted": np.array([1, 1])})
    (store.root / other.file).replace(store.root / reference.file)
    with pytest.raises(ValueError, match="not those the record was computed from"):
        store.load_predictions(reference)


def test_missing_predictions_are_named(store):
    with pytest.raises(ValueError, match=r"0\.npz: the predictions of a record are missing"):
        store.load_predictions(ABSENT)


def test_a_record_comes_back_as_it_was(store):
    record = make_record()
    path = store.add(record)
    assert path.parent == store.root / "records" / "mini%2Fsigma_mlp" / "ucf101" / "knn"
    assert list(store.records()) == [(path, record)]


def test_adding_twice_is_adding_once(store):
    record = make_record()
    path = store.add(record)
    written = path.stat().st_mtime_ns
    assert store.add(record) == path
    assert path.stat().st_mtime_ns == written
    assert len(list(store.records())) == 1


def test_records_are_never_overwritten(store):
    first, second = store.add(make_record(hours=0)), store.add(make_record(hours=1))
    assert first != second
    assert len(list(store.records())) == 2


def test_records_come_oldest_first(store):
    for hours in (2, 0, 1):
        store.add(make_record(hours=hours, seed=hours))
    assert [record.seed for _, record in store.records()] == [0, 1, 2]


def test_a_finished_evaluation_is_found_by_its_key(store):
    record = make_record()
    store.add(make_record(seed=1))
    assert store.find(record.key()) is None
    path = store.add(record)
    assert store.find(record.key()) == (record, path)


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"task": "ucf101/linear"}, {"checkpoint": "d" * 64}, {"model": "mini/videomae"}]
)
def test_what_can_change_a_score_changes_the_key(store, change):
    store.add(make_record())
    assert store.find(make_record(**change).key()) is None


def test_what_cannot_change_a_score_does_not_change_the_key():
    assert make_record(hours=5).key() == make_record().key()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [('"seed": 0', '"sed": 0', "'seed'|'sed'"), ('"seed": 0', '"seed": "0"', "'seed'"), ("{", "", "not a record")],
)
def test_a_file_that_is_no_record_is_named(store, old, new, message):
    path = store.add(make_record())
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ValueError, match=message) as caught:
        list(store.records())
    assert str(caught.value).startswith(f"{path}: not a record of this version")


def test_an_empty_store_has_no_records(store):
    assert list(store.records()) == []
    assert store.find(make_record().key()) is None


def test_provenance_says_what_ran():
    described = make_record().provenance
    assert described.sigma_bench
    assert described.seconds == {"fit": 1.235}
    assert {"python", "torch", "numpy"} <= described.versions.keys()
    assert any(name.startswith("faiss-") for name in described.versions)
    assert described.num_processes == 1


@pytest.mark.parametrize(
    "name", ["..", ".", "../../etc", "/etc/passwd", "a/b", "a\\b", ".hidden", "a b\n", "ü", "x" * 300]
)
def test_no_model_name_leaves_its_folder(store, name):
    assert "/" not in folder_name(name) and not folder_name(name).startswith(".") and len(folder_name(name)) <= 100
    record = make_record(model=name)
    path = store.add(record)
    assert path.relative_to(store.root / "records").parts[1:3] == ("ucf101", "knn")
    assert store.find(record.key()) == (record, path)


def test_different_names_are_different_folders():
    names = ["a/b", "a%2Fb", "a_b", "..", "%2E.", "x" * 100, "x" * 101, "x" * 102, "timm:vit.dino@8x112"]
    assert len({folder_name(name) for name in names}) == len(names)
    assert folder_name("mini_sigma-mlp.v2") == "mini_sigma-mlp.v2"


def write_many(root, writer):
    """Records of one writer, one that all writers share, and predictions that all records share."""
    store, arrays = Store(root), predictions(0.5)
    record = make_record().model_copy(update={"predictions": store.add_predictions(arrays)})
    for number in range(RECORDS_PER_WRITER):
        store.add(record.model_copy(update={"seed": 1000 * writer + number}))
    store.add_predictions(arrays)
    store.add(record.model_copy(update={"seed": 9999, "provenance": SHARED}))


SHARED = make_record().provenance
RECORDS_PER_WRITER = 200


def test_eight_processes_write_at_once_and_nothing_is_lost(store):
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_many, args=(store.root, writer)) for writer in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 8
    seeds = sorted(record.seed for _, record in store.records())
    assert seeds == [*(1000 * writer + number for writer in range(8) for number in range(RECORDS_PER_WRITER)), 9999]
    assert len(files_below(store.root)) == len(seeds) + 1
