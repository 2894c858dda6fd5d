"""attentive@2 on a small mini world: resuming, two processes, the choice of the probe, memory, decoding failures."""

import gc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sigma_bench.data.manifest import Manifest
from sigma_bench.evaluation.run import FoundRecord, find_or_evaluate
from sigma_bench.models.zoo import load_encoder
from sigma_bench.protocols.attentive_online.method import ProbeMethod
from sigma_bench.protocols.attentive_online.run import choice
from sigma_bench.protocols.attentive_online.spec import AttentiveOnlineProtocol
from sigma_bench.protocols.head_grid import Setting
from sigma_bench.specs.task import ResolvedTask
from sigma_bench.training.distribution import joined_processes
from tests.models.external_files import FeaturesOnly
from tests.protocols.tiny_training import (
    arrays_of,
    half_manifest,
    quiet,
    relabelled,
    run,
    small_manifest,
    tiny_encoder,
    tiny_task,
)
from tests.two_processes import in_two_processes

OPTIM = {"global_batch": 8, "epochs": 1, "learning_rates": [0.001, 0.01], "weight_decays": [0.4]}
TINY = {
    "depth": 2,
    "optim": OPTIM,
    "views": {"crop": "three_along_longer_side"},
    "clips_at_once": 12,
    "checkpoint_every_steps": 3,
    "uncertainty": {"replicates": 20},
}
RANDOM = {"augmentation": {"rand_augment": "rand-m7-n4-mstd0.5-inc1", "erasing_probability": 0.25}}
TENSORS = torch.Tensor, torch.nn.Parameter
TASK, ON_TEST = "ssv2/attentive_mini_2", "ssv2/attentive_selected_on_test"


class Stopped(Exception):  # noqa: N818 (not an error)
    pass


def task_of(name: str = TASK, **changes: Any) -> ResolvedTask:
    return tiny_task(name, TINY | changes)


def assert_same(some: tuple[Path, FoundRecord], other: tuple[Path, FoundRecord]) -> None:
    """The same predictions, scores and choice."""
    arrays = [arrays_of(*each) for each in (some, other)]
    assert arrays[0].keys() == arrays[1].keys()
    assert all(np.array_equal(arrays[0][name], arrays[1][name]) for name in arrays[0])
    assert some[1].record.scores == other[1].record.scores
    assert some[1].record.selections == other[1].record.selections


def with_half_of_the_test(world: Path) -> Manifest:
    return small_manifest(world, test=half_manifest(world).splits["test"].samples)


def shared_run(data: str, output: str) -> None:
    """What each of two processes does."""
    with joined_processes("cpu") as processes:
        run(task_of(**RANDOM), with_half_of_the_test(Path(data)), Path(output), processes=processes)


def test_stopped_three_times_or_shared_by_two_processes_a_run_is_the_same(world: Path, tmp_path: Path) -> None:
    """With all random operations; the stops are between two saved states, before the last one, and in the test."""
    task, data = task_of(**RANDOM), with_half_of_the_test(world)
    whole = tmp_path / "whole", run(task, data, tmp_path / "whole")
    assert whole[1].record.data.splits["test"].scored == 20
    assert not (tmp_path / "whole" / "features").exists(), "no token is stored"
    for stop in (None, ("training", 8), ("test", 8)):

        def report(phase: str, done: int, total: int, stop: tuple[str, int] | None = stop) -> None:
            if (phase, done) == stop:
                raise Stopped

        encoder = tiny_encoder() if stop else StopsInTraining()
        with pytest.raises(Stopped):
            find_or_evaluate(encoder, task, data, tmp_path / "cut", seed=0, report=report)
    (state,) = (tmp_path / "cut").glob("unfinished/*/fold-0/resume.pt")
    assert torch.load(state, weights_only=True)["step"] == 8
    assert_same((tmp_path / "cut", run(task, data, tmp_path / "cut")), whole)
    in_two_processes(shared_run, str(world), str(tmp_path / "shared"))
    found = run(task, data, tmp_path / "shared")
    assert found.was_there and found.record.provenance.num_processes == 2
    assert_same((tmp_path / "shared", found), whole)


