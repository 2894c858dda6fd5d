"""What a protocol of another package may define wrongly: one sentence, and no record."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sigma_bench.data.datasets import open_dataset
from sigma_bench.data.manifest import Manifest, Sample, Split
from sigma_bench.evaluation import session as sessions
from sigma_bench.evaluation.requirements import (
    require_predictions,
    require_sound,
    require_splits,
    run_of,
    warn_of_copies,
)
from sigma_bench.models.zoo import load_encoder
from sigma_bench.protocols.interface import Predictions
from sigma_bench.specs.catalogue import load_task, resolve
from sigma_bench.specs.passes import Pass, SplitUse
from sigma_bench.specs.protocol import BaseProtocol
from tests.factories import make_protocol


@pytest.mark.parametrize(
    ("uses", "sentence"),
    [
        (None, "returns None; return a tuple of SplitUse"),
        ((), r"returns \(\); return a tuple"),
        (("train", "test"), r"returns \('train', 'test'\); return a tuple of SplitUse"),
        ((SplitUse("test"), SplitUse("train")), "returns test, train; return each split once, and last 'test'"),
        ((SplitUse("test"), SplitUse("test")), "returns test, test; return each split once"),
    ],
)
def test_splits_that_cannot_be_used(uses: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"the protocol kind 'knn': 'splits' {sentence}"):
        require_splits(make_protocol("knn"), uses)


@pytest.mark.parametrize(
    ("passes", "sentence"),
    [
        (None, "'passes' returns None; return a tuple of Pass"),
        (("train",), "return a tuple of Pass"),
        ((Pass("all", None),), "names the split 'all', which 'splits' does not return"),
    ],
)
def test_passes_that_cannot_be_used(passes: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        require_sound(make_protocol("knn"), (SplitUse("train"), SplitUse("test")), passes)


def _other(kind: str, *metrics: str) -> BaseProtocol:
    return make_protocol("knn").model_copy(update={"kind": kind, "metrics": metrics})


def test_a_metric_without_a_description_and_a_package_without_run() -> None:
    with pytest.raises(ValueError, match=r"the metric 'top2' of knn@1 is not among METRICS of .*Did you mean .*'top1'"):
        require_sound(_other("knn", "top1", "top2"), (SplitUse("test"),), ())
    with pytest.raises(ValueError, match="there is no protocol kind 'nothing'"):
        run_of(_other("nothing", "top1"))


def test_a_split_that_the_dataset_does_not_have_is_named(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = resolve(load_task("ssv2/knn"))
    monkeypatch.setattr(type(task.protocol), "splits", lambda self, names, folds: (SplitUse("all"),))
    card = load_encoder("statistics:mini_videomae").card
    with pytest.raises(ValueError, match=r"task 'ssv2/knn': ssv2 has train and test, but knn@1 uses all"):
        sessions.open_session(card, task, world, seed=0)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda found: None, "None; return .*Predictions"),
        (lambda found: {"ids": [1]}, "return .*Predictions"),
        (lambda found: _with(found, ids=list(found.arrays["ids"])), "'ids' as list; return a NumPy array"),
        (lambda found: _with(found, more=np.array([{}], object)), "'more' as object; return a NumPy array"),
        (lambda found: replace(found, arrays={"predicted": np.zeros(3)}), "do not hold groups and ids"),
        (lambda found: _with(found, groups=found.arrays["groups"][:3]), "the group of every sample"),
        (lambda found: _with(found, *("ids", "groups"), part=slice(5)), "lack the sample '.*and 34 more"),
        (lambda found: _with(found, ids=np.char.add("x", found.arrays["ids"])), "lack the sample"),
        (lambda found: replace(found, num_scored=3), "3 as the number of scored samples; all 40 are scored"),
        (lambda found: replace(found, num_scored=99), "99 as the number of scored samples; there are 40"),
        (lambda found: _with(found, ids=np.repeat(found.arrays["ids"][:1], 40)), "twice; score every sample once"),
    ],
)
def test_predictions_that_are_not_those_of_the_scored_samples(world: Path, change: Any, sentence: str) -> None:
    scored = open_dataset(resolve(load_task("ssv2/knn")).dataset, world).splits["test"]
    arrays = {"ids": np.array(scored.ids), "groups": np.array([sample.group for sample in scored.samples])}
    right = Predictions(arrays, len(scored.samples))
    require_predictions(make_protocol("knn"), right, scored)
    with pytest.raises(ValueError, match=f"the protocol kind 'knn': 'run' returns .*{sentence}"):
        require_predictions(make_protocol("knn"), change(right), scored)


def _with(found: Predictions, *names: str, part: slice = slice(None), **arrays: Any) -> Predictions:
    return replace(found, arrays={**found.arrays, **{name: found.arrays[name][part] for name in names}, **arrays})


@pytest.mark.parametrize(
    ("contents", "folds", "said"),
    [
        ("abcd", (), ""),
        ("abca", (), "files in train and test have the same content (1 in all), such as '0' and '3'"),
        ("aabc", (), ""),  # both are in train
        ("abca", (0, 0, 1, 1), "files in two folds have the same content (1 in all), such as '0' and '3'"),
        ("aabb", (0, 0, 1, 1), ""),
    ],
)
def test_copies_in_train_and_test_are_named(contents, folds, said, caplog) -> None:
    samples = [Sample(str(i), Path(f"{i}.mp4"), "video", 0, str(i), content=c) for i, c in enumerate(contents)]
    whole = (Split("all", tuple(samples), 4, folds=folds),)
    halves = Split("train", tuple(samples[:2]), 2), Split("test", tuple(samples[2:]), 2)
    for source in ("user", "official"):
        caplog.clear()
        warn_of_copies(Manifest("gait", source, ("a",), {}), whole if folds else halves)
        assert caplog.text.count("same content") == (source == "user" and bool(said))
        assert source == "official" or said in caplog.text
