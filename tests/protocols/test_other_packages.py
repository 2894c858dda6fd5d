"""A protocol of another package: planned, run, tabulated and verified without a change to this project."""

import json
import re
from contextlib import nullcontext
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sigma_bench.cli.main import app
from sigma_bench.records.store import Store
from sigma_bench.resources import INCLUDE_VARIABLE
from sigma_bench.specs.catalogue import load_dataset_file
from tests.fork_server import Command
from tests.other_packages import install, visible

SPEC = '''
from typing import ClassVar, Literal

from sigma_bench.specs.frozen_protocol import ClassificationProtocol


class NearestMeanProtocol(ClassificationProtocol):
    """The class whose mean feature is nearest, in Euclidean distance."""

    scoring: ClassVar[str] = "nearest_mean.scores"
    kind: Literal["nearest_mean"]
    centred: bool
    metrics: tuple[Literal["top1", "rank_of_truth"], ...]
'''
RUN = """
import numpy as np

from sigma_bench.protocols.classification import classify
from sigma_bench.protocols.ranking import ranked


def run(evaluation):
    def classifier(train, test, index):
        bank, query = train.features.rows(train.index_S), test.rows(index)
        centre = bank.mean(0) if evaluation.protocol.centred else 0
        means = np.stack([bank[train.label_S == label].mean(0) for label in range(train.num_classes)])
        return ranked(-np.linalg.norm((query - centre)[:, None] - (means - centre)[None], axis=2)), None

    return classify(evaluation, classifier)
"""
SCORES = """
import numpy as np

from sigma_bench.protocols.classification_scores import METRICS as CLASSIFICATION
from sigma_bench.records.scoring import Control, mean_of


def _rank(stored):
    is_true = stored["ranked"] == stored["truth"][:, None]
    return np.where(is_true.any(1), is_true.argmax(1) + 1, stored["ranked"].shape[1] + 1)


METRICS = {"top1": CLASSIFICATION["top1"], "rank_of_truth": mean_of(_rank, higher_is_better=False)}
CONTROLS = {"chance": Control("always the commonest class", metrics=("top1",))}
"""
PROTOCOL = """
protocol: nearest_mean@1
kind: nearest_mean
summary: the class with the nearest mean feature
clip:
  sampling: {sampler: dense, stride_frames: 4, num_clips: 1}
  crop: centre
centred: true
on_decode_failure: fail
metrics: [top1, rank_of_truth]
uncertainty: {method: bootstrap, unit: group, level: 0.95, replicates: 20}
"""
TASK = """
task: mine/ssv2_nearest_mean
dataset: ssv2
protocol: nearest_mean@1
"""
BOARD = """
name: nearest
title: Nearest means
rows: []
columns:
  - {group: SSv2, label: nearest mean, task: mine/ssv2_nearest_mean, metric: top1}
  - {group: SSv2, label: rank, task: mine/ssv2_nearest_mean, metric: rank_of_truth}
published: null
note: a protocol of another package
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder of packages with the protocol, and beside it ``mine/`` with its declarations."""
    install(
        tmp_path / "site",
        "nearest_mean",
        {"spec": SPEC, "run": RUN, "scores": SCORES},
        "sigma_bench.protocols",
        {"nearest_mean": "nearest_mean"},
    )
    (tmp_path / "mine" / "tasks" / "protocols").mkdir(parents=True)
    (tmp_path / "mine" / "tasks" / "protocols" / "nearest_mean@1.yaml").write_text(PROTOCOL)
    (tmp_path / "task.yaml").write_text(TASK)
    (tmp_path / "board.yaml").write_text(BOARD)
    (tmp_path / "mine" / "boards").mkdir()
    named = BOARD.replace("name: nearest", "name: named").replace("mine/ssv2_nearest_mean", "mine/nearest")
    (tmp_path / "mine" / "boards" / "named.yaml").write_text(named)
    card = load_dataset_file("ssv2").model_dump(mode="json")
    tasks = {"nearest": {"protocol": "nearest_mean@1"}}
    (tmp_path / "mine" / "tasks" / "mine.yaml").write_text(json.dumps(card | {"dataset": "mine", "tasks": tasks}))
    return tmp_path / "site"


def called(site: Path | None, included: Path | None, *command: object) -> tuple[int, str]:
    """Exit code and output of a command in this process, which sees the packages in ``site``."""
    with pytest.MonkeyPatch.context() as patch, visible(site) if site else nullcontext():
        patch.setenv(INCLUDE_VARIABLE, "" if included is None else str(included))
        done = CliRunner().invoke(app, [str(word) for word in command])
    if isinstance(done.exception, ValueError):
        return 2, str(done.exception)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, " ".join(done.output.split())


