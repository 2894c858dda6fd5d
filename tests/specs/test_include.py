"""Included folders: declarations of a user are found like those of the package and do not replace any of them."""

import subprocess
import sys
from pathlib import Path

import pytest

from sigma_bench.data.datasets import open_dataset
from sigma_bench.resources import INCLUDE_VARIABLE, declared, include, included
from sigma_bench.specs import catalogue
from sigma_bench.specs.board import board_names, load_board
from sigma_bench.specs.fingerprint import task_fingerprint
from tests.cli.test_cli import run

FILES = {
    "tasks/kitchen.yaml": """
dataset: kitchen
base: ssv2
title: Kitchen clips
reader: kitchen_lists
folder: null
classes: 2
class_map_sha256: null
splits:
  train: {samples: 4}
  test: {samples: 2}
tasks:
  knn: {}
  knn5: {protocol: knn5@1}
  finetune: {overrides: {optim: {epochs: 3}}}
""",
    "tasks/protocols/knn5@1.yaml": "protocol: knn5@1\nbase: knn@1\nsummary: five neighbours\nneighbours: 5\n",
    "tasks/suites/mine.yml": "suite: mine\nsummary: one task\ntasks: [kitchen/knn5]\nvariants: rates\n",
    "tasks/variants/rates.yaml": "variants: rates\nsummary: one\noverrides:\n  cold: {temperature: 0.01}\n",
    "pretrain/mine.yaml": None,
    "boards/mine.yaml": """
name: mine
title: Mine
rows: []
columns:
  - {group: Kitchen, label: kNN, task: kitchen/knn5, metric: top1}
published: null
note: ''
""",
}


