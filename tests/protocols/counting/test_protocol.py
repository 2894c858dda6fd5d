"""Counting from videos to records: every video once, resuming, one or two processes, errors."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sigma_bench.data.datasets import open_dataset
from sigma_bench.data.manifest import Manifest, Split
from sigma_bench.evaluation.run import find_or_evaluate
from sigma_bench.metrics.counting import NO_COUNT, counting_error
from sigma_bench.models.encoder import Encoder
from sigma_bench.models.zoo import load_encoder
from sigma_bench.protocols.counting import run as counting
from sigma_bench.protocols.counting.frames import AnnotatedFrames
from sigma_bench.protocols.counting.inference import count_repetitions
from sigma_bench.protocols.counting.network import frames_per_half, make_detector
from sigma_bench.protocols.counting.run import repetition_counts, video_lengths
from sigma_bench.protocols.counting.segments import draw_segments
from sigma_bench.protocols.counting.spec import CountingProtocol
from sigma_bench.protocols.counting.training import DetectorTraining
from sigma_bench.protocols.interface import Evaluation, Predictions
from sigma_bench.records.record import Record
from sigma_bench.records.store import Store
from sigma_bench.specs.catalogue import load_dataset, load_task, resolve
from sigma_bench.specs.task import ResolvedTask
from sigma_bench.training.distribution import Processes, joined_processes
from tests.models.external_files import FeaturesOnly
from tests.protocols.opened import opened
from tests.two_processes import in_two_processes

QUICK = {"segments_per_video": 1, "epochs": 1, "batch": 4, "rollout_steps": 2, "learning_rate": 0.01}
ALONE = Processes(torch.device("cpu"))


def quick_task(**changes: Any) -> ResolvedTask:
    return resolve(load_task("ucfrep/counting"), {"image_size": 16, "training": QUICK, **changes})


def protocol_of(task: ResolvedTask) -> CountingProtocol:
    assert isinstance(task.protocol, CountingProtocol)
    return task.protocol


def quiet(phase: str, done: int, total: int) -> None:
    pass


def record_of(world: Path, output: Path, encoder: Encoder, processes: Processes = ALONE, **changes: Any) -> Record:
    task = quick_task(**changes)
    return find_or_evaluate(encoder, task, world, output, seed=0, report=quiet, processes=processes).record


def test_every_video_is_counted_once_and_found_again(world: Path, tmp_path: Path) -> None:
    encoder = load_encoder("random:mini_videomae", seed=1)
    record = record_of(world, tmp_path, encoder)
    arrays = Store(tmp_path).load_predictions(record.predictions)
    test = open_dataset(record.task.dataset, world).splits["test"]
    assert arrays["ids"].tolist() == list(test.ids)
    assert arrays["truth"].tolist() == repetition_counts(test).tolist()
    error, near = record.scores
    assert error.value == counting_error(arrays["truth"], arrays["predicted"])
    assert (error.metric, error.higher_is_better, near.higher_is_better) == ("counting_error", False, True)
    assert not (tmp_path / "unfinished").exists() or not list((tmp_path / "unfinished").iterdir())
    assert find_or_evaluate(encoder, record.task, world, tmp_path, seed=0, report=quiet).was_there


def test_controls_look_at_no_frame(world: Path) -> None:
    task = quick_task()
    manifest = open_dataset(task.dataset, world)
    train, test = manifest.splits["train"], manifest.splits["test"]
    controls = counting.constant_controls(train, test)
    truth = repetition_counts(test)
    always = {count: float(np.mean(np.abs(count - truth) / truth)) for count in range(1, 10)}
    assert controls["error_of_count_chosen_on_test"] == min(always.values())
    assert controls["error_of_count_chosen_on_train"] in always.values()
    mean_cycle = (video_lengths(train) - 1).sum() / repetition_counts(train).sum()
    guessed = np.round((video_lengths(test) - 1) / mean_cycle)
    assert controls["error_of_mean_cycle_of_train"] == pytest.approx(np.mean(np.abs(guessed - truth) / truth))


def trained(world: Path, folder: Path, stop_after: int | None = None) -> dict[str, torch.Tensor]:
    """Weights after training, which may be interrupted once."""
    task, encoder = quick_task(), load_encoder("random:mini_videomae", seed=1)
    protocol, train = protocol_of(task), open_dataset(task.dataset, world).splits["train"]
    segments = draw_segments(train, list(range(len(train.samples))), 1, 300, seed=0)
    for limit in (stop_after, None) if stop_after else (None,):
        detector = make_detector(encoder, protocol, 0, torch.device("cpu"))
        training = DetectorTraining(detector, encoder.card, protocol, folder / "state.pt", identity="one", seed=0)
        for done, total in training.run(segments, AnnotatedFrames(train.samples, 16), seconds_between_states=0):
            assert total == 4
            if done == limit:
                break
    return detector.state_dict()


def test_a_killed_training_ends_with_the_same_weights(world: Path, tmp_path: Path) -> None:
    (tmp_path / "killed").mkdir()
    whole, killed = trained(world, tmp_path), trained(world, tmp_path / "killed", stop_after=2)
    assert all(torch.equal(killed[name], value) for name, value in whole.items())
    first = make_detector(load_encoder("random:mini_videomae", seed=1), protocol_of(quick_task()), 0, ALONE.device)
    moved = [name for name, value in first.state_dict().items() if not torch.equal(value, whole[name])]
    assert {"heads.weight", "backbone.network.patch_embed.proj.weight"} <= set(moved), "backbone and heads are trained"


def test_a_finished_training_is_not_repeated(world: Path, tmp_path: Path) -> None:
    trained(world, tmp_path)
    again = trained(world, tmp_path)
    (tmp_path / "state.pt").unlink()
    assert all(torch.equal(again[name], value) for name, value in trained(world, tmp_path).items())


def arrays_of(world: Path, folder: Path, processes: Processes) -> dict[str, Any]:
    """Predictions with blocks of three videos, so that two processes have some each."""
    counting.BLOCK_VIDEOS = 3
    encoder = load_encoder("random:mini_videomae", seed=1)
    record = record_of(world, folder, encoder, processes)
    return {"predictions": record.predictions.sha256, "scores": record.scores}


def main(world: str, folder: str) -> None:
    """The work of each process in the next test."""
    with joined_processes("cpu") as processes:
        arrays_of(Path(world), Path(folder), processes)


def test_a_killed_run_does_not_count_finished_blocks_again(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test has eight videos, in blocks of three."""
    monkeypatch.setattr(counting, "BLOCK_VIDEOS", 3)
    blocks: list[int] = []

    def count(length_V: np.ndarray, *rest: Any) -> np.ndarray:
        if len(blocks) == 2 and not is_again:
            raise KeyboardInterrupt
        blocks.append(len(length_V))
        return count_repetitions(length_V, *rest)

    monkeypatch.setattr(counting, "count_repetitions", count)
    is_again, encoder = False, load_encoder("statistics:mini_videomae")
    with pytest.raises(KeyboardInterrupt):
        record_of(world, tmp_path / "killed", encoder, backbone="frozen")
    is_again = True
    killed = record_of(world, tmp_path / "killed", encoder, backbone="frozen")
    assert blocks == [3, 3, 2]
    whole = record_of(world, tmp_path / "whole", encoder, backbone="frozen")
    assert (killed.predictions, killed.scores) == (whole.predictions, whole.scores)


