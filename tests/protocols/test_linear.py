"""linear: optimum of logistic regression, choice on held-out samples, independence of the heads."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from sigma_bench.protocols.classification import TrainFeatures
from sigma_bench.protocols.features import SplitFeatures
from sigma_bench.protocols.head_grid import Setting, batches, chosen_scores, held_out_split
from sigma_bench.protocols.linear.run import fit_heads
from sigma_bench.protocols.linear.spec import LinearProtocol
from sigma_bench.specs.catalogue import load_task, resolve

CPU = torch.device("cpu")


def protocol(**changes: object) -> LinearProtocol:
    base = resolve(load_task("ucf101/linear")).protocol
    assert isinstance(base, LinearProtocol)
    return base.model_copy(update={"least_steps": 100, **changes})


def train_features(feature: np.ndarray, label: np.ndarray) -> TrainFeatures:
    everything = np.arange(len(label))
    return TrainFeatures(SplitFeatures(feature, {}), everything, label, everything, int(label.max()) + 1)


def fitted(feature: np.ndarray, label: np.ndarray, query: np.ndarray, seed: int = 0):
    train = train_features(feature, label)

    def fit(places, settings):
        return fit_heads(train, places, settings, protocol(), seed, CPU)

    return chosen_scores(fit, train, SplitFeatures(query, {}), np.arange(len(query)), protocol(), seed)


def blobs(num: int, num_classes: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping classes on correlated features with other means and scales."""
    rng = np.random.default_rng(seed)
    label = np.arange(num) % num_classes
    feature = rng.normal(size=(num_classes, width))[label] + rng.normal(size=(num, width)) @ rng.normal(
        size=(width, width)
    )
    return (feature * rng.uniform(0.1, 10, width) + rng.normal(size=width) * 5).astype(np.float32), label


@pytest.mark.parametrize("decay", [0.1, 0.01])
def test_the_optimum_is_logistic_regressions(decay: float) -> None:
    """scikit-learn minimises C * sum of losses + |W|^2 / 2: the same as ours at C = 1 / (decay * samples)."""
    feature, label = blobs(240, 4, 6)
    heads = fit_heads(
        train_features(feature, label), np.arange(240), [Setting(0.1, decay)], protocol(least_steps=1000), 0, CPU
    )
    standard = ((feature - feature.mean(0)) / feature.std(0)).astype(np.float64)
    best = LogisticRegression(C=1 / (decay * 240), tol=1e-9, max_iter=5000).fit(standard, label)
    ours = heads.scores(SplitFeatures(feature, {}), np.arange(240))[:, 0].softmax(-1).numpy()
    assert np.abs(ours - best.predict_proba(standard)).max() < 1e-3
    assert np.abs(heads.weight_DHL[:, 0].T.numpy() - best.coef_).max() < 1e-3


def test_no_group_stands_on_both_sides_of_the_choice() -> None:
    group = np.repeat(np.arange(50), 4)
    fit, held_out = held_out_split(group, 0.2, seed=0)
    assert not set(group[fit]) & set(group[held_out])
    assert len(set(group[held_out])) == 10
    assert len(fit) + len(held_out) == 200
    with pytest.raises(ValueError, match="all of train is one group"):
        held_out_split(np.zeros(5), 0.2, seed=0)


def test_separable_classes_are_found_and_the_whole_grid_is_kept() -> None:
    rng = np.random.default_rng(0)
    label = np.arange(300) % 3
    feature = (np.eye(3)[label] * 4 + rng.normal(size=(300, 3))).astype(np.float32)
    score, selection = fitted(feature, label, feature)
    assert (score.argmax(1) == label).mean() > 0.95
    knobs = [(c.setting["learning_rate"], c.setting["weight_decay"]) for c in selection.grid]
    assert knobs == [(rate, decay) for decay in protocol().weight_decays for rate in protocol().learning_rates]
    best = max(c.top1 for c in selection.grid)
    assert next(c for c in selection.grid if c.held_out_top1 == best).setting == selection.chosen


def test_a_head_is_the_same_alone_and_beside_one_that_diverges() -> None:
    feature, label = blobs(100, 3, 5)
    setting, wild = Setting(0.1, 0.01), Setting(1e30, 0.1)
    alone, beside = (
        fit_heads(train_features(feature, label), np.arange(100), settings, protocol(), 0, CPU)
        for settings in ([setting], [wild, setting])
    )
    assert not beside.weight_DHL[:, 0].isfinite().all()
    torch.testing.assert_close(beside.weight_DHL[:, 1], alone.weight_DHL[:, 0], rtol=1e-4, atol=1e-5)


def test_a_grid_that_diverges_is_said_not_scored() -> None:
    feature, label = blobs(100, 3, 5)
    train, wild = train_features(feature, label), protocol(learning_rates=(1e30,))

    def fit(places, settings):
        return fit_heads(train, places, settings, wild, 0, CPU)

    with pytest.raises(ValueError, match="every head diverges; lower learning_rates"):
        chosen_scores(fit, train, train.features, np.arange(10), wild, 0)


def test_queries_do_not_influence_each_other_and_a_seed_repeats() -> None:
    feature, label = blobs(100, 4, 5)
    query = blobs(10, 4, 5, seed=1)[0]
    together, _ = fitted(feature, label, query)
    for place in (0, 9):
        np.testing.assert_allclose(fitted(feature, label, query[place : place + 1])[0][0], together[place], atol=1e-5)
    assert np.array_equal(together, fitted(feature, label, query)[0])
    assert not np.array_equal(together, fitted(feature, label, query, seed=1)[0])


def test_every_sample_comes_once_each_time_through() -> None:
    drawn = np.concatenate(list(batches(10, protocol(batch_size=4, epochs=6, least_steps=1), seed=0)))
    assert len(drawn) == 60
    for start in range(0, 60, 10):
        assert sorted(drawn[start : start + 10]) == list(range(10))
    assert len(list(batches(10, protocol(batch_size=4, epochs=1, least_steps=7), seed=0))) == 7