class StopsInTraining:
    """The tiny encoder, which stops a run in the fifth step of two micro-batches, after a state of three steps."""

    def __init__(self) -> None:
        self._inner, self._left = tiny_encoder(), 9
        self.card = self._inner.card

    def encode(self, clip_BCTHW: torch.Tensor) -> Any:
        if self._left == 0:
            raise Stopped
        self._left -= 1
        return self._inner.encode(clip_BCTHW)


def test_the_labels_of_the_test_play_no_part_unless_the_name_says_so(world: Path, tmp_path: Path) -> None:
    """An encoder without a network, whose width does not divide into 16 heads; turned labels select another probe only
    where the test selects."""
    encoder = FeaturesOnly(load_encoder("statistics:mini_videomae"))
    data = half_manifest(world)
    test = data.splits["test"].samples
    turned = half_manifest(world, test=tuple(relabelled(s, ((s.label or 0) + 1) % 8) for s in test))
    clean, changed, on_test = (
        find_or_evaluate(encoder, task, manifest, tmp_path / name, seed=0, report=quiet)
        for name, task, manifest in (
            ("clean", task_of(depth=1), data),
            ("turned", task_of(depth=1), turned),
            ("on_test", on_test_task(depth=1), data),
        )
    )
    arrays = [arrays_of(tmp_path / name, found) for name, found in (("clean", clean), ("turned", changed))]
    assert not np.array_equal(arrays[0]["truth"], arrays[1]["truth"])
    assert np.array_equal(arrays[0]["ranked"], arrays[1]["ranked"])
    assert clean.record.selections == changed.record.selections
    (selection,), (biased,) = clean.record.selections, on_test.record.selections
    heads = max(number for number in range(1, 17) if encoder.card.feature_width % number == 0)
    assert heads < 16
    assert selection.rule == (
        f"best top-1 on held-out 20% of train, reported as trained on the rest, not refitted; probes with {heads} "
        "attention heads"
    )
    assert [point.setting for point in selection.grid] == [
        {"learning_rate": rate, "weight_decay": 0.4} for rate in OPTIM["learning_rates"]
    ]
    assert "TEST split itself" in biased.rule
    score = on_test.record.scores[0]
    assert (score.metric, score.value) == ("top1_selected_on_test", max(point.test_top1 or 0 for point in biased.grid))


def on_test_task(**changes: Any) -> ResolvedTask:
    mini = task_of().protocol.model_dump(include={"augmentation", "attention_heads"})
    return task_of(ON_TEST, **mini, optim=OPTIM | {"precision": "float32"}, **changes)


@pytest.fixture
def method() -> ProbeMethod:
    settings = [Setting(rate, 0.1) for rate in (0.1, 0.2, 0.3)]
    return ProbeMethod(tiny_encoder(), protocol_of(), settings, 8, seed=0)


def protocol_of() -> AttentiveOnlineProtocol:
    protocol = task_of().protocol
    assert isinstance(protocol, AttentiveOnlineProtocol)
    return protocol


def test_the_first_of_the_best_probes_that_did_not_diverge_is_chosen(method: ProbeMethod) -> None:
    label_C = np.arange(8)
    ranked_CPK = np.repeat(label_C[:, None, None], 3, 1)
    ranked_CPK[0, 0] = -1
    chosen, selection = choice(ranked_CPK, label_C, method, protocol_of())
    assert (chosen, selection.chosen) == (1, {"learning_rate": 0.2, "weight_decay": 0.1})
    assert [point.held_out_top1 for point in selection.grid] == [0.875, 1.0, 1.0]
    assert selection.warnings == ("learning_rate=0.1, weight_decay=0.1: diverged",)
    ranked_CPK[:3, 1] = 7
    assert choice(ranked_CPK, label_C, method, protocol_of())[0] == 2
    ranked_CPK[1] = -1
    with pytest.raises(ValueError, match=r"attentive_mini@2: every probe diverges; lower optim.learning_rates"):
        choice(ranked_CPK, label_C, method, protocol_of())
    with pytest.raises(ValueError, match="no sample by which a probe is chosen can be read"):
        choice(ranked_CPK[:0], label_C[:0], method, protocol_of())


