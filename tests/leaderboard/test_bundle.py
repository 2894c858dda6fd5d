"""From records to a folder: complete, verifiable by itself, the same bytes each time; exports for other programs."""

import hashlib
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from sigma_bench.leaderboard.bundle import write_bundle
from sigma_bench.leaderboard.exports import jsonl
from sigma_bench.leaderboard.fill import fill
from sigma_bench.leaderboard.mteb import mteb_files
from sigma_bench.leaderboard.select import select
from sigma_bench.records.store import Store
from sigma_bench.records.verification import verify_store
from tests.leaderboard.samples import mini_records, tiny_board
from tests.records.filled import add, predictions

CURVES = {"a": [[{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}]]}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    filled = Store(tmp_path / "store")
    for number, model in enumerate(("a", "b")):
        for seed in range(2):
            add(filled, predictions(0.5, seed=2 * number + seed), model=model, pretraining_seed=seed)
    return filled


def test_a_folder_for_a_paper(store: Store, tmp_path: Path) -> None:
    boards = [fill(tiny_board(), store, store.records())]
    folder = tmp_path / "paper"
    files = write_bundle(folder, boards, store, CURVES, with_predictions=True)
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()) == sorted(files)
    assert {f"tables/tiny.{kind}" for kind in ("tex", "md", "csv")} <= set(files)
    assert {f"figures/{name}.{kind}" for name in ("tiny_scores", "training") for kind in ("pdf", "png")} <= set(files)
    assert (folder / "figures/tiny_scores.pdf").read_bytes().startswith(b"%PDF")
    manifest = json.loads((folder / "manifest.json").read_text())
    assert set(manifest["files"]) == set(files) - {"manifest.json"}
    for name, said in manifest["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == said["sha256"], name
    found = verify_store(Store(folder))
    assert (found.num_records, found.num_scores, found.problems) == (4, 8, ())
    again = tmp_path / "again"
    assert write_bundle(again, boards, store, CURVES, with_predictions=True) == files
    assert all((again / name).read_bytes() == (folder / name).read_bytes() for name in files)


def test_a_table_that_was_changed_afterwards_is_found(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "paper"
    write_bundle(folder, [fill(tiny_board(), store, store.records())], store, {}, with_predictions=True)
    table = folder / "tables/tiny.tex"
    table.write_text(table.read_text().replace("Tiny", "Tidy"))
    (folder / "tables/tiny.csv").unlink()
    missing, changed = verify_store(Store(folder)).problems
    assert "tiny.csv: is listed in manifest.json but does not exist" in missing
    assert "tiny.tex: was changed after it was written" in changed
    (folder / "manifest.json").write_text("[]")
    assert "not the manifest of an exported folder" in verify_store(Store(folder)).problems[0]


def test_where_the_store_lies_changes_no_byte(store: Store, tmp_path: Path) -> None:
    moved = Store(tmp_path / "moved")
    shutil.copytree(store.root, moved.root)
    texts = []
    for place in (store, moved):
        folder = tmp_path / f"paper_of_{place.root.name}"
        write_bundle(folder, [fill(tiny_board(), place, place.records())], place, {}, with_predictions=True)
        texts.append((folder / "tables/tiny_long.jsonl").read_text())
    assert texts[0] == texts[1] and str(tmp_path) not in texts[0]


def test_missing_predictions_are_one_sentence(store: Store, tmp_path: Path) -> None:
    shutil.rmtree(store.root / "predictions")
    boards = [fill(tiny_board(), store, store.records())]
    with pytest.raises(ValueError, match="predictions are not here; export with --no-predictions"):
        write_bundle(tmp_path / "paper", boards, store, {}, with_predictions=True)
    assert "manifest.json" in write_bundle(tmp_path / "paper", boards, store, {}, with_predictions=False)


def test_a_folder_that_holds_something_is_left_alone(store: Store, tmp_path: Path) -> None:
    (tmp_path / "paper").mkdir()
    (tmp_path / "paper" / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="not empty"):
        write_bundle(tmp_path / "paper", [], store, {}, with_predictions=False)


def test_json_lines_come_back_as_the_long_table() -> None:
    table = select(mini_records())
    lines = jsonl(table).splitlines()
    assert len(lines) == len(table)
    back = pd.DataFrame([json.loads(line) for line in lines])
    assert list(back.columns) == list(table.columns)
    for column in ("model", "task", "value", "low", "high", "record_id", "controls"):
        assert list(back[column]) == list(table[column])


def test_mteb_layout(store: Store) -> None:
    files = {path: json.loads(text) for path, text in mteb_files(record for _, record in store.records()).items()}
    results = {path: content for path, content in files.items() if not path.endswith("model_meta.json")}
    assert len(files) - len(results) == 4  # two models with two checkpoints each
    record = next(r for _, r in store.records() if r.model.model == "b" and r.model.pretraining_seed == 0)
    path = f"b/{record.model.checkpoint_sha256[:12]}/ucf101.knn.{record.fingerprint}.json"
    (scores,) = results[path]["scores"]["test"]
    assert results[path]["task_name"] == "ucf101/knn"
    assert scores["main_score"] == scores["top1"] == record.scores[0].value
    assert (
        files[f"b/{record.model.checkpoint_sha256[:12]}/model_meta.json"]["revision"] == record.model.checkpoint_sha256
    )


def test_unknown_epochs_are_null_in_json_lines() -> None:
    table = pd.DataFrame({"model": ["steps", "epochs"], "pretraining_epochs": [0, 10]})
    assert jsonl(table).splitlines() == [
        '{"model": "steps", "pretraining_epochs": null}',
        '{"model": "epochs", "pretraining_epochs": 10}',
    ]
