"""Predicted time: measured per part, shared by tasks, kept in the record beside the actual time."""

from pathlib import Path

import pytest
import torch

from sigma_bench.evaluation.cost import TRAINING_FACTOR, CostModel, Range
from sigma_bench.evaluation.plan import plan_tasks, run_planned, with_costs
from sigma_bench.evaluation.session import SINGLE_PROCESS, open_session
from sigma_bench.models.zoo import load_encoder
from sigma_bench.protocols.feature_cache import FeatureCache
from sigma_bench.protocols.interface import HeadSizes
from sigma_bench.protocols.linear import run as linear
from sigma_bench.protocols.neighbours import search_seconds
from sigma_bench.protocols.segmentation import run as segmentation
from sigma_bench.records.store import read_record
from sigma_bench.specs.catalogue import load_task, resolve
from sigma_bench.specs.protocol import KINDS

CPU = torch.device("cpu")


def test_a_prediction_is_kept_beside_the_actual_time(world: Path, tmp_path: Path) -> None:
    encoder, cache = load_encoder("random:mini_videomae"), FeatureCache(tmp_path / "features")
    tasks = [(resolve(load_task(name)), world) for name in ("ssv2/knn", "ssv2/linear")]
    plan = with_costs(plan_tasks(encoder, tasks, tmp_path, cache, seed=0), encoder, cache, CPU)
    knn, heads = (planned.predicted for planned in plan)
    assert knn is not None and heads is not None
    assert knn.encoding.high > 0 and knn.decoding.high > 0 and knn.head is not None
    assert heads.encoding == heads.decoding == Range(), "the pass is that of the first task"
    assert heads.head is not None and heads.head.low > 0
    found = run_planned(encoder, plan[0], tmp_path, cache, seed=0, processes=SINGLE_PROCESS)
    seconds = read_record(found.path).provenance.seconds
    assert seconds["predicted_low"] == pytest.approx(knn.seconds.low, abs=1e-3)
    assert seconds["predicted_high"] == pytest.approx(knn.seconds.high, abs=1e-3)
    assert seconds["evaluate"] > 0
    again = with_costs(plan_tasks(encoder, tasks, tmp_path, cache, seed=0), encoder, cache, CPU)
    assert again[0].predicted is None and again[1].predicted is not None


def test_more_clips_take_proportionally_longer_and_training_takes_passes(world: Path) -> None:
    encoder = load_encoder("random:mini_videomae")
    task = resolve(load_task("ucf101/finetune_mini"))
    session = open_session(encoder.card, task, world, seed=0)
    model = CostModel(encoder, CPU, 0, "auto")
    one, ten = (model.predict(session, {0: TRAINING_FACTOR * clips}) for clips in (10, 100))
    assert ten.encoding.low == pytest.approx(10 * one.encoding.low)
    assert ten.decoding.high == pytest.approx(10 * one.decoding.high)
    assert one.head == Range(), "the head of fine-tuning is trained with the network"


def test_workers_share_the_decoding() -> None:
    encoder = load_encoder("statistics:mini_videomae")
    alone, shared = (CostModel(encoder, CPU, workers, "auto") for workers in (0, 3))
    decoding, encoding = Range(8.0, 16.0), Range(10.0, 10.0)
    assert alone._overlapped(decoding, encoding, 100) == Range(18.0, 26.0)
    assert shared._overlapped(decoding, encoding, 100).high <= 18.0
    on_gpu = CostModel(encoder, torch.device("cuda:0"), 4, "auto")
    assert on_gpu._overlapped(decoding, encoding, 100) == Range(10.0, 10.0)


def test_heads_and_searches_grow_with_the_data() -> None:
    protocol = resolve(load_task("ssv2/linear"), {"least_steps": 1}).protocol
    small, large = (linear.head_seconds(protocol, HeadSizes(number, 10, 8, 32, CPU)) for number in (1_000, 1_000_000))
    assert 0 < small < large
    assert 0 < search_seconds(500, 10, 16, 5) < search_seconds(500_000, 10_000, 16, 5)


GRID = HeadSizes(1_000, 400, 8, 32, CPU, token_grid=(4, 3, 3), num_frames=8, image_size=48)


@pytest.mark.parametrize(
    ("task", "grown"),
    [
        ("ssv2/attentive", {"num_train": 10_000}),
        ("ssv2/attentive_2", {"num_train": 10_000}),
        ("cifar100/clustering", {"num_test": 40_000}),
        ("davis2017/clustering", {"num_test": 4_000}),
    ],
)
def test_work_on_tokens_grows_with_the_data(task: str, grown: dict[str, int]) -> None:
    """By about the factor of the data, which is measured on few samples: at least 3 of 10 and of 100."""
    protocol = resolve(load_task(task)).protocol
    predict = KINDS.load(protocol.kind, "run").head_seconds
    small, large = (predict(protocol, sizes) for sizes in (GRID, GRID._replace(**grown)))
    assert 0 < 3 * small < large


def test_clusters_of_a_whole_dataset_are_not_predicted() -> None:
    changed = {"pool": "dataset", "feature_scope": "dataset"}
    assert segmentation.head_seconds(resolve(load_task("davis2017/clustering"), changed).protocol, GRID) is None


def test_an_encoder_that_fails_has_no_prediction(world: Path, tmp_path: Path) -> None:
    encoder, cache = load_encoder("random:mini_videomae"), FeatureCache(tmp_path / "features")
    plan = plan_tasks(encoder, [(resolve(load_task("ssv2/knn")), world)], tmp_path, cache, seed=0)

    def fails(clip_BCTHW: torch.Tensor) -> None:
        raise RuntimeError("no")

    encoder.encode = fails  # type: ignore[method-assign, assignment]
    assert with_costs(plan, encoder, cache, CPU)[0].predicted is None


def test_the_cost_of_a_clip_follows_from_what_is_trained_and_from_its_size(world: Path, tmp_path: Path) -> None:
    """A clip of counting_mini has 16 frames of 24 pixels, which is half of 8 frames of 48 pixels."""
    encoder, cache = load_encoder("random:mini_videomae"), FeatureCache(tmp_path / "features")
    names = ("ucf101/finetune_mini", "ucf101/linear_online_mini", "ucfrep/counting_mini")
    plan = plan_tasks(encoder, [(resolve(load_task(name)), world) for name in names], tmp_path, cache, seed=0)
    finetune, online, counting = (planned.session for planned in plan)
    assert finetune is not None and online is not None and counting is not None
    model = CostModel(encoder, CPU, 0, "auto")
    training_steps, forward_passes = (planned.clips_of_passes[0] for planned in plan[:2])
    assert training_steps / (4 * TRAINING_FACTOR) == forward_passes / 6, "4 and 6 epochs of the same videos"
    whole, head, count = (model.predict(session, {0: 60}).encoding for session in (finetune, online, counting))
    assert whole.low == pytest.approx(head.low * 2.5 / 3) and whole.high == pytest.approx(head.high * 4 / 3)
    assert count.low == pytest.approx(whole.low / 2) and count.high == pytest.approx(whole.high / 2)