@pytest.mark.slow
def test_a_protocol_of_another_package_is_planned_run_tabulated_and_verified(site: Path, world: Path) -> None:
    folder = site.parent
    runs, mine, board = folder / "runs", folder / "mine", folder / "board.yaml"
    evaluation = ("evaluate", "statistics:mini_videomae", "--task", folder / "task.yaml", "--data", world)
    code, shown = called(site, mine, *evaluation, "--output", runs, "--dry-run")
    assert code == 0 and "to do 120 " in shown, shown  # 80 training and 40 test clips
    code, shown = called(site, mine, *evaluation, "--output", runs)
    assert code == 0 and "mine/ssv2_nearest_mean top1" in shown, shown
    ((_, record),) = Store(runs).records()
    # Outside of ``called`` the package is absent: the record is read, and keeps what cannot be interpreted.
    assert record.task.protocol.model_dump()["centred"] is True
    assert record.controls.keys() == {"chance"}
    top1, rank = record.scores
    assert (rank.metric, rank.higher_is_better) == ("rank_of_truth", False) and 1 <= rank.value <= 6
    for name, packages in (("with", site), ("without", None)):
        code, shown = called(packages, None, "table", board, "--output", runs, "--tables", folder / name)
        assert code == 0 and f"{100 * top1.value:.1f}" in (folder / name / "nearest.md").read_text(), shown
    assert "always the commonest class" in (folder / "with" / "nearest.md").read_text()
    assert "1 records, 2 scores computed again" in called(site, None, "verify", runs)[1]
    shown = called(None, None, "verify", runs)[1]
    assert "0 scores computed again" in shown
    assert "the metric rank_of_truth of nearest_mean@1 is not known here" in shown


@pytest.mark.slow
def test_another_process_finds_the_package_as_well(site: Path) -> None:
    words = ("--include", site.parent / "mine", "check", site.parent / "task.yaml")
    code, out, err = Command(*words, folder=site.parent, environment={"COLUMNS": "200"}, site=site).end()
    assert code == 0 and "nearest_mean@1 on Something-Something v2" in out, out + err


def test_a_key_that_the_spec_of_a_package_does_not_have_is_one_sentence(site: Path) -> None:
    path = site.parent / "mine" / "tasks" / "protocols" / "nearest_mean@1.yaml"
    path.write_text(PROTOCOL.replace("centred", "centered"))
    code, sentence = called(site, site.parent / "mine", "check", site.parent / "task.yaml")
    assert code == 2 and "unknown key 'centered'. Did you mean 'centred'?" in sentence


def test_a_board_of_an_absent_package_is_shown(site: Path) -> None:
    code, shown = called(None, site.parent / "mine", "table", "named", "--published-only")
    assert code == 0 and "Nearest means" in shown, shown


def test_a_kind_that_no_package_has_is_one_sentence(site: Path) -> None:
    code, sentence = called(None, site.parent / "mine", "check", site.parent / "task.yaml")
    assert code == 2 and "there is no protocol kind 'nearest_mean'" in sentence


@pytest.mark.parametrize(
    ("package", "name", "sentence"),
    [
        ("second", "nearest_mean", r"registered by the package (second|nearest_mean) and by the package"),
        ("shadow", "knn", "the protocol kind 'knn' is registered by sigma-bench and by the package shadow"),
    ],
)
def test_two_packages_with_one_name_are_named(site: Path, package: str, name: str, sentence: str) -> None:
    install(site, package, {"spec": SPEC, "run": RUN}, "sigma_bench.protocols", {name: package})
    command = ("check", site.parent / "task.yaml") if name == "nearest_mean" else ("tasks", "ssv2/knn")
    code, said = called(site, site.parent / "mine", *command)
    assert code == 2 and re.search(sentence, said) and package in said and "rename one of them" in said


@pytest.mark.parametrize(
    ("source", "sentence"),
    [("1 / 0\n", "cannot be imported from nearest_mean.spec: ZeroDivisionError"), ("x = 1\n", "holds 0 classes whose")],
)
def test_a_package_that_does_not_work_is_one_sentence(site: Path, source: str, sentence: str) -> None:
    (site / "nearest_mean" / "spec.py").write_text(source)
    code, said = called(site, site.parent / "mine", "check", site.parent / "task.yaml")
    assert code == 2 and sentence in said
