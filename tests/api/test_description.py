"""``describe``: custom data become a dataset of the catalogue, whose records are those of their CSV."""

import csv
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import sigma_bench as sb
from sigma_bench.api.resolved_tasks import resolve_tasks
from sigma_bench.data.datasets import open_dataset
from sigma_bench.leaderboard.rerun import rerun_command
from sigma_bench.resources import INCLUDE_VARIABLE
from sigma_bench.specs import catalogue
from sigma_bench.specs.dataset import DatasetFile
from sigma_bench.specs.strict import load_spec
from tests.cli.test_cli import run

MODEL = "statistics:mini_videomae"
HOSTILE = (
    *("$\\frac$", "<script>alert(1)</script>", "[click](javascript:alert(1))", "=cmd|' /C calc'!A0", "@SUM(1)"),
    *("a\\b", "%s{x}#&_~^", "a|b`c", "null", "1e3", "yes: no", "- x", "# x", "'\"", "&a *a !!map", "\u202eevil", "É"),
)
"""Labels that YAML, a terminal or a table could read as something else."""


@pytest.fixture(autouse=True)
def _nothing_included(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(INCLUDE_VARIABLE, "")


def write_pictures(folder: Path, names: list[str]) -> None:
    for seed, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(folder / name)


def write_rows(csv: Path, rows: list[str], header: str = "path,label,split,group") -> None:
    csv.write_text("\n".join([header, *rows, ""]))


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """A CSV of 36 pictures of 2 classes by 6 persons, without splits, in a folder of its own."""
    names = [f"pictures/{person}{number}.png" for person in "abcdef" for number in range(6)]
    write_pictures(tmp_path / "lab", names)
    rows = [f"{name},{'run' if number % 2 else 'walk'},all,{name[9]}" for number, name in enumerate(names)]
    write_rows(tmp_path / "lab" / "clips.csv", rows)
    return tmp_path / "lab" / "clips.csv"


def included(clips: Path, name: str, **options: Any) -> DatasetFile:
    """The declaration of the clips, beside them and included."""
    sb.describe(clips, name=name, output=clips.parent, **options)
    sb.include(clips.parent)
    return catalogue.load_dataset_file(name)


def test_the_declaration_holds_what_was_found_and_what_can_be_run(clips: Path) -> None:
    file = included(clips, "mine")
    assert (file.classes, file.splits["all"].samples, file.reader, file.asks) == (2, 36, "user_files", "unspecified")
    assert file.files is not None and file.files.csv == str(clips)
    folds = {name: (task.protocol, task.folds) for name, task in file.tasks.items()}
    assert folds.pop("clustering") == ("clustering@1", "official")
    assert folds == {name: (f"{name}@1", "leave_one_group_out") for name in ("knn", "linear", "attentive")}
    assert 'files: {csv: "../clips.csv"}' in (clips.parent / "tasks/mine.yaml").read_text()
    assert list(sb.tasks("mine/*")["task"]) == [f"mine/{name}" for name in sorted(file.tasks)]


def test_train_and_test_need_no_folds_and_small_data_say_what_is_missing(clips: Path) -> None:
    lines = clips.read_text().splitlines()[1:]
    write_rows(clips, [line.replace("all", "train" if line[-1] in "abcd" else "test") for line in lines])
    assert set(included(clips, "whole").tasks) == {"knn", "linear", "attentive", "clustering"}
    assert {task.folds for task in catalogue.load_dataset_file("whole").tasks.values()} == {"official"}
    few = [line for line in clips.read_text().splitlines()[1:] if line[-1] in "aef"]
    write_rows(clips, few)
    file = sb.describe(clips, name="few", output=clips.parent)
    assert set(load_spec(DatasetFile, file).tasks) == {"linear", "attentive", "clustering"}
    comment = "  # knn: {protocol: knn@1}  # needs 20 samples of train at once, and there are 6\n"
    assert comment in file.read_text()


def test_records_are_those_of_the_csv_and_only_the_name_can_differ(clips: Path, tmp_path: Path) -> None:
    output = tmp_path / "runs"
    options: dict[str, Any] = {"output": output, "progress": False, "device": "cpu"}
    (direct,) = sb.evaluate(MODEL, csv=clips, protocols="knn@1", folds="leave_one_group_out", **options)
    included(clips, "clips")
    included(clips, "other")
    (same,), (other,) = (sb.evaluate(MODEL, f"{name}/knn", **options) for name in ("clips", "other"))
    assert same.id == direct.id  # found, not computed again
    assert (other.data, other.scores, other.predictions) == (direct.data, direct.scores, direct.predictions)
    card = direct.task.dataset.model_copy(update={"dataset": "other", "title": "other"})
    assert other.task == direct.task.model_copy(update={"task": "other/knn", "dataset": card})
    differing = {key for key, value in other.key().items() if direct.key()[key] != value}
    assert differing == {"fingerprint"}
    command = "sigma-bench --include FOLDER evaluate statistics:RECIPE --task other/knn --seed 0"
    assert rerun_command(other) == command


def test_a_folder_that_moves_with_its_data_stays_valid(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    included(clips, "mine")
    before = open_dataset(catalogue.load_dataset("mine"), None).splits["all"].ids
    moved = shutil.move(clips.parent, tmp_path / "elsewhere")
    monkeypatch.setenv(INCLUDE_VARIABLE, "")
    sb.include(moved)
    manifest = open_dataset(catalogue.load_dataset("mine"), None)
    assert manifest.splits["all"].ids == before and manifest.splits["all"].missing == ()
    outside = sb.describe(Path(moved) / "clips.csv", name="outside", output=tmp_path / "away")
    assert load_spec(DatasetFile, outside).files.csv == str(tmp_path / "elsewhere/clips.csv")  # type: ignore[union-attr]


def test_tasks_of_custom_and_official_datasets_go_together(clips: Path, tmp_path: Path) -> None:
    included(clips, "mine")
    assert [source for _, source in resolve_tasks("mine/*")] == [None] * 4
    names = ["mine/knn", "cifar100/knn"]
    assert {task.task: source for task, source in resolve_tasks(names, data=tmp_path)} == dict.fromkeys(names, tmp_path)
    with pytest.raises(ValueError, match="data is missing: give the root folder that holds the datasets"):
        resolve_tasks(names)
    suite = clips.parent / "tasks/suites/mine.yaml"
    suite.parent.mkdir()
    suite.write_text("suite: mine\nsummary: two\ntasks: [mine/knn, mine/clustering]\n")
    assert [task.task for task, _ in resolve_tasks((), suite="mine")] == ["mine/knn", "mine/clustering"]


@pytest.mark.parametrize("kind", ["folders", "csv"])
def test_labels_that_look_like_yaml_stay_labels(tmp_path: Path, kind: str) -> None:
    data = tmp_path / "data"
    labels = [label for label in HOSTILE if kind == "csv" or "/" not in label]
    if kind == "folders":
        write_pictures(data, [f"{label}/{number}.png" for label in labels for number in range(2)])
    else:
        data.mkdir()
        with (data / "c.csv").open("w", newline="") as stream:
            csv.writer(stream).writerows(
                [
                    ("path", "label", "split"),
                    *(
                        (f"{n}.png", label, "all")
                        for n, label in enumerate(label for label in labels for _ in range(2))
                    ),
                ]
            )
    path = data if kind == "folders" else data / "c.csv"
    file = sb.describe(path, name="odd", output=tmp_path, folds="leave_one_group_out")
    sb.include(tmp_path)
    spec = catalogue.load_dataset_file("odd")
    assert spec.classes == len(labels) and spec.dataset == spec.title == "odd"
    assert all(line.isprintable() for line in file.read_text().splitlines())


@pytest.mark.parametrize("name", ["null", "1e3", "true", "0", "a.b-c_D", "no"])
def test_a_name_that_yaml_reads_as_a_value_stays_a_name(clips: Path, name: str) -> None:
    assert included(clips, name).dataset == name
    assert f"{name}/knn" in catalogue.task_names()


@pytest.mark.parametrize("name", ["", ".", "../x", "a/b", "a b", "a*", "[a]", "x.yaml", "x\n", "a+b", "é", "x" * 101])
def test_a_name_that_cannot_be_a_file_is_refused(clips: Path, name: str) -> None:
    with pytest.raises(ValueError, match="give up to 100 letters"):
        sb.describe(clips, name=name, output=clips.parent)
    odd = clips.rename(clips.with_name("my clips.csv"))
    with pytest.raises(ValueError, match=r"my clips\.csv: this name cannot be that of a dataset; give --name up to"):
        sb.describe(odd, output=clips.parent)
    assert not (clips.parent / "tasks").exists()


def test_nothing_is_overwritten_and_no_name_is_taken_twice(clips: Path, tmp_path: Path) -> None:
    file = sb.describe(clips, output=clips.parent)
    assert file.name == "clips.yaml"
    before = file.read_text()
    with pytest.raises(ValueError, match=r"tasks/clips\.yaml: exists and is not overwritten"):
        sb.describe(clips, output=clips.parent)
    assert file.read_text() == before
    with pytest.raises(ValueError, match=r"--name ucf101: this dataset is already declared in .*tasks/ucf101\.yaml"):
        sb.describe(clips, name="ucf101", output=clips.parent)
    sb.include(clips.parent)
    with pytest.raises(ValueError, match="--name clips: this dataset is already declared"):
        sb.describe(clips, output=tmp_path)


def test_data_without_splits_and_groups_need_folds(clips: Path) -> None:
    rows = [line.rpartition(",")[0] for line in clips.read_text().splitlines()[1:]]
    write_rows(clips, rows, "path,label,split")
    with pytest.raises(ValueError, match="neither splits nor groups; state how they are divided, by --folds 5"):
        sb.describe(clips, output=clips.parent)
    with pytest.raises(ValueError, match="folds 'sideways': choose"):
        sb.describe(clips, output=clips.parent, folds="sideways")
    assert set(included(clips, "mine", folds="leave_one_group_out").tasks) >= {"knn", "linear"}


def test_data_that_moved_or_changed_are_named_with_the_remedy(
    clips: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    included(clips, "mine")
    rows = clips.read_text().splitlines()[1:]
    yaml = clips.parent / "tasks/mine.yaml"
    for changed, said in (
        (rows[1:], "has 35 all samples, but {} states 36"),
        ([*rows, "new.png,jump,all,a"], "has 3 classes and 37 all samples, but {} states 2 and 36"),
        (
            [row.replace("all", "test" if row[-1] == "a" else "train") for row in rows],
            "has 0 all samples and 30 train samples and 6 test samples, but {} states 36 and 0 and 0",
        ),
    ):
        write_rows(clips, changed)
        with pytest.raises(ValueError) as caught:
            open_dataset(catalogue.load_dataset("mine"), None)
        assert f"{clips}: {said.format(yaml)}: undo the change, or correct the numbers there" in str(caught.value)
        code, _, err = run(monkeypatch, capsys, "data", "verify", "mine")
        assert (code, " ".join(err.split())) == (2, f"error: {caught.value}")
    clips.rename(clips.with_name("moved.csv"))
    code, _, err = run(monkeypatch, capsys, "data", "prepare", "mine")
    with pytest.raises(ValueError, match=r"clips\.csv: not found; .*mine\.yaml states that the data of mine are here"):
        open_dataset(catalogue.load_dataset("mine"), None)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('{csv: "../clips.csv"}', "{}", "give the path of a CSV as 'csv'"),
        ('{csv: "../clips.csv"}', "{csv: a.csv, folders: b}", "give the path of a CSV as 'csv'"),
        ('{csv: "../clips.csv"}', "{cvs: a.csv}", "unknown key 'files.cvs'. Did you mean 'csv'"),
        ("reader: user_files", "reader: ucf101", "the key 'files' and the reader 'user_files' belong together"),
        ("files: ", "# files: ", "the key 'files' and the reader 'user_files' belong together"),
    ],
)
def test_a_wrong_location_is_one_sentence(clips: Path, before: str, after: str, said: str) -> None:
    included(clips, "mine")
    path = clips.parent / "tasks/mine.yaml"
    path.write_text(path.read_text().replace(before, after))
    with pytest.raises(ValueError) as caught:
        catalogue.load_dataset("mine")
    assert str(caught.value).startswith(str(path)) and said in str(caught.value)
