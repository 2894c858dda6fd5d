"""A protocol of another package: planned, run, tabulated and verified without a change to this project."""

from pathlib import Path

import pytest
import yaml

from sigma_bench.records.store import Store
from sigma_bench.specs.catalogue import load_dataset_file
from tests.other_packages import install, sigma_bench

SPEC = '''
from typing import ClassVar, Literal

from sigma_bench.specs.frozen import ClassificationProtocol


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


def run(evaluation):
    def classifier(train, test, index):
        bank, query = train.features.rows(train.index_S), test.rows(index)
        centre = bank.mean(0) if evaluation.protocol.centred else 0
        means = np.stack([bank[train.label_S == label].mean(0) for label in range(train.num_classes)])
        return -np.linalg.norm((query - centre)[:, None] - (means - centre)[None], axis=2), None

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
    (tmp_path / "mine" / "tasks" / "mine.yaml").write_text(yaml.safe_dump(card | {"dataset": "mine", "tasks": tasks}))
    return tmp_path / "site"


@pytest.mark.slow
def test_a_protocol_of_another_package_is_planned_run_tabulated_and_verified(site: Path, world: Path) -> None:
    folder = site.parent
    runs, mine, board = folder / "runs", ("--include", folder / "mine"), folder / "board.yaml"
    evaluation = (*mine, "evaluate", "statistics:mini_videomae", "--task", folder / "task.yaml", "--data", world)
    code, out, err = sigma_bench(site, *evaluation, "--output", runs, "--dry-run")
    assert code == 0 and "to do" in out and " 120 " in out, out + err  # 80 training and 40 test clips
    code, out, err = sigma_bench(site, *evaluation, "--output", runs)
    assert code == 0 and "top1" in err, out + err
    ((_, record),) = Store(runs).records()
    # This process does not have the package: the record is read, and keeps what it cannot interpret.
    assert record.task.protocol.model_dump()["centred"] is True
    assert record.controls.keys() == {"chance"}
    top1, rank = record.scores
    assert (rank.metric, rank.higher_is_better) == ("rank_of_truth", False) and 1 <= rank.value <= 6
    code, out, err = sigma_bench(site, "table", board, "--output", runs, "--tables", folder / "with")
    assert code == 0, out + err
    with_package = (folder / "with" / "nearest.md").read_text()
    assert f"{100 * top1.value:.1f}" in with_package and "always the commonest class" in with_package
    assert "1 record" in sigma_bench(site, "verify", runs)[1]
    # Without the package the record is still read, shown, and said to be unchecked.
    code, out, err = sigma_bench(None, "table", board, "--output", runs, "--tables", folder / "without")
    assert code == 0, out + err
    assert f"{100 * top1.value:.1f}" in (folder / "without" / "nearest.md").read_text()
    out = "".join(map(str, sigma_bench(None, "verify", runs)[1:]))
    assert "the metric rank_of_truth of nearest_mean@1 is not known here" in " ".join(out.split())


def test_a_key_that_the_spec_of_a_package_does_not_have_is_one_sentence(site: Path, world: Path) -> None:
    path = site.parent / "mine" / "tasks" / "protocols" / "nearest_mean@1.yaml"
    path.write_text(PROTOCOL.replace("centred", "centered"))
    code, out, err = sigma_bench(site, "--include", site.parent / "mine", "check", site.parent / "task.yaml")
    assert code == 2 and "unknown key 'centered'. Did you mean 'centred'?" in " ".join(err.split()), out + err


def test_a_board_of_an_absent_package_is_shown(site: Path) -> None:
    for installed in (site, None):
        code, out, err = sigma_bench(installed, "--include", site.parent / "mine", "table", "named", "--published-only")
        assert (code, "Nearest means" in out) == (0, True), out + err


def test_a_kind_that_no_package_has_is_one_sentence(site: Path) -> None:
    code, _, err = sigma_bench(None, "--include", site.parent / "mine", "check", site.parent / "task.yaml")
    assert code == 2 and "there is no protocol kind 'nearest_mean'" in " ".join(err.split())


@pytest.mark.parametrize(
    ("package", "name", "sentence"),
    [
        ("second", "nearest_mean", "registered by the package nearest_mean and by the package second"),
        ("shadow", "knn", "the protocol kind 'knn' is registered by sigma-bench and by the package shadow"),
    ],
)
def test_two_packages_with_one_name_are_named(site: Path, package: str, name: str, sentence: str) -> None:
    install(site, package, {"spec": SPEC, "run": RUN}, "sigma_bench.protocols", {name: package})
    command = ("check", site.parent / "task.yaml") if name == "nearest_mean" else ("tasks", "ssv2/knn")
    code, _, err = sigma_bench(site, "--include", site.parent / "mine", *command)
    assert code == 2 and sentence in " ".join(err.split()) and "rename one of them" in " ".join(err.split())


@pytest.mark.parametrize(
    ("source", "sentence"),
    [("1 / 0\n", "cannot be imported from nearest_mean.spec: ZeroDivisionError"), ("x = 1\n", "holds 0 classes whose")],
)
def test_a_package_that_does_not_work_is_one_sentence(site: Path, source: str, sentence: str) -> None:
    (site / "nearest_mean" / "spec.py").write_text(source)
    code, _, err = sigma_bench(site, "--include", site.parent / "mine", "check", site.parent / "task.yaml")
    assert code == 2 and sentence in " ".join(err.split()), err