def test_two_processes_give_the_record_of_one(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "BLOCK_VIDEOS", counting.BLOCK_VIDEOS)
    in_two_processes(main, str(world), str(tmp_path / "two"))
    alone = arrays_of(world, tmp_path / "one", ALONE)
    (path,) = (tmp_path / "two" / "records").rglob("*.json")
    two = Record.model_validate_json(path.read_text())
    assert (two.predictions.sha256, two.scores) == (alone["predictions"], alone["scores"])
    assert two.provenance.num_processes in (1, 2)


def evaluation(manifest: Manifest, folder: Path, encoder: Encoder, **changes: Any) -> Evaluation[Any]:
    return opened(encoder, quick_task(**changes), manifest, folder, folder / "unfinished")


def copied(world: Path, folder: Path) -> Path:
    shutil.copytree(world / "ucf101" / "UCFRep", folder / "ucf101" / "UCFRep")
    shutil.copy(world / "ucf101" / "miniworld.json", folder / "ucf101")
    for swing in (world / "ucf101" / "UCF-101").glob("Swing*"):
        shutil.copytree(swing, folder / "ucf101" / "UCF-101" / swing.name)
    return folder


def test_a_broken_video_fails_or_counts_as_wrong(world: Path, tmp_path: Path) -> None:
    root, task = copied(world, tmp_path), quick_task()
    test = open_dataset(task.dataset, root).splits["test"]
    broken = test.samples[1]
    broken.path.write_bytes(b"not a video")
    manifest, encoder = open_dataset(task.dataset, root), load_encoder("statistics:mini_videomae")
    with pytest.raises(ValueError, match=f"1 videos of test cannot be decoded .* first '{broken.id}'"):
        counting.run(evaluation(manifest, tmp_path, encoder, backbone="frozen"))
    forgiving = {"backbone": "frozen", "pooling": "halves", "on_decode_failure": "count_as_wrong"}
    predictions = counting.run(evaluation(manifest, tmp_path, encoder, **forgiving))
    assert isinstance(predictions, Predictions)
    assert list(predictions.failures) == [broken.id]
    assert predictions.num_scored == len(test.samples)
    assert predictions.arrays["predicted"][1] == NO_COUNT and (np.delete(predictions.arrays["predicted"], 1) > 0).all()
    broken.path.unlink()
    with pytest.raises(ValueError, match="1 of the 8 files that the test list names are missing"):
        counting.run(evaluation(open_dataset(task.dataset, root), tmp_path, encoder))


