"""linear: the choice of regularisation sees neither test samples nor groups from both sides."""

import numpy as np

from sigma_bench.protocols.classification import Teaching
from sigma_bench.protocols.features import SplitFeatures
from sigma_bench.protocols.linear import held_out_split, linear_scores
from sigma_bench.specs.catalogue import load_task, resolve
from sigma_bench.specs.frozen import LinearProtocol


def protocol() -> LinearProtocol:
    base = resolve(load_task("ucf101/linear")).protocol
    assert isinstance(base, LinearProtocol)
    return base


def fitted(feature: np.ndarray, label: np.ndarray, query: np.ndarray):
    everything = np.arange(len(label))
    teaching = Teaching(SplitFeatures(feature, {}), everything, label, everything, int(label.max()) + 1)
    score, selection = linear_scores(feature, teaching, query, protocol(), 0)
    return score.argmax(1), selection


def test_no_group_stands_on_both_sides_of_the_choice() -> None:
    group = np.repeat(np.arange(50), 4)
    fit, held_out = held_out_split(group, 0.2, seed=0)
    assert not set(group[fit]) & set(group[held_out])
    assert len(set(group[held_out])) == 10
    assert len(fit) + len(held_out) == 200


def test_separable_classes_are_found_and_the_whole_grid_is_kept() -> None:
    rng = np.random.default_rng(0)
    label = np.arange(300) % 3
    feature = (np.eye(3)[label] * 4 + rng.normal(size=(300, 3))).astype(np.float32)
    predicted, selection = fitted(feature, label, feature)
    assert (predicted == label).mean() > 0.95
    assert [c.setting["C"] for c in selection.grid] == list(protocol().inverse_regularisation_grid)
    best = max(c.held_out_top1 for c in selection.grid)
    assert next(c for c in selection.grid if c.setting == selection.chosen).held_out_top1 == best


def test_queries_do_not_influence_each_other() -> None:
    rng = np.random.default_rng(1)
    feature, label = rng.normal(size=(100, 5)).astype(np.float32), np.arange(100) % 4
    query = rng.normal(size=(10, 5)).astype(np.float32)
    together, _ = fitted(feature, label, query)
    alone = [fitted(feature, label, q[None])[0][0] for q in query]
    assert together.tolist() == alone
