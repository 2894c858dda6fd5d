"""Fine-tuning on a small mini world: resuming, several processes, batch order, folds, decoding failures, scores."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sigma_bench.evaluation.plan import find_or_evaluate
from sigma_bench.evaluation.run import FoundRecord
from sigma_bench.models.zoo import load_encoder
from sigma_bench.protocols.finetune.run import best_on_test
from sigma_bench.protocols.finetune.run import run as finetune
from sigma_bench.protocols.finetune.spec import FinetuneProtocol
from sigma_bench.protocols.interface import require_readable
from sigma_bench.protocols.training_and_testing import video_score
from sigma_bench.specs.catalogue import load_task, resolve
from sigma_bench.training.distribution import joined_processes
from sigma_bench.training.supervised import SupervisedMethod, num_micro_batches_of
from sigma_bench.training.targets import OneClass
from tests.models.external_files import FeaturesOnly
from tests.protocols.opened import opened
from tests.protocols.tiny_training import (
    OPTIM,
    PLAIN,
    SMALL,
    arrays_of,
    half_manifest,
    quiet,
    relabelled,
    run,
    shared_run,
    small_manifest,
    tiny_encoder,
    tiny_task,
)
from tests.two_processes import in_two_processes

SELECTED_TASK = "ssv2/finetune_selected_on_test"


class Stopped(Exception):  # noqa: N818 (not an error)
    pass


@pytest.fixture(scope="module")
def whole(world: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, FoundRecord]:
    """A run of the tiny task that nothing disturbs."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, run(tiny_task(), world, folder)


def test_two_processes_are_one(world: Path, tmp_path: Path) -> None:
    """A protocol with all random operations: RandAugment, erasing, mixing, drop path."""
    task = tiny_task(overrides=SMALL)
    alone = arrays_of(tmp_path / "alone", run(task, world, tmp_path / "alone"))
    in_two_processes(shared_run, str(world), str(tmp_path / "shared"))
    found = run(task, world, tmp_path / "shared")
    assert found.was_there
    assert found.record.provenance.num_processes == 2
    assert_same(arrays_of(tmp_path / "shared", found), alone)


ONE_BLOCK = PLAIN | {"clips_at_once": 600}  # the whole test in one block, which is the main process's


def no_room(data: str, output: str, phase: str) -> None:
    """What each of two processes does; the main one finds at some moment that it cannot write any more."""

    def report(now: str, done: int, total: int) -> None:
        (fold,) = Path(output).glob("unfinished/*/fold-0")
        if (now, done) == ("training", 10) and phase == "state":
            shutil.rmtree(fold)
            fold.write_bytes(b"")
        if (now, done) == ("training", 10) and phase == "test":
            (fold / "test" / "score.npy").mkdir(parents=True)

    with joined_processes("cpu") as processes, pytest.raises(ValueError, match="cannot be written"):
        run(tiny_task(overrides=ONE_BLOCK), Path(data), Path(output), processes=processes, report=report)


@pytest.mark.parametrize("phase", ["state", "test"])
def test_no_process_waits_for_one_that_cannot_write(world: Path, tmp_path: Path, phase: str) -> None:
    in_two_processes(no_room, str(world), str(tmp_path), phase)


