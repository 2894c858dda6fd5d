"""Plans: one pass over a dataset serves all tasks, and what is done or cannot be opened is known before."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from sigma_bench.data.datasets import open_dataset
from sigma_bench.evaluation.plan import plan_tasks, run_planned
from sigma_bench.evaluation.run import find_or_evaluate, require_room
from sigma_bench.evaluation.session import SINGLE_PROCESS, open_session
from sigma_bench.models.encoder import Features
from sigma_bench.models.zoo import load_encoder
from sigma_bench.protocols.feature_cache import FeatureCache
from sigma_bench.specs.catalogue import load_dataset, load_task, resolve
from tests.evaluation.test_evaluate import quiet


class Counting:
    """The statistics control, counting the clips it is given."""

    def __init__(self) -> None:
        self._inner = load_encoder("statistics:mini_videomae")
        self.card, self.clips = self._inner.card, 0

    def encode(self, clip_BCTHW) -> Features:
        self.clips += len(clip_BCTHW)
        return self._inner.encode(clip_BCTHW)


def test_one_pass_serves_all_tasks_and_the_plan_knows_it(world: Path, tmp_path: Path) -> None:
    encoder, cache = Counting(), FeatureCache(tmp_path / "features")
    tasks = [(resolve(load_task(name)), world) for name in ("ssv2/knn", "cifar100/knn", "ssv2/linear")]
    plan = plan_tasks(encoder, tasks, tmp_path, cache, seed=0)
    assert [planned.task.task for planned in plan] == ["ssv2/knn", "ssv2/linear", "cifar100/knn"]
    assert [planned.clips for planned in plan] == [80 + 40, 0, 60 + 30]  # the sizes of tests/conftest.py
    for planned in plan:
        run_planned(encoder, planned, tmp_path, cache, seed=0, processes=SINGLE_PROCESS, report=quiet)
    assert encoder.clips == sum(planned.clips for planned in plan)
    again = plan_tasks(
        encoder, [*tasks, (resolve(load_task("ssv2/knn"), {"neighbours": 3}), world)], tmp_path, cache, seed=0
    )
    assert [planned.state for planned in again] == ["recorded", "recorded", "features cached", "recorded"]


def test_no_tokens_are_kept_for_what_is_recorded(world: Path, tmp_path: Path) -> None:
    encoder, cache = load_encoder("statistics:mini_videomae"), FeatureCache(tmp_path / "features")
    one_step = {"least_steps": 1, "epochs": 1, "batch_size": 8, "learning_rates": [0.001], "weight_decays": [0.01]}
    tasks = [(resolve(load_task("ssv2/knn")), world), (resolve(load_task("ssv2/attentive"), one_step), world)]
    knn, attentive = plan_tasks(encoder, tasks, tmp_path, cache, seed=0)
    assert knn.kept_tokens
    run_planned(encoder, attentive, tmp_path, cache, seed=0, processes=SINGLE_PROCESS, report=quiet)
    knn, attentive = plan_tasks(encoder, tasks, tmp_path, cache, seed=0)
    assert (attentive.state, bool(knn.kept_tokens)) == ("recorded", False)


def test_token_maps_are_one_pass_too(world: Path, tmp_path: Path) -> None:
    encoder, cache = load_encoder("statistics:mini_videomae"), FeatureCache(tmp_path / "features")
    few = {"num_draws": 2, "uncertainty": {"replicates": 20}}
    tasks = [(resolve(load_task(f"davis2017/{name}"), few), world) for name in ("clustering", "overclustering")]
    plan = plan_tasks(encoder, tasks, tmp_path, cache, seed=0)
    assert [planned.clips for planned in plan] == [2 * 2 * 2, 0]  # sequences, draws, windows of 8 frames
    run_planned(encoder, plan[0], tmp_path, cache, seed=0, processes=SINGLE_PROCESS, report=quiet)
    again = plan_tasks(encoder, tasks, tmp_path, cache, seed=0)
    assert [(planned.state, planned.clips) for planned in again] == [("recorded", 0), ("features cached", 0)]
    assert plan_tasks(encoder, tasks, tmp_path, cache, seed=1)[1].state == "to do"


def test_tokens_that_do_not_fit_fail_only_the_task_that_needs_them(world: Path, tmp_path: Path) -> None:
    encoder, cache = Counting(), FeatureCache(tmp_path / "features", limit_bytes=500_000)
    tasks = [(resolve(load_task(name)), world) for name in ("ssv2/knn", "ssv2/attentive")]
    knn, attentive = plan_tasks(encoder, tasks, tmp_path, cache, seed=0)
    assert (attentive.state, knn.kept_tokens) == ("cannot be run", frozenset())
    needed = r"0\.0 GiB of features are here and 0\.0 GiB more are needed, .*; attentive@2 stores no tokens"
    assert re.search(needed, attentive.note)
    assert not run_planned(encoder, knn, tmp_path, cache, seed=0, processes=SINGLE_PROCESS, report=quiet).was_there
    before = encoder.clips
    with pytest.raises(ValueError, match=needed):
        run_planned(encoder, attentive, tmp_path, cache, seed=0, processes=SINGLE_PROCESS, report=quiet)
    assert encoder.clips - before == 1, "a clip of zeros, from which the number of tokens is known"


def test_the_room_that_tokens_need_is_that_of_train_and_test(world: Path, tmp_path: Path) -> None:
    """100,000 samples by name: 1,000 times the samples of the small world."""
    encoder, task = load_encoder("statistics:mini_videomae"), resolve(load_task("ssv2/attentive"))
    manifest = open_dataset(task.dataset, world)
    session = open_session(encoder.card, task, manifest, seed=0)
    splits = tuple(replace(split, samples=split.samples * 1000) for split in session.splits)
    session, width = replace(session, splits=splits), encoder.card.feature_width
    needed = 120_000 * width * (8 * 3 * 3 * 2 + 4) / 2**30  # a feature in float32, and 8 x 3 x 3 tokens in float16
    with pytest.raises(ValueError, match=f"{needed:.1f} GiB more are needed, but the limit is {needed - 0.1:.1f} GiB"):
        require_room(encoder, session, FeatureCache(tmp_path, limit_bytes=int((needed - 0.1) * 2**30)))
    require_room(encoder, session, FeatureCache(tmp_path, limit_bytes=int((needed + 0.1) * 2**30)))


def test_an_evaluation_is_done_once_at_a_time(world: Path, tmp_path: Path) -> None:
    """Somebody who asks for it while it is being done is told so; two would train in one folder."""
    task = resolve(load_task("ssv2/knn"))

    class Impatient(Counting):
        def encode(self, clip_BCTHW) -> Features:
            with pytest.raises(ValueError, match="another process is writing this run"):
                find_or_evaluate(self, task, world, tmp_path, seed=0, report=quiet)
            return super().encode(clip_BCTHW)

    found = find_or_evaluate(Impatient(), task, world, tmp_path, seed=0, report=quiet)
    assert not found.was_there and not list((tmp_path / "unfinished").iterdir())


def test_a_dataset_that_is_not_there_is_known_before(world: Path, tmp_path: Path) -> None:
    tasks = [(resolve(load_task("ssv2/knn")), tmp_path), (resolve(load_task("ssv2/linear")), world)]
    encoder, cache = Counting(), FeatureCache(tmp_path / "features")
    absent, there = plan_tasks(encoder, tasks, tmp_path, cache, seed=0)
    assert (absent.state, there.state, there.note) == ("cannot be run", "to do", "")
    assert encoder.clips == 0
    with pytest.raises(ValueError, match="Something-Something v2 is not here") as caught:
        run_planned(encoder, absent, tmp_path, cache, seed=0, processes=SINGLE_PROCESS, report=quiet)
    assert str(caught.value) == absent.note


@pytest.mark.parametrize("name", ["ssv2/knn", "ssv2/finetune_mini", "ssv2/clustering"])
def test_missing_files_stop_a_task_that_fails_on_them_and_are_counted_elsewhere(
    world: Path, tmp_path: Path, name: str
) -> None:
    """The sentence of the plan is that of the run; where missing files count as wrong, the plan says how many."""
    manifest = open_dataset(load_dataset("ssv2"), world)
    test = manifest.splits["test"]
    gone = [replace(sample, path=tmp_path / "none" / sample.path.name) for sample in test.samples[:3]]
    test = replace(test, samples=(*gone, *test.samples[3:]))
    holed = replace(manifest, splits=manifest.splits | {"test": test})
    encoder, cache = Counting(), FeatureCache(tmp_path / "features")
    (stopped,) = plan_tasks(encoder, [(resolve(load_task(name)), holed)], tmp_path, cache, seed=0)
    assert (stopped.state, stopped.clips) == ("cannot be run", 0)
    with pytest.raises(ValueError) as caught:
        run_planned(encoder, stopped, tmp_path, cache, seed=0, processes=SINGLE_PROCESS, report=quiet)
    assert str(caught.value) == stopped.note and "3 of the 40 files that the test list names" in stopped.note
    task = resolve(load_task(name), {"on_decode_failure": "count_as_wrong"})
    (whole,) = plan_tasks(encoder, [(task, world)], tmp_path, cache, seed=0)
    (counted,) = plan_tasks(encoder, [(task, holed)], tmp_path, cache, seed=0)
    assert counted.state == "to do" and counted.clips < whole.clips and whole.note == ""
    assert counted.note == ("3 of the 40 files that the test list names are missing; the protocol counts them as wrong")


def test_a_task_with_one_unit_or_no_file_to_score_is_known_before(world: Path, tmp_path: Path) -> None:
    manifest = open_dataset(load_dataset("ssv2"), world)
    test = manifest.splits["test"]
    alike = replace(test, samples=tuple(replace(sample, group="one") for sample in test.samples))
    task_on_data = (resolve(load_task("ssv2/knn")), replace(manifest, splits=manifest.splits | {"test": alike}))
    (planned,) = plan_tasks(Counting(), [task_on_data], tmp_path, FeatureCache(tmp_path / "features"), seed=0)
    assert planned.state == "cannot be run" and "belongs to one group, 'one'" in planned.note
    none = replace(test, samples=tuple(replace(sample, path=tmp_path / sample.path.name) for sample in test.samples))
    task_on_data = (
        resolve(load_task("ssv2/knn"), {"on_decode_failure": "count_as_wrong"}),
        replace(manifest, splits=manifest.splits | {"test": none}),
    )
    (planned,) = plan_tasks(Counting(), [task_on_data], tmp_path, FeatureCache(tmp_path / "features"), seed=0)
    assert planned.state == "cannot be run" and "none of the 40 files that the test list names is there" in planned.note