def test_what_does_not_fit_is_said(world: Path, tmp_path: Path) -> None:
    manifest = open_dataset(quick_task().dataset, world)
    statistics = FeaturesOnly(load_encoder("statistics:mini_videomae"))
    with pytest.raises(ValueError, match="'image_statistics' has no network that can be trained"):
        counting.run(evaluation(manifest, tmp_path, statistics))
    card = load_encoder("random:mini_videomae").card
    with pytest.raises(ValueError, match="two halves of 3 frames, each of which must be a whole number of tubelets"):
        frames_per_half(card, protocol_of(quick_task(frames_per_half=3)))
    assert frames_per_half(card, protocol_of(quick_task())) == 4
    fixed = card.model_copy(update={"min_frames": card.num_frames})
    with pytest.raises(ValueError, match="clips of at least 8 frames, not of 4; set frames_per_half to 4 or more"):
        frames_per_half(fixed, protocol_of(quick_task(frames_per_half=2)))
    assert frames_per_half(fixed, protocol_of(quick_task())) == 4
    with pytest.raises(ValueError, match="takes 8 frames, and a frozen encoder cannot be given 16"):
        counting.run(evaluation(manifest, tmp_path, statistics, backbone="frozen", frames_per_half=8))
    other = open_dataset(load_dataset("ucf101"), world)
    with pytest.raises(ValueError, match="ucf101 does not list the repetitions of every video"):
        counting.run(evaluation(other, tmp_path, statistics, backbone="frozen"))
    whole = Manifest("mine", "user", None, {"all": Split("all", manifest.splits["train"].samples, 16)})
    folds = quick_task().model_copy(update={"folds": "leave_one_group_out"})
    with pytest.raises(ValueError, match="counting@1 does not use folds"):
        find_or_evaluate(statistics, folds, whole, tmp_path, seed=0, report=quiet)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"anchors": [0.5, 2.0]}, "anchors must contain 1.0"),
        ({"inference": {"num_scales": 1}}, "num_scales': Input should be greater than or equal to 2"),
        ({"inference": {"time_points": 16}}, "4 levels end at 16 time points, which makes 32 of them, not 16"),
    ],
)
def test_keys_that_contradict_each_other_are_refused(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        quick_task(**change)