def test_memory_does_not_grow_with_the_number_of_videos(world: Path, tmp_path: Path) -> None:
    """Bytes of all tensors that exist at any report, for 20 + 10 videos and for 80 + 40."""

    def peak(name: str, train: int, test: int) -> int:
        most = 0

        def report(phase: str, done: int, total: int) -> None:
            nonlocal most
            storages = (each.untyped_storage() for each in gc.get_objects() if type(each) in TENSORS)
            most = max(most, sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values()))

        splits = small_manifest(world).splits
        manifest = small_manifest(world, train=splits["train"].samples[:train], test=splits["test"].samples[:test])
        run(task_of(), manifest, tmp_path / name, report=report)
        return most

    small, large = peak("small", 20, 10), peak("large", 80, 40)
    assert 1_000_000 < large < 1.02 * small


def test_a_video_that_does_not_decode_fails_the_run_or_is_wrong(world: Path, tmp_path: Path) -> None:
    manifest, (train, test) = broken(world, tmp_path)
    with pytest.raises(ValueError, match=r"cannot be (read|decoded)"):
        run(task_of(), manifest, tmp_path / "fail")
    allowed = {"on_decode_failure": "count_as_wrong", "max_broken_share": 0.3}
    found = run(task_of(**allowed), manifest, tmp_path / "wrong")
    splits = found.record.data.splits
    assert (set(splits["train"].failed_ids), splits["test"].failed_ids) == (set(train), (test,))
    ranked_SK = arrays_of(tmp_path / "wrong", found)["ranked"]
    assert (ranked_SK[0] == -1).all() and (ranked_SK[1:] >= 0).all()


def broken(world: Path, folder: Path) -> tuple[Manifest, tuple[list[str], str]]:
    """Six unreadable videos of train, some of them held out, and one of test; with their ids."""
    path = folder / "broken.webm"
    path.write_bytes(b"no video")
    train, test = (small_manifest(world).splits[name].samples for name in ("train", "test"))
    train = (*(replace(sample, path=path) for sample in train[:6]), *train[6:40])
    test = (replace(test[0], path=path), *test[1:6])
    return small_manifest(world, train=train, test=test), ([sample.id for sample in train[:6]], test[0].id)


def test_every_fold_is_trained_without_what_it_is_asked(world: Path, tmp_path: Path) -> None:
    manifest = small_manifest(world)
    samples = tuple(replace(s, group=f"person{i % 3}") for i, s in enumerate(manifest.splits["train"].samples[:48]))
    everything = replace(manifest.splits["train"], name="all", samples=samples, expected=48)
    task = task_of(held_out_fraction=0.5, views={"crop": "centre"}).model_copy(update={"folds": "leave_one_group_out"})
    seen: list[tuple[str, int, int]] = []
    folds = replace(manifest, splits={"all": everything})
    found = run(task, folds, tmp_path, report=lambda *report: seen.append(report))
    assert [total for phase, done, total in seen if phase == "training" and done == total] == [2, 2, 2]  # 16 of one
    assert (arrays_of(tmp_path, found)["predicted"] >= 0).all()
    assert len(found.record.selections) == 3


def test_a_batch_that_does_not_fit_is_refused(world: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"task 'ssv2/attentive_mini_2': 64 videos do not fill one batch of 100"):
        run(task_of(optim=OPTIM | {"global_batch": 100}), world, tmp_path)