@pytest.fixture(autouse=True)
def _nothing_included(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(INCLUDE_VARIABLE, "")


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A folder with one declaration of every kind."""
    recipe = declared("pretrain")["mini_videomae"].read_text().replace("recipe: mini_videomae", "recipe: mine")
    for name, text in FILES.items():
        write(tmp_path / "lab" / name, text or recipe)
    return tmp_path / "lab"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.lstrip())
    return path


def test_every_kind_of_declaration_is_found(lab: Path) -> None:
    include(lab)
    assert {"kitchen/knn", "kitchen/knn5", "kitchen/finetune", "ssv2/knn"} <= set(catalogue.task_names())
    task = catalogue.resolve(catalogue.load_task("kitchen/knn5+cold"))
    assert (task.protocol.protocol, task.dataset.title, task.asks) == ("knn5@1", "Kitchen clips", "motion")
    assert task.protocol.model_dump()["neighbours"] == 5 and task.protocol.model_dump()["temperature"] == 0.01
    assert task.protocol.model_dump()["clip"]["sampling"] == {"sampler": "uniform"}  # as on the base
    assert catalogue.load_suite("mine").tasks == ("kitchen/knn5", "kitchen/knn5+cold")
    assert catalogue.load_recipe("mine").recipe == "mine"
    assert "mine" in board_names() and load_board("mine").columns[0].task == "kitchen/knn5"


def test_a_task_starts_from_the_task_of_the_base(lab: Path) -> None:
    include(lab)
    ours, base = (catalogue.resolve(catalogue.load_task(f"{name}/finetune")) for name in ("kitchen", "ssv2"))
    mine, theirs = ours.protocol.model_dump(), base.protocol.model_dump()
    assert mine.pop("optim") == theirs.pop("optim") | {"epochs": 3}
    assert mine == theirs
    assert task_fingerprint(ours) != task_fingerprint(base)


def test_suggestions_see_included_names(lab: Path) -> None:
    include(lab)
    for load, wrong, right in (
        (catalogue.load_task, "kitchen/knn6", "kitchen/knn5"),
        (catalogue.load_dataset, "kitchn", "kitchen"),
        (catalogue.load_protocol, "knn6@1", "knn5@1"),
        (catalogue.load_suite, "mines", "mine"),
        (catalogue.load_recipe, "minee", "mine"),
        (load_board, "minee", "mine"),
    ):
        with pytest.raises(ValueError, match=f"Did you mean .*'{right}'"):
            load(wrong)


def test_what_is_no_longer_included_is_no_longer_found(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    include(lab)
    include(lab)
    assert included() == (lab,)
    assert "kitchen/knn5" in catalogue.task_names()
    write(lab / "tasks/kitchen.yaml", FILES["tasks/kitchen.yaml"].replace("knn5:", "knn_five:"))  # type: ignore[union-attr]
    assert "kitchen/knn_five" in catalogue.task_names()
    monkeypatch.setenv(INCLUDE_VARIABLE, "")
    assert not [name for name in catalogue.task_names() if name.startswith("kitchen/")]
    with pytest.raises(ValueError, match="there is no task 'kitchen/knn_five'"):
        catalogue.load_task("kitchen/knn_five")


def _absent(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))


REFUSED = {
    "a built-in dataset": ("tasks/ssv2.yaml", "the dataset 'ssv2' is already declared in"),
    "a built-in protocol": ("tasks/protocols/knn@1.yml", "the protocol 'knn@1' is already declared in"),
    "a built-in suite": ("tasks/suites/demo.yaml", "the suite 'demo' is already declared in"),
    "a built-in recipe": ("pretrain/mini_dino.yaml", "the recipe 'mini_dino' is already declared in"),
    "a built-in board": ("boards/mini.yaml", "the board 'mini' is already declared in"),
    "itself": ("tasks/kitchen.yml", "the dataset 'kitchen' is already declared in"),
    "a folder that is not read": ("tasks/kitchen/knn.yaml", "declarations are read from tasks/ and its folders"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_folder_that_shadows_is_refused_with_the_same_sentence_everywhere(
    name: str, lab: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file, sentence = REFUSED[name]
    write(lab / file, "x: 1\n")
    assert_refused(lab, sentence, monkeypatch, capsys)


def test_a_folder_that_shadows_another_included_one_is_refused(
    lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "other/tasks/kitchen.yaml", "x: 1\n")
    include(lab)
    assert_refused(tmp_path / "other", "the dataset 'kitchen' is already declared in", monkeypatch, capsys)


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        (None, "there is no such folder to include"),
        ("task/kitchen.yaml", "an included folder holds tasks/, pretrain/ or boards/, and here is none of them"),
    ],
)
def test_a_folder_without_declarations_is_refused(
    file: str | None, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if file is not None:
        write(tmp_path / "wrong" / file, "x: 1\n")
    assert_refused(tmp_path / "wrong", sentence, monkeypatch, capsys)


def assert_refused(
    folder: Path, sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From Python, by the option before and after the verb, and by the environment variable; nothing is included."""
    before = included()
    with pytest.raises(ValueError) as caught:
        include(folder)
    assert sentence in str(caught.value)
    for words in (["--include", folder, "tasks"], ["tasks", "--include", folder], ["tasks", f"--include={folder}"]):
        code, out, err = run(monkeypatch, capsys, *words)
        assert (code, out, " ".join(err.split())) == (2, "", f"error: {caught.value}")
    assert included() == before
    monkeypatch.setenv(INCLUDE_VARIABLE, ":".join(map(str, (*before, folder))))
    code, _, err = run(monkeypatch, capsys, "tasks")
    assert (code, " ".join(err.split())) == (2, f"error: {caught.value}")


def test_the_option_needs_a_folder(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(monkeypatch, capsys, "tasks", "--include")
    assert (code, err.strip()) == (2, "error: --include: the folder is missing")


def test_a_variant_belongs_to_one_file(lab: Path) -> None:
    write(lab / "tasks/variants/rates.yaml", FILES["tasks/variants/rates.yaml"].replace("cold", "blur-3"))  # type: ignore[union-attr]
    include(lab)
    with pytest.raises(ValueError, match="the variant 'blur-3' of 'rates' is also defined in another file"):
        catalogue.load_task("ssv2/knn+blur-3")


@pytest.mark.parametrize(
    ("file", "text", "sentence"),
    [
        ("tasks/a.yaml", "dataset: a\nbase: finegym_ub_s1\n", "'finegym_ub_s1' has a base itself, 'finegym_gym99'"),
        ("tasks/a.yaml", "dataset: a\nbase: ssv3\n", r"a.yaml: key 'base': there is no dataset 'ssv3'\. Did you mean"),
        (
            "tasks/protocols/a@1.yaml",
            "protocol: a@1\nbase: finetune_selected_on_test@1\n",
            "has a base itself, 'finetune@1'; name a protocol that has none",
        ),
        ("tasks/a.yaml", "dataset: a\nbase: ssv2\nsampling: {denze: {sampler: uniform}}\n", "no sampler 'denze'"),
        ("tasks/a.yaml", "dataset: a\nbase: ssv2\ntasks: {mine: {}}\n", "the key 'tasks.mine.protocol' is missing"),
        ("tasks/a.yaml", "dataset: a\nbase: ssv2\ntask: {}\n", r"unknown key 'task'\. Did you mean 'tasks'"),
        ("tasks/a.yaml", "base: ssv2\n", "key 'dataset' is 'ssv2', but the name of the file is 'a'"),
    ],
)
def test_a_wrong_declaration_is_one_sentence(lab: Path, file: str, text: str, sentence: str) -> None:
    path = write(lab / file, text)
    include(lab)
    load = catalogue.load_protocol if "protocols" in file else catalogue.load_dataset
    with pytest.raises(ValueError, match=sentence) as caught:
        load(path.stem)
    assert str(caught.value).startswith(str(path))


READER = """
from sigma_bench.data.manifest import Manifest, Sample, expected_counts, make_split

def read(folder, card):
    world, expected = expected_counts(folder, card)
    splits = {
        name: make_split(name, [Sample(f"{name}{i}", folder / f"{name}{i}.mp4", "video", i % 2, f"{name}{i}")
                                for i in range(count.samples)], count, folder)
        for name, count in expected.items()
    }
    return Manifest(card.dataset, world, ("cut", "pour"), splits)
"""


def test_a_dataset_of_another_package_needs_no_change_here(lab: Path, tmp_path: Path) -> None:
    """An installed package provides the reader, and an included folder the declaration."""
    write(tmp_path / "site/kitchen_package.py", READER)
    info = tmp_path / "site/kitchen_package-1.0.dist-info"
    write(info / "METADATA", "Metadata-Version: 2.1\nName: kitchen-package\nVersion: 1.0\n")
    write(info / "entry_points.txt", "[sigma_bench.datasets]\nkitchen_lists = kitchen_package:read\n")
    write(tmp_path / "data/kitchen/train0.mp4", "")
    command = [sys.executable, "-m", "sigma_bench", "--include", str(lab), "data", "prepare", str(tmp_path / "data")]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [*command, "kitchen"],
        env={"PYTHONPATH": f"{tmp_path / 'site'}:{root}", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith("kitchen")]
    assert rows == [["kitchen", "train", "4", "4", "1", "3"], ["kitchen", "test", "2", "2", "0", "2"]]


def test_a_reader_that_is_not_installed_is_named(lab: Path, tmp_path: Path) -> None:
    include(lab)
    write(tmp_path / "data/kitchen/train0.mp4", "")
    with pytest.raises(ValueError, match="there is no dataset reader 'kitchen_lists'"):
        open_dataset(catalogue.load_dataset("kitchen"), tmp_path / "data")


def test_hidden_files_are_no_declarations_and_a_broken_link_is_named(lab: Path) -> None:
    (lab / "tasks" / "._kitchen.yaml").write_bytes(b"\xff\xfe")  # macOS keeps attributes of a file like this
    (lab / "tasks" / ".#kitchen.yaml").symlink_to("somebody@somewhere")  # and Emacs its locks
    include(lab)
    assert "kitchen/knn5" in catalogue.task_names()
    (lab / "tasks" / "lost.yaml").symlink_to(lab / "nowhere.yaml")
    with pytest.raises(ValueError, match=r"lost\.yaml: cannot be read \(No such file or directory\)"):
        catalogue.task_names()
