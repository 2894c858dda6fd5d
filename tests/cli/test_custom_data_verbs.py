"""The verbs for data read custom data, by path and by the name of an included dataset, as they read official data."""

import csv
import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import sigma_bench as sb
from sigma_bench.data.custom_data import open_custom
from sigma_bench.data.identity import identified
from sigma_bench.data.ledger import Ledger
from sigma_bench.data.media_opening import open_media
from sigma_bench.miniworld.writers import write_video
from sigma_bench.resources import INCLUDE_VARIABLE
from tests.cli.test_cli import run

NAMES = [f"{label}/{number}{suffix}" for label in ("run", "walk") for number, suffix in ((0, ".mp4"), (1, ".webm"))]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two classes of two videos, of which one is damaged and one is a copy of another; the current folder is above."""
    monkeypatch.setenv(INCLUDE_VARIABLE, "")
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "moves"
    for seed, name in enumerate(NAMES):
        column = np.linspace(0, 200, 64) + 10 * seed  # smooth, so that decoders round colours alike
        frame_THWC = np.broadcast_to(column[:, None] + 2 * np.arange(12)[:, None, None, None], (12, 32, 64, 3))
        write_video(root / name, frame_THWC.astype(np.uint8))
    shutil.copyfile(root / NAMES[0], root / "walk/2.mp4")
    (root / "walk/3.mp4").write_bytes(b"no video")
    return root


@pytest.fixture
def described(tree: Path) -> Path:
    """A CSV outside the tree that names its videos by absolute paths, declared as the dataset 'moves'."""
    rows = [
        (str(tree / name), name.partition("/")[0], "all", name[-1]) for name in (*NAMES, "walk/2.mp4", "walk/3.mp4")
    ]
    file = tree.parent / "lists" / "clips.csv"
    file.parent.mkdir()
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows([("path", "label", "split", "group"), *rows])
    sb.describe(file, name="moves", output=tree.parent / "lab")
    sb.include(tree.parent / "lab")
    return file


def say(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code, out, err = run(monkeypatch, capsys, *words)
    return code, out, " ".join(err.split())


def test_files_are_verified_once_whatever_the_data_are_called(described: Path, tree: Path, monkeypatch, capsys) -> None:
    tables = []
    for words in (["moves"], ["--csv", described]):
        code, out, _ = say(monkeypatch, capsys, "data", "verify", *words, "--num-workers", "1")
        name = "moves" if words == ["moves"] else "clips"
        assert code == 1 and f"{name} all: {tree}/walk/3.mp4 is broken" in out
        assert f"{name} all: {tree}/walk/2.mp4 has the content of all/{tree}/run/0.mp4" in out
        tables.append(out)
    ledger = described.with_name("clips.csv.ledger.jsonl")
    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    assert sorted(line["path"] for line in lines) == sorted(str(path) for path in tree.rglob("*.*"))  # each once
    decoders = Counter(line["decoder"] for line in lines if "decoder" in line)
    assert decoders.total() == 5  # all but the damaged one
    assert all(f"{name} {number}" in table for table in tables for name, number in decoders.items())
    manifest = open_custom(described)
    before = ledger.read_bytes()
    samples = identified(manifest, manifest.splits.values()).splits["all"].samples
    assert ledger.read_bytes() == before  # an evaluation finds the results of the verification
    assert {sample.content for sample in samples} == {line.get("sha256") for line in lines}

    other = tree.parent / "ledgers"
    other.mkdir()
    code, _, _ = say(monkeypatch, capsys, "data", "verify", "--folders", tree, "--ledger", other, "--num-workers", "1")
    assert code == 1 and len(Ledger.read(other / "moves.ledger.jsonl")) == 6
    assert not (tree.parent / "moves.ledger.jsonl").exists()


def test_a_contact_sheet_and_a_manifest_of_custom_data(described: Path, tree: Path, monkeypatch, capsys) -> None:
    for words in (["moves"], ["--csv", described], ["--folders", tree]):
        name = "clips" if "--csv" in words else "moves"
        assert say(monkeypatch, capsys, "data", "show", *words)[:2] == (0, f"contact sheet: {name}-all.png\n")
        assert Path(f"{name}-all.png").read_bytes().startswith(b"\x89PNG")
    assert "--split train: moves has all" in say(monkeypatch, capsys, "data", "show", "moves", "--split", "train")[2]
    assert say(monkeypatch, capsys, "data", "prepare", "moves")[0] == 0
    (tree / NAMES[0]).unlink()
    code, out, _ = say(monkeypatch, capsys, "data", "prepare", "moves")
    rows = [json.loads(line) for line in (described.parent / "moves.manifest.jsonl").read_text().splitlines()]
    assert code == 1 and f"all: 1 of 6 missing: {tree}/{NAMES[0]}" in out
    assert [row["found"] for row in rows] == [False, *[True] * 5] and [row["label"] for row in rows][:3] == [0, 0, 1]
    assert say(monkeypatch, capsys, "data", "prepare", "--folders", tree)[0] == 0
    assert (tree.parent / "moves.manifest.jsonl").is_file()


def test_the_name_of_a_custom_dataset_is_no_data_root(described: Path, tree: Path, monkeypatch, capsys) -> None:
    """A folder 'moves' is in the current folder."""
    assert "4 of" not in say(monkeypatch, capsys, "data", "verify", "./moves")[1]
    for words, said in (
        ([], "no data are named: give a data root, the name of a custom dataset, or --csv or --folders"),
        (["moves", "--csv", described], "moves: --csv and --folders name the data"),
        (["--csv", described, "--folders", tree], "give --csv or --folders, not both"),
        (["./moves"], "./moves: there is no folder of a dataset here"),
    ):
        code, _, err = say(monkeypatch, capsys, "data", "verify", *words)
        assert code == 2 and said in err
    for words in (["show", "./moves"], ["show", "moves", "moves"], ["transcode", "./moves", "out"]):
        code, _, err = say(monkeypatch, capsys, "data", *words)
        assert code == 2 and "give a data root and the name of one dataset below it" in err
    code, _, err = say(monkeypatch, capsys, "data", "verify", "moves", "ssv2")
    assert code == 2 and "data is missing: give the root folder that holds Something-Something" in err


@pytest.mark.parametrize("source", ["csv", "folders", "name"])
def test_a_transcoded_copy_is_another_dataset(source: str, described: Path, tree: Path, monkeypatch, capsys) -> None:
    words = {"csv": ["--csv", described], "folders": ["--folders", tree], "name": ["moves"]}[source]
    name = "clips" if source == "csv" else "moves"
    options = ["--num-workers", "1", "--short-side", "16"]
    code, out, _ = say(monkeypatch, capsys, "data", "transcode", *words, "fast", *options)
    assert code == 1 and f"is in fast/{name}_transcoded.csv; 1 videos could not be read" in out
    copy, before = open_custom(Path(f"fast/{name}_transcoded.csv")), open_custom(described)
    assert (copy.dataset, copy.classes) == (f"{name}_transcoded", before.classes)
    pairs = list(zip(before.splits["all"].samples, copy.splits["all"].samples, strict=True))
    assert [new.id for _, new in pairs] == ["run/0.mp4", "run/1.mp4", *(f"walk/{n}.mp4" for n in range(4))]
    assert [new.label for _, new in pairs] == [old.label for old, _ in pairs]
    assert [new.path.exists() for _, new in pairs] == [True] * 5 + [False]
    for old, new in pairs[:5]:
        ours, theirs = open_media(new), open_media(old)
        assert len(ours) == len(theirs) == 12 and ours.frames([0]).shape[1:3] == (16, 32)
    code, _, err = say(monkeypatch, capsys, "data", "transcode", *words, tree, *options)
    assert code == 2 and "choose another folder for the copy" in err
    code, _, err = say(monkeypatch, capsys, "data", "transcode", *words, described.parent, *options)
    assert code == 2 and "contains files that were not transcoded here" in err


def test_a_copy_stays_in_its_folder_whatever_the_paths_in_the_csv(tree: Path, monkeypatch, capsys) -> None:
    listed = ["../moves/run/0.mp4", f"{tree}/run/1.webm", f"{tree}/run/../walk/0.mp4", "../moves/walk/../walk/1.webm"]
    file = tree.parent / "lists" / "clips.csv"
    file.parent.mkdir()
    file.write_text("".join(["path,label\n", *(f"{path},{number % 2}\n" for number, path in enumerate(listed))]))
    before = {path for path in tree.parent.rglob("*") if path.is_file()}
    words = ["data", "transcode", "--csv", file, "deep/fast", "--num-workers", "1"]
    assert say(monkeypatch, capsys, *words)[0] == 0
    written = {path for path in tree.parent.rglob("*") if path.is_file()} - before
    assert all(path.is_relative_to(tree.parent / "deep" / "fast") for path in written)
    copies = open_custom(Path("deep/fast/clips_transcoded.csv")).splits["all"].samples
    assert [sample.id for sample in copies] == ["run/0.mp4", "run/1.mp4", "walk/0.mp4", "walk/1.mp4"]
    assert [sample.label for sample in copies] == [0, 1, 0, 1] and all(sample.path.exists() for sample in copies)


def test_two_videos_never_become_one(described: Path, tree: Path, monkeypatch, capsys) -> None:
    shutil.copyfile(tree / "run/1.webm", tree / "run/0.webm")
    code, _, err = say(monkeypatch, capsys, "data", "transcode", "--folders", tree, "fast", "--num-workers", "1")
    assert code == 2 and "would both become 0.mp4; rename one of them" in err and not Path("fast/run").exists()


def test_loading_is_measured_on_custom_data(described: Path, tree: Path, monkeypatch, capsys) -> None:
    (tree / "walk/3.mp4").unlink()
    options = ["--clips", "2", "--rounds", "1", "--num-workers", "1", "--size", "32", "--output", "speed"]
    for words, name in ((["moves"], "moves"), (["--csv", described], "clips")):
        assert say(monkeypatch, capsys, "bench", "loading", *words, *options)[0] == 0
        assert Path(f"speed/loading_{name}_user.json").is_file()


def test_describe_states_the_folds(described: Path, tree: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv(INCLUDE_VARIABLE, "")
    _, out, _ = say(monkeypatch, capsys, "data", "describe", described, "--name", "a")
    assert out.splitlines()[1] == "folds: leave one group out (linear, attentive); --folds chooses others"
    _, out, _ = say(monkeypatch, capsys, "data", "describe", described, "--name", "b", "--folds", "2")
    assert out.splitlines()[1].startswith("folds: 2 folds of whole groups, classes balanced as far as")
    ordered, splits = (NAMES[0], NAMES[2], NAMES[1], NAMES[3]), ("train", "train", "test", "test")
    rows = [f"{tree / name},{name.partition('/')[0]},{split}" for name, split in zip(ordered, splits, strict=True)]
    Path("halves.csv").write_text("\n".join(["path,label,split", *rows]))
    _, out, _ = say(monkeypatch, capsys, "data", "describe", "halves.csv")
    assert out.splitlines()[1] == "folds: none; the data are used as given (train and test)"
