"""Sessions: everything about an evaluation is resolved once, before it starts, and its result is encoded once."""

import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sigma_bench.evaluation import session as sessions
from sigma_bench.evaluation.plan import plan_tasks, run_planned
from sigma_bench.evaluation.session import open_session
from sigma_bench.models.zoo import load_encoder
from sigma_bench.protocols.feature_cache import FeatureCache
from sigma_bench.protocols.knn.spec import KnnProtocol
from sigma_bench.specs.catalogue import load_task, resolve
from sigma_bench.specs.passes import Pass, SplitUse
from sigma_bench.specs.protocol import protocol_class


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often splits are named, subsets drawn, samples looked for on the disk, and predictions compressed."""
    counted: Counter[str] = Counter()

    def count(owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def counting(*args: Any, **more: Any) -> Any:
            counted[name] += 1
            return original(*args, **more)

        monkeypatch.setattr(owner, name, counting)

    count(KnnProtocol, "splits")
    count(KnnProtocol, "passes")
    count(sessions, "draw_subset")
    count(sessions, "identified")
    count(np, "savez_compressed")
    return counted


def test_a_planned_task_is_resolved_once_and_its_predictions_are_encoded_once(
    world: Path, tmp_path: Path, calls: Counter[str]
) -> None:
    task = resolve(load_task("ssv2/knn+5-per-class"), {"neighbours": 5, "uncertainty": {"replicates": 20}})
    encoder, cache = load_encoder("statistics:mini_videomae"), FeatureCache(tmp_path / "features")
    (planned,) = plan_tasks(encoder, [(task, world)], tmp_path, cache, seed=0)
    assert planned.clips == 5 * 8 + 40
    found = run_planned(encoder, planned, tmp_path, cache, seed=0)
    assert found.record.data.splits["train"].expected == 5 * 8
    assert calls == {"splits": 1, "passes": 1, "draw_subset": 1, "identified": 1, "savez_compressed": 1}


def test_a_session_can_be_sent_to_other_processes(world: Path) -> None:
    card = load_encoder("statistics:mini_videomae").card
    session = open_session(card, resolve(load_task("ssv2/linear")), world, seed=0)
    copy = pickle.loads(pickle.dumps(session))
    assert (copy.key, copy.passes, copy.task) == (session.key, session.passes, session.task)


@pytest.mark.parametrize(
    ("task", "passes"),
    [
        ("ssv2/knn", [("train", "frozen", False, 1), ("test", "frozen", False, 1)]),
        ("ssv2/attentive", [("train", "frozen", True, 1), ("test", "frozen", True, 1)]),
        ("ssv2/clustering", [("test", "frozen", False, 1)]),
        # 100 and 40 epochs of the release; two temporal views with three crops each
        ("ssv2/finetune", [("train", "training", False, 40), ("test", "trained", False, 6)]),
        ("davis2017/clustering", [("test", "frozen", True, 2)] * 3),  # 16 frames are two windows of 8; three draws
        ("davis2017/propagation", [("test", "frozen", False, 70)]),
    ],
)
def test_passes_say_what_a_protocol_asks_of_an_encoder(task: str, passes: list[tuple[Any, ...]]) -> None:
    protocol = resolve(load_task(task)).protocol
    card = load_encoder("statistics:mini_videomae").card
    stated = protocol.passes(protocol.splits(["train", "test"], "official"), card, 0)
    assert [(one.split, one.network, one.tokens, one.num_clips(sample_frames=70)) for one in stated] == passes


def test_draws_that_are_random_have_the_seed_in_their_key_and_others_do_not() -> None:
    card = load_encoder("statistics:mini_videomae").card
    task = load_task("davis2017/clustering")
    random = [resolve(task).protocol.passes((SplitUse("test"),), card, seed) for seed in (0, 1)]
    assert random[0] != random[1] and len(set(random[0])) == 3
    fixed = {"frame_draw": "linspace", "num_draws": 1}
    assert len({resolve(task, fixed).protocol.passes((SplitUse("test"),), card, seed) for seed in (0, 1)}) == 1


def test_every_kind_states_its_spec_without_torch_and_without_the_rest() -> None:
    """The names of kinds lead to classes whose own field ``kind`` has that name."""
    from sigma_bench.specs.protocol import KINDS

    for kind in KINDS.names():
        found = protocol_class(kind)
        assert kind in found.model_fields["kind"].annotation.__args__  # type: ignore[union-attr]
        assert callable(KINDS.load(kind, "run").run)


def test_a_pass_over_the_same_clips_has_one_name_whatever_is_done_with_its_features(world: Path) -> None:
    card = load_encoder("statistics:mini_videomae").card
    names = []
    for name in ("ssv2/knn", "ssv2/linear", "ssv2/attentive"):
        session = open_session(card, resolve(load_task(name)), world, seed=0)
        names.append([FeatureCache.key(card, session.split(one), one) for one in session.passes])
    assert names[0] == names[1] == names[2] and len(set(names[0])) == 2
    assert not Pass("train", None).is_cached