def assert_same(some: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert some.keys() == other.keys()
    assert all(np.array_equal(some[name], other[name]) for name in some)


def test_stopped_in_training_the_weights_are_those_of_a_run_that_was_not(world: Path, tmp_path: Path) -> None:
    """Bit for bit, with a running mean of the weights: what is compared are the stored softmax scores."""
    task = tiny_task(overrides=PLAIN | {"ema_decay": 0.5})
    data = small_manifest(world, test=half_manifest(world).splits["test"].samples)

    def stop(phase: str, done: int, total: int) -> None:
        if (phase, done) == ("training", 10):
            raise Stopped

    def keep(phase: str, done: int, total: int) -> None:
        if phase == "test":
            kept.append(next(output.glob("unfinished/*/fold-0/test/score.npy")).read_bytes())

    scores = []
    for name, is_stopped in (("whole", False), ("cut", True)):
        output, kept = tmp_path / name, []
        if is_stopped:
            with pytest.raises(Stopped):
                run(task, data, output, report=stop)
        run(task, data, output, report=keep)
        scores.append(kept[-1])
    assert scores[0] == scores[1]


def test_the_labels_of_the_test_play_no_part(world: Path, tmp_path: Path, whole: tuple[Path, FoundRecord]) -> None:
    test = small_manifest(world).splits["test"].samples
    turned = tuple(relabelled(sample, (sample.label or 0) + 1 if sample.label != 7 else 0) for sample in test)
    changed = arrays_of(tmp_path, run(tiny_task(), small_manifest(world, test=turned), tmp_path))
    clean = arrays_of(*whole)
    assert not np.array_equal(clean["truth"], changed["truth"])
    assert np.array_equal(clean["ranked"], changed["ranked"])


def test_a_video_that_does_not_decode_fails_the_run_or_is_wrong(world: Path, tmp_path: Path) -> None:
    path = tmp_path / "broken.webm"
    path.write_bytes(b"no video")
    train, test = (small_manifest(world).splits[name].samples for name in ("train", "test"))
    train, test = (replace(train[0], path=path), *train[1:]), (replace(test[0], path=path), *test[1:6])
    manifest = small_manifest(world, train=train, test=test)
    with pytest.raises(ValueError, match=r"1 of the 80 training videos cannot be read, more than the 0.0% that task"):
        run(tiny_task(), manifest, tmp_path / "fail")
    with pytest.raises(
        ValueError, match=r"1 samples cannot be decoded and on_decode_failure of finetune@1 is 'fail'; first 'a': why"
    ):
        require_readable({"a": "why"}, tiny_task().protocol)  # type: ignore[arg-type]
    allowed = PLAIN | {"on_decode_failure": "count_as_wrong", "max_broken_share": 0.1}
    found = run(tiny_task(overrides=allowed), manifest, tmp_path / "wrong")
    splits = found.record.data.splits
    assert (splits["train"].failed_ids, splits["test"].failed_ids) == ((train[0].id,), (test[0].id,))
    assert splits["test"].scored == 6
    assert arrays_of(tmp_path / "wrong", found)["ranked"][0].tolist() == [-1] * 5


@pytest.mark.parametrize("which", ["train", "test"])
def test_what_was_mended_after_a_failed_run_has_not_failed(
    world: Path, tmp_path: Path, whole: tuple[Path, FoundRecord], which: str
) -> None:
    """A file with another content starts another run, which uses nothing of the failed run."""
    samples, path = small_manifest(world).splits[which].samples, tmp_path / "torn.webm"
    content = samples[0].path.read_bytes()
    manifest = small_manifest(world, **{which: (replace(samples[0], path=path), *samples[1:])})
    path.write_bytes(bytes(len(content)))
    with pytest.raises(ValueError, match=r"cannot be (read|decoded)"):
        run(tiny_task(), manifest, tmp_path / "torn")
    path.write_bytes(content)
    found = run(tiny_task(), manifest, tmp_path / "torn")
    assert found.record.scores == whole[1].record.scores


@pytest.mark.parametrize(
    ("which", "name", "more"),
    [
        ("test", SELECTED_TASK, {}),
        ("train", "ssv2/finetune", {"max_broken_share": 0.1}),
    ],
)
def test_what_was_mended_is_trained_and_tested_from_the_start_where_it_must_be(
    world: Path, tmp_path: Path, which: str, name: str, more: dict[str, object]
) -> None:
    """In one and the same folder: an earlier epoch's weights are gone, and trained weights lack the video."""
    samples, path = half_manifest(world).splits[which].samples, tmp_path / "torn.webm"
    content = samples[0].path.read_bytes()
    path.write_bytes(bytes(len(content)))
    task = tiny_task(name, PLAIN | {"optim": OPTIM | {"epochs": 2}, **more})
    torn = half_manifest(world, **{which: (replace(samples[0], path=path), *samples[1:])})
    evaluation = opened(tiny_encoder(), task, torn, tmp_path / "features", tmp_path / "torn")
    states = []
    for _ in range(2):
        with pytest.raises(ValueError, match=r"1 samples cannot be decoded"):
            finetune(evaluation)
        states.append((tmp_path / "torn" / "fold-0" / "resume.pt").stat().st_mtime_ns)
    assert states[0] == states[1], "what is still broken does not start the training again"
    path.write_bytes(content)
    predictions = finetune(evaluation)
    assert predictions is not None and predictions.failures == {}
    assert (tmp_path / "torn" / "fold-0" / "resume.pt").stat().st_mtime_ns > states[1]
    whole = finetune(opened(tiny_encoder(), task, half_manifest(world), tmp_path / "features", tmp_path / "whole"))
    assert whole is not None
    assert_same(dict(predictions.arrays), dict(whole.arrays))


def test_a_frozen_network_stays_and_its_head_learns(world: Path, tmp_path: Path) -> None:
    task = tiny_task("ssv2/linear_online", PLAIN | {"views": {"crop": "centre"}})
    protocol = task.protocol
    assert isinstance(protocol, FinetuneProtocol)
    method = SupervisedMethod(tiny_encoder(), protocol, OneClass(8, 0.1), frozen=True, seed=0)  # type: ignore[arg-type]
    assert {name for name, p in method.model.named_parameters() if p.requires_grad} == {
        f"classifier.{name}" for name in ("fc_norm.weight", "fc_norm.bias", "head.weight", "head.bias")
    }
    record = run(task, world, tmp_path).record
    assert record.data.splits["test"].scored == 40
    assert [score.metric for score in record.scores] == ["top1", "top5", "mean_class_accuracy"]


def test_the_best_epoch_on_test_is_another_protocol_and_says_so(world: Path, tmp_path: Path) -> None:
    """Same training, bit for bit; the score is the best of the curve, whose end is the clean number."""
    epochs = PLAIN | {"optim": OPTIM | {"epochs": 3}}
    data = half_manifest(world)
    clean, selected = (run(tiny_task(name, epochs), data, tmp_path) for name in ("ssv2/finetune", SELECTED_TASK))
    arrays = arrays_of(tmp_path, selected)
    assert arrays["predicted_of_epoch"].shape == (20, 3)
    assert np.array_equal(arrays["predicted_of_epoch"][:, 2], arrays_of(tmp_path, clean)["predicted"])
    (selection,) = selected.record.selections
    curve = [point.test_top1 for point in selection.grid]
    score = selected.record.scores[0]
    assert score.value == max(curve) >= curve[2] == clean.record.scores[0].value
    assert [score.metric for score in selected.record.scores] == [
        "top1_selected_on_test",
        "mean_class_accuracy_selected_on_test",
    ]
    assert "TEST split itself" in selection.rule
    assert clean.record.selections == ()


def test_the_earliest_of_the_best_epochs_is_chosen(world: Path) -> None:
    test = small_manifest(world).splits["test"]
    truth_S = np.array([sample.label for sample in test.samples])
    ranked_ESK = np.repeat(truth_S[None, :, None], 4, 0)
    for epoch, num_wrong in enumerate((20, 10, 10, 12)):
        ranked_ESK[epoch, :num_wrong] = (ranked_ESK[epoch, :num_wrong] + 1) % 8
    predictions = best_on_test(test, ranked_ESK, (2, 4, 6, 7), {})
    assert predictions.selections[0].chosen == {"epoch": 4}
    assert [point.test_top1 for point in predictions.selections[0].grid] == [0.5, 0.75, 0.75, 0.7]
    assert (predictions.arrays["predicted"] == truth_S).sum() == 30


def test_tests_in_between_follow_the_protocol() -> None:
    def earlier(**select: object) -> tuple[int, ...]:
        changed = PLAIN | {"optim": OPTIM | {"epochs": 6}, "select_on_test": dict(select)}
        return tiny_task(SELECTED_TASK, changed).protocol.earlier_tests  # type: ignore[union-attr]

    assert earlier(every_epochs=2) == (2, 4)
    assert earlier(every_epochs=4) == (4,)
    assert earlier(every_epochs=9) == ()
    assert tiny_task().protocol.earlier_tests == ()  # type: ignore[union-attr]
    with pytest.raises(ValueError, match=r"and only with it, protocol and metrics are called '..._selec"):
        tiny_task(overrides={"select_on_test": {"every_epochs": 1}})
    with pytest.raises(ValueError, match=r"_on_test', not finetune_selected_on_test, top1"):
        tiny_task(SELECTED_TASK, {"metrics": ["top1"]})


def test_every_fold_is_trained_without_what_it_is_asked(world: Path, tmp_path: Path) -> None:
    manifest = small_manifest(world)
    samples = tuple(replace(s, group=f"person{i % 3}") for i, s in enumerate(manifest.splits["train"].samples[:48]))
    everything = replace(manifest.splits["train"], name="all", samples=samples, expected=48)
    manifest = replace(manifest, splits={"all": everything})
    task = tiny_task().model_copy(update={"folds": "leave_one_group_out"})
    phases: list[tuple[str, int, int]] = []
    found = run(task, manifest, tmp_path, report=lambda *seen: phases.append(seen))
    # 32 videos of two persons, four a step
    assert [total for phase, done, total in phases if phase == "training" and done == total] == [
        8,
        8,
        8,
    ]  # 32 videos of two persons, four a step
    assert (arrays_of(tmp_path, found)["predicted"] >= 0).all()
    assert found.record.data.splits["all"].scored == 48


def test_the_score_of_equal_views_is_that_of_one(world: Path) -> None:
    protocol = tiny_task().protocol
    assert isinstance(protocol, FinetuneProtocol)
    labels = OneClass(8, 0.1)
    model = SupervisedMethod(tiny_encoder(), protocol, labels, frozen=False, seed=0).tested.eval()  # type: ignore[arg-type]
    with torch.no_grad():
        model.head.weight.mul_(1e4)
    view_VCTHW = torch.rand(3, 3, 4, 24, 24)
    one = video_score(model, view_VCTHW[:1], protocol, labels)
    np.testing.assert_allclose(
        video_score(model, view_VCTHW[:1].expand(6, -1, -1, -1, -1), protocol, labels), one, atol=1e-6
    )
    each = [video_score(model, view[None], protocol, labels) for view in view_VCTHW]
    np.testing.assert_allclose(video_score(model, view_VCTHW, protocol, labels), np.mean(each, 0), atol=1e-6)
    assert one.sum() == pytest.approx(1)
    assert np.ptp(one) > 0.01
    with torch.no_grad():
        model.head.weight.mul_(float("inf"))
    with pytest.raises(ValueError, match="the trained network gives scores that are not finite"):
        video_score(model, view_VCTHW, protocol, labels)


def test_a_batch_is_divided_into_micro_batches_of_whole_pairs() -> None:
    protocol = tiny_task().protocol
    assert isinstance(protocol, FinetuneProtocol)
    protocol = protocol.model_copy(update={"optim": protocol.optim.model_copy(update={"global_batch": 24})})
    assert num_micro_batches_of("task", protocol, 1) == 4  # 24 clips, at most 6 at once
    assert num_micro_batches_of("task", protocol, 2) == 2
    single = protocol.model_copy(update={"clips_at_once": 1})
    assert num_micro_batches_of("task", single, 1) == 12  # pairs stay together
    assert num_micro_batches_of("task", single.model_copy(update={"mixing": None}), 1) == 24
    with pytest.raises(ValueError, match="a global batch of 24 does not divide into 8 processes of whole pairs"):
        num_micro_batches_of("task", protocol, 8)


def test_an_encoder_that_cannot_be_trained_is_refused(world: Path, tmp_path: Path) -> None:
    encoder, task = FeaturesOnly(load_encoder("random:mini_videomae")), resolve(load_task("ssv2/finetune_mini"))
    with pytest.raises(ValueError, match="'random_init' has no network that can be trained"):
        find_or_evaluate(encoder, task, world, tmp_path, seed=0, report=quiet)
