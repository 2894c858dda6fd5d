"""Custom data on the axes of SEVERE: a task file with few samples per class, and variants, for a CSV."""

from pathlib import Path
from typing import Any

import pytest

from sigma_bench.data.custom_data import custom_tasks, open_custom
from sigma_bench.data.manifest import Manifest
from sigma_bench.data.official_lists import draw_subset
from sigma_bench.protocols.finetune.spec import FinetuneProtocol
from sigma_bench.protocols.knn.spec import KnnProtocol
from sigma_bench.specs.catalogue import load_task, resolve
from sigma_bench.specs.fingerprint import task_fingerprint
from sigma_bench.specs.task import ResolvedTask, require_folds_used
from tests.cli.test_cli import run

TASK = """
task: diving48/finetune_few
dataset: diving48
protocol: finetune_mini@1
asks: motion
overrides: {train_per_class: 5}
note: "five dives of every class"
"""


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A CSV of 3 classes with 12 training and 4 test videos each, and a task file."""
    lines = [
        f"{split}{number}_{name}.mp4,{name},{split}"
        for split, each in (("train", 12), ("test", 4))
        for name in ("twist", "pike", "tuck")
        for number in range(each)
    ]
    (tmp_path / "diving48.csv").write_text("\n".join(["path,label,split", *lines]))
    (tmp_path / "few.yaml").write_text(TASK)
    return tmp_path / "diving48.csv", tmp_path / "few.yaml"


def tasks_of(csv: Path, **chosen: Any) -> list[tuple[ResolvedTask, Manifest]]:
    manifest = open_custom(csv)
    return [(task, manifest) for task in custom_tasks(manifest, **chosen)]


def test_a_task_file_trains_on_few_of_a_users_videos(files: tuple[Path, Path], tmp_path: Path) -> None:
    csv, task_file = files
    (tmp_path / "sizes.yaml").write_text(
        "variants: sizes\nsummary: two sizes\noverrides:\n  2-per-class: {train_per_class: 2}\n"
        "  8-per-class: {train_per_class: 8}\n"
    )
    tasks_on_data = tasks_of(csv, tasks=[str(task_file)], variants=str(tmp_path / "sizes.yaml"))
    assert [task.task for task, _ in tasks_on_data] == [
        *("diving48/finetune_few", "diving48/finetune_few+2-per-class", "diving48/finetune_few+8-per-class")
    ]
    trained_on = []
    for task, manifest in tasks_on_data:
        assert isinstance(task.protocol, FinetuneProtocol)
        train, test = task.protocol.splits(manifest.splits.keys(), task.folds)
        trained_on.append({sample.id for sample in draw_subset(manifest.splits["train"].samples, train.per_class)})
        assert (test.name, test.per_class) == ("test", None)
    assert [len(ids) for ids in trained_on] == [15, 6, 24]
    assert trained_on[1] < trained_on[0] < trained_on[2]  # a larger set holds the smaller ones
    assert len({task_fingerprint(task) for task, _ in tasks_on_data}) == 3


@pytest.mark.parametrize("protocol", ["clustering@1", "knn_loo@1"])
def test_folds_that_a_protocol_does_not_use_are_refused(files: tuple[Path, Path], protocol: str) -> None:
    csv = files[0]
    csv.write_text(csv.read_text().replace(",train", ",all").replace(",test", ",all"))
    sentence = f"{protocol} does not use folds, so 'leave_one_group_out' would have no effect; leave the folds out"
    with pytest.raises(ValueError, match=sentence):
        tasks_of(csv, protocols=[protocol], folds="leave_one_group_out")
    ((task, _),) = tasks_of(csv, protocols=[protocol], folds="official")
    with pytest.raises(ValueError, match=sentence):
        require_folds_used(task.model_copy(update={"folds": "leave_one_group_out"}))
    assert len(tasks_of(csv, protocols=["knn@1", "linear@1", "finetune@1"], folds="leave_one_group_out")) == 3


def test_custom_data_is_tested_under_every_condition(files: tuple[Path, Path]) -> None:
    tasks_on_data = tasks_of(files[0], protocols=["knn@1"], variants="conditions")
    assert len(tasks_on_data) == 37
    last = tasks_on_data[-1][0]
    assert last.task == "diving48/knn+occlusion-5" and isinstance(last.protocol, KnnProtocol)
    assert last.protocol.test_condition is not None


def test_a_task_file_of_other_data_is_refused(files: tuple[Path, Path]) -> None:
    with pytest.raises(ValueError, match="its dataset is 'ssv2', but your files are 'diving48'"):
        tasks_of(files[0], tasks=["ssv2/knn"])


def test_a_task_file_states_protocol_and_folds(files: tuple[Path, Path]) -> None:
    for more in ({"protocols": ["linear@1"]}, {"folds": "official"}):
        with pytest.raises(ValueError, match="the file of a --task states its own"):
            tasks_of(files[0], tasks=[str(files[1])], **more)
    assert [task.task for task, _ in tasks_of(files[0])] == ["diving48/knn", "diving48/linear"]


def test_options_of_custom_data_are_not_ignored_elsewhere(files, monkeypatch, capsys) -> None:
    catalogue = ["--task", "ssv2/knn", "--data", "nowhere"]
    for option in (["--protocol", "linear@1"], ["--folds", "leave_one_group_out"], ["--variants", "conditions"]):
        code, _, err = run(monkeypatch, capsys, "evaluate", "statistics:mini_videomae", *catalogue, *option)
        assert code == 2 and f"{' '.join(option).removeprefix('--')} is for custom data" in " ".join(err.split())
    own = ["--csv", files[0], "--data", "nowhere"]
    code, _, err = run(monkeypatch, capsys, "evaluate", "statistics:mini_videomae", *own)
    assert code == 2 and "data nowhere is for tasks of the catalogue" in " ".join(err.split())


@pytest.mark.parametrize("name", ["hmdb51/linear+10-per-class", "ucf101_1k/finetune_mini+10-per-class"])
def test_a_number_of_samples_goes_with_frozen_and_with_trained_tasks(name: str) -> None:
    assert resolve(load_task(name)).protocol.train_per_class == 10  # type: ignore[union-attr]


def test_missing_files_are_named_with_missing_folds(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("path,label\nno/a.mp4,run\nno/b.mp4,walk\n")
    manifest = open_custom(tmp_path / "mine.csv")
    with pytest.raises(ValueError, match=r"not divided .*; besides, 2 of the 2 listed files are missing, such as .*/a"):
        custom_tasks(manifest)
