"""Several actions per video on the small world: targets, pooling, and the metric from what is stored."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from sigma_bench.data.annotations import ActionIntervals
from sigma_bench.data.custom_csv import read_csv
from sigma_bench.data.custom_data import custom_tasks
from sigma_bench.data.datasets import open_dataset
from sigma_bench.protocols.multilabel.run import wrong_where_failed
from sigma_bench.protocols.multilabel.scores import METRICS
from sigma_bench.protocols.multilabel.spec import MultilabelProtocol
from sigma_bench.protocols.training_and_testing import video_score
from sigma_bench.specs.catalogue import load_dataset
from sigma_bench.training.supervised import SupervisedMethod
from sigma_bench.training.targets import ManyActions
from tests.protocols.tiny_training import arrays_of, run, tiny_encoder, tiny_task

SMALL: dict[str, Any] = {
    "optim": {"global_batch": 4, "epochs": 2, "precision": "float32"},
    "uncertainty": {"replicates": 2},
}
NAME = "charades/multilabel_mini"


def test_every_class_of_every_video_is_scored(world: Path, tmp_path: Path) -> None:
    found = run(tiny_task(NAME, SMALL), world, tmp_path)
    stored, test = arrays_of(tmp_path, found), open_dataset(load_dataset("charades"), world).splits["test"]
    assert stored["ids"].tolist() == list(test.ids)
    assert stored["truth"].shape == stored["score"].shape == (4, 157)
    for row, sample in zip(stored["truth"], test.samples, strict=True):
        assert isinstance(sample.annotation, ActionIntervals)
        assert set(np.flatnonzero(row)) == {action for action, _, _ in sample.annotation.intervals}
    there = stored["truth"].any(0)
    expected = average_precision_score(stored["truth"][:, there], stored["score"][:, there], average="macro")
    assert found.record.scores[0].metric == "map"
    assert found.record.scores[0].value == pytest.approx(expected, rel=1e-12)
    assert found.record.controls["chance"] == pytest.approx(stored["truth"][:, there].mean())


def test_labels_of_a_user_are_scored_like_actions(world: Path, tmp_path: Path) -> None:
    """Labels without times last for the whole video."""
    videos = sorted((world / "charades").rglob("*.mp4"))[:9]
    labels = ["run", "run;wave", ";", "wave", "run", "wave;run", "run", "wave", "run"]
    rows = [
        f"{v},{text},{'train' if n < 6 else 'test'}" for n, (v, text) in enumerate(zip(videos, labels, strict=True))
    ]
    (tmp_path / "mine.csv").write_text("\n".join(["path,label,split", *rows]))
    manifest = read_csv(tmp_path / "mine.csv")
    (task,) = custom_tasks(manifest, protocols=["multilabel_mini@1"], overrides=SMALL)
    stored = arrays_of(tmp_path / "runs", run(task, manifest, tmp_path / "runs"))
    assert stored["truth"].tolist() == [[True, False], [False, True], [True, False]]
    train = manifest.splits["train"].samples
    targets = [ManyActions(2, False, 24).target(sample, np.array([0])).tolist() for sample in train]
    assert targets == [[1, 0], [1, 1], [0, 0], [0, 1], [1, 0], [1, 1]]
    with pytest.raises(ValueError, match="add --protocol multilabel@1"):
        custom_tasks(manifest)
    (single,) = custom_tasks(manifest, protocols=["clustering@1"])
    with pytest.raises(ValueError, match="a sample has several labels, for which there is multilabel@1"):
        run(single, manifest, tmp_path / "runs")


def test_videos_without_actions_are_negatives_or_left_out(world: Path, tmp_path: Path) -> None:
    manifest = open_dataset(load_dataset("charades"), world)
    test = manifest.splits["test"]
    samples = (replace(test.samples[0], annotation=ActionIntervals(())), *test.samples[1:])
    manifest = replace(manifest, splits=manifest.splits | {"test": replace(test, samples=samples)})
    kept = run(tiny_task(NAME, SMALL), manifest, tmp_path / "kept")
    assert arrays_of(tmp_path / "kept", kept)["ids"].tolist() == list(test.ids)
    left = run(tiny_task(NAME, SMALL | {"unlabelled_videos": "left_out"}), manifest, tmp_path / "left")
    assert arrays_of(tmp_path / "left", left)["ids"].tolist() == list(test.ids[1:])
    assert left.record.data.splits["test"].scored == 3


def test_the_highest_view_counts() -> None:
    protocol = tiny_task(NAME, SMALL).protocol
    assert isinstance(protocol, MultilabelProtocol)
    labels = ManyActions(157, False, 24)
    model = SupervisedMethod(tiny_encoder(), protocol, labels, frozen=False, seed=0).tested.eval()  # type: ignore[arg-type]
    with torch.no_grad():
        model.head.weight.mul_(1e4)
    view_VCTHW = torch.rand(5, 3, 4, 24, 24)
    logit_VL = model(view_VCTHW).detach()
    np.testing.assert_allclose(video_score(model, view_VCTHW, protocol, labels), logit_VL.sigmoid().amax(0), atol=1e-5)


def test_a_video_that_does_not_decode_is_wrong_in_every_class() -> None:
    """By hand: the lost third video is first in class 1, which it does not have, and last in class 0, which it has."""
    truth_SL = np.array([[1, 0], [0, 1], [1, 0]], bool)
    score_SL = np.array([[0.9, 0.1], [0.2, 0.8], [0.0, 0.0]], np.float32)
    lost = wrong_where_failed(truth_SL, score_SL, np.array([False, False, True]))
    assert lost[:, 0].argsort()[::-1].tolist() == [0, 1, 2] and lost[:, 1].argsort()[::-1].tolist() == [2, 1, 0]
    value = METRICS["map"].statistic(METRICS["map"].prepare({"truth": truth_SL, "score": lost}), np.arange(3))
    assert value == pytest.approx(((1 + 2 / 3) / 2 + 1 / 2) / 2)
    np.testing.assert_array_equal(lost[:2], score_SL[:2])


def test_folds_are_refused(world: Path, tmp_path: Path) -> None:
    task = tiny_task(NAME, SMALL).model_copy(update={"folds": "leave_one_group_out"})
    with pytest.raises(ValueError, match="multilabel_mini@1 does not use folds"):
        run(task, world, tmp_path)


def test_labels_of_the_wrong_kind_are_refused(world: Path, tmp_path: Path) -> None:
    actions, classes = (open_dataset(load_dataset(name), world) for name in ("charades", "ssv2"))
    with pytest.raises(ValueError, match="ssv2 does not list the actions of every video"):
        run(tiny_task(NAME, SMALL), classes, tmp_path)
    with pytest.raises(ValueError, match="charades does not have one class for every sample"):
        run(tiny_task("ssv2/finetune_mini", {}), actions, tmp_path)
