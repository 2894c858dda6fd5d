"""Frozen protocols on a small mini world: choice of heads, faulty encoders, splits, processes."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sigma_bench.data.datasets import open_dataset
from sigma_bench.data.evaluation_clips import EvaluationClips
from sigma_bench.data.manifest import Manifest
from sigma_bench.evaluation.run import find_or_evaluate
from sigma_bench.metrics.accuracy import top1
from sigma_bench.models.encoder import Encoder, Features
from sigma_bench.models.zoo import load_encoder
from sigma_bench.protocols.attentive import run as attentive
from sigma_bench.protocols.linear import run as linear
from sigma_bench.records.store import Store
from sigma_bench.specs.catalogue import load_task, resolve, task_names
from sigma_bench.specs.task import ResolvedTask, Task
from sigma_bench.training.distribution import Processes, joined_processes
from tests.two_processes import in_two_processes

SMALL = {"uncertainty": {"replicates": 20}}
HEADS = SMALL | {"least_steps": 10, "epochs": 1}
OVERRIDES: dict[str, dict[str, Any]] = {
    "attentive": HEADS | {"mlp_ratio": 1, "batch_size": 32, "learning_rates": [0.001, 0.003], "weight_decays": [0.01]},
    "linear": HEADS,
    "knn": SMALL | {"neighbours": 5},
    "knn_loo": SMALL | {"neighbours": 5},
    "clustering": SMALL | {"kmeans_restarts": 1, "num_seeds": 3, "overclustering_factor": 2},
}
ALONE = Processes(torch.device("cpu"))


def quiet(phase: str, done: int, total: int) -> None:
    pass


def small(kind: str, **changes: Any) -> ResolvedTask:
    """A task of the small world that takes a moment."""
    name = f"ssv2/{kind}"
    base = load_task("ssv2/knn").model_copy(update={"protocol": f"{kind}@1", "task": name})
    base = base if kind == "knn_loo" else base.model_copy(update={"overrides": {}})
    return resolve(load_task(name) if name in task_names() else base, OVERRIDES.get(kind, {}) | changes)


def whole(manifest: Manifest) -> Manifest:
    """The test split as a dataset without a split, four samples a group."""
    split = manifest.splits["test"]
    samples = tuple(dataclasses.replace(s, group=f"group {i // 4}") for i, s in enumerate(split.samples))
    return dataclasses.replace(manifest, splits={"all": dataclasses.replace(split, name="all", samples=samples)})


def evaluated(kind: str, source: Any, output: Path, processes: Processes = ALONE, encoder: Encoder | None = None):
    encoder = encoder or load_encoder("statistics:mini_videomae")
    task = small(kind)
    manifest = source if isinstance(source, Manifest) else open_dataset(task.dataset, source)
    if kind == "knn_loo" and "all" not in manifest.splits:
        manifest = whole(manifest)
    return find_or_evaluate(encoder, task, manifest, output, seed=0, report=quiet, processes=processes).record


def test_clustering_scores_what_it_stores(world: Path, tmp_path: Path) -> None:
    record = evaluated("clustering", world, tmp_path)
    stored = Store(tmp_path).load_predictions(record.predictions)
    score = {s.metric: s for s in record.scores}
    by_seed = [top1(stored["truth"], column) for column in stored["matched"].T]
    assert len(by_seed) == 3
    assert score["hungarian_accuracy"].value == pytest.approx(np.mean(by_seed))
    assert score["hungarian_accuracy"].spread == pytest.approx(np.std(by_seed, ddof=1))
    assert score["hungarian_accuracy"].value <= score["purity"].value <= score["overclustering_accuracy"].value
    assert (stored["cluster"] >= 0).all()
    assert [len(np.unique(column)) for column in stored["cluster"].T] == [record.data.num_classes] * 3
    for each in record.scores:
        assert each.interval.low <= each.value <= each.interval.high


def test_more_clusters_than_samples_is_one_sentence(world: Path, tmp_path: Path) -> None:
    task = small("clustering", overclustering_factor=99)
    with pytest.raises(ValueError, match=r"clustering@1: 792 clusters asked of 40 samples"):
        find_or_evaluate(load_encoder("statistics:mini_videomae"), task, world, tmp_path, seed=0, report=quiet)


def test_a_class_without_samples_is_matched_to_nothing(world: Path, tmp_path: Path) -> None:
    manifest = open_dataset(small("clustering").dataset, world)
    manifest = dataclasses.replace(manifest, classes=(*(manifest.classes or ()), "never seen"))
    record = evaluated("clustering", manifest, tmp_path)
    stored = Store(tmp_path).load_predictions(record.predictions)
    for cluster, matched in zip(stored["cluster"].T, stored["matched"].T, strict=True):
        assert len(np.unique(cluster)) == 9
        assert set(matched) == {-1, *range(8)}  # one cluster is left without a class


def test_leave_one_out_scores_every_sample_without_votes_of_its_group(world: Path, tmp_path: Path) -> None:
    """Groups whose samples are copies of one another, with labels of their own: only chance is left."""
    manifest = whole(open_dataset(small("knn_loo").dataset, world))
    split = manifest.splits["all"]
    samples = tuple(
        dataclasses.replace(s, label=(i // 4) % 8, path=split.samples[i // 4 * 4].path)
        for i, s in enumerate(split.samples)
    )
    copies = dataclasses.replace(manifest, splits={"all": dataclasses.replace(split, samples=samples)})
    record = evaluated("knn_loo", copies, tmp_path / "copies")
    stored = Store(tmp_path / "copies").load_predictions(record.predictions)
    assert stored["ids"].tolist() == list(split.ids)
    assert (stored["predicted"] >= 0).all()
    alone = tuple(dataclasses.replace(s, group=s.id) for s in samples)
    copies = dataclasses.replace(manifest, splits={"all": dataclasses.replace(split, samples=alone)})
    by_copy = evaluated("knn_loo", copies, tmp_path / "alone")
    assert by_copy.scores[0].value == 1.0  # three copies of five neighbours vote
    assert record.scores[0].value < 0.6


@pytest.mark.parametrize(
    ("kind", "splits", "sentence"),
    [
        ("knn", ("test",), "ssv2 has test, but the protocol needs train and test$"),
        ("linear", ("train",), "ssv2 has train, but the protocol needs train and test$"),
        ("knn_loo", ("train", "test"), "ssv2 has train and test, but knn_loo is for one split 'all'; use knn"),
        ("clustering", ("train",), "ssv2 has train, but clustering scores the split test or all"),
        ("segmentation", ("train",), "ssv2 has train, but segmentation scores the split test"),
        ("propagation", ("train",), "ssv2 has train, but propagation scores the split test"),
        ("propagation", ("test",), "ssv2 does not have masks for every sample"),
        ("multilabel", ("test",), "ssv2 has test, but the protocol needs train and test$"),
    ],
)
def test_a_missing_split_is_one_sentence(
    world: Path, tmp_path: Path, kind: str, splits: tuple[Any, ...], sentence: str
) -> None:
    task = small(kind)
    manifest = open_dataset(task.dataset, world)
    less = dataclasses.replace(manifest, splits={name: manifest.splits[name] for name in splits})
    with pytest.raises(ValueError, match=sentence):
        find_or_evaluate(load_encoder("statistics:mini_videomae"), task, less, tmp_path, seed=0, report=quiet)


@pytest.mark.parametrize("kind", ["knn", "knn_loo", "clustering", "linear"])
def test_samples_without_a_class_are_known_before_anything_is_encoded(world: Path, tmp_path: Path, kind: str) -> None:
    manifest = open_dataset(small(kind).dataset, world)
    if kind == "knn_loo":
        manifest = whole(manifest)
    splits = {
        name: dataclasses.replace(
            split, samples=(*split.samples[1:], dataclasses.replace(split.samples[0], label=None))
        )
        for name, split in manifest.splits.items()
    }
    with pytest.raises(ValueError, match="ssv2 does not have one class for every sample"):
        evaluated(kind, dataclasses.replace(manifest, splits=splits), tmp_path)
    assert not (tmp_path / "features").exists()


class Broken:
    """An encoder whose tokens are changed before they are handed over."""

    def __init__(self, change: Callable[[Features], Features]) -> None:
        self._inner, self._change = load_encoder("statistics:mini_videomae"), change
        self.card = self._inner.card

    def encode(self, clip_BCTHW: torch.Tensor) -> Features:
        return self._change(self._inner.encode(clip_BCTHW))


def _nan(found: Features) -> Features:
    token = found.token_BND.clone()
    token[-1, 0, 0] = float("nan")
    return Features(token, found.grid)


BREAKS: dict[str, tuple[Callable[[Features], Features], str]] = {
    "NaN": (_nan, "gives features that are not finite"),
    "width": (lambda f: Features(f.token_BND[..., 1:], f.grid), r"a tensor of shape .* and the width 219"),
    "clips": (lambda f: Features(torch.cat([f.token_BND] * 2), f.grid), r"a tensor of shape .*, not \(B, N, D\)"),
    "grid": (lambda f: Features(f.token_BND, (8, 3, 2)), r"72 tokens for a grid of 48"),
    "frames": (
        lambda f: Features(f.token_BND[:, :36], (4, 3, 3)),
        r"the grid is \(4, 3, 3\), but 8 frames in tubelets of 1 make other time slots",
    ),
}


def test_tokens_that_half_precision_cannot_hold_are_refused(world: Path, tmp_path: Path) -> None:
    large = Broken(lambda found: Features(found.token_BND * 1e6, found.grid))
    with pytest.raises(ValueError, match="features too large for half precision"):
        evaluated("attentive", world, tmp_path, encoder=large)


@pytest.mark.parametrize("kind", ["knn", "attentive"])
@pytest.mark.parametrize("name", BREAKS)
def test_an_encoder_that_breaks_its_contract_is_one_sentence(world: Path, tmp_path: Path, name: str, kind: str) -> None:
    change, sentence = BREAKS[name]
    with pytest.raises(ValueError, match=f"model 'image_statistics'.*{sentence}"):
        evaluated(kind, world, tmp_path, encoder=Broken(change))
    assert not list((tmp_path / "records").rglob("*.json"))


@pytest.mark.parametrize(
    ("kind", "module", "trainer"), [("linear", linear, "fit_heads"), ("attentive", attentive, "fit_probes")]
)
def test_test_labels_change_no_feature_no_head_and_no_choice(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, module: Any, trainer: str
) -> None:
    manifest = open_dataset(small(kind).dataset, world)
    split = manifest.splits["test"]
    label = np.random.default_rng(0).permutation([s.label for s in split.samples]).tolist()
    samples = tuple(dataclasses.replace(s, label=given) for s, given in zip(split.samples, label, strict=True))
    shuffled = dataclasses.replace(
        manifest, splits={**manifest.splits, "test": dataclasses.replace(split, samples=samples)}
    )
    heads: list[list[torch.Tensor]] = []
    original = getattr(module, trainer)

    def watched(*arguments: Any) -> Any:
        found = original(*arguments)
        heads.append(
            list(found.state_dict().values()) if isinstance(found, torch.nn.Module) else list(vars(found).values())
        )
        return found

    monkeypatch.setattr(module, trainer, watched)
    records = [evaluated(kind, m, tmp_path / str(i)) for i, m in enumerate((manifest, shuffled))]
    first, second = (Store(tmp_path / str(i)).load_predictions(r.predictions) for i, r in enumerate(records))
    assert not np.array_equal(first["truth"], second["truth"])
    assert np.array_equal(first["ranked"], second["ranked"])
    assert records[0].selections == records[1].selections
    assert len(heads) == 4  # grid and refit, twice
    for before, after in ((heads[0], heads[2]), (heads[1], heads[3])):
        assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    caches = [sorted(path.read_bytes() for path in (tmp_path / str(i) / "features").rglob("*.npy")) for i in range(2)]
    assert len(caches[0]) == (4 if kind == "attentive" else 2)  # features, and tokens, of train and test
    assert caches[0] == caches[1]


@pytest.mark.parametrize("kind", ["knn", "linear"])
def test_a_fold_in_which_nothing_can_be_read_counts_as_wrong(world: Path, tmp_path: Path, kind: str) -> None:
    task = small(kind, on_decode_failure="count_as_wrong").model_copy(update={"folds": "leave_one_group_out"})
    manifest = whole(open_dataset(task.dataset, world))
    split = manifest.splits["all"]
    alone = dataclasses.replace(split.samples[0], path=split.samples[0].path.with_name("none.webm"), group="alone")
    folds = dataclasses.replace(
        manifest, splits={"all": dataclasses.replace(split, samples=(alone, *split.samples[1:]))}
    )
    encoder = load_encoder("statistics:mini_videomae")
    record = find_or_evaluate(encoder, task, folds, tmp_path, seed=0, report=quiet).record
    assert record.data.splits["all"].failed_ids == (alone.id,)
    predicted = Store(tmp_path).load_predictions(record.predictions)["predicted"]
    assert predicted[0] == -1
    assert (predicted[1:] >= 0).all()


def test_a_file_that_was_mended_is_read_again(world: Path, tmp_path: Path) -> None:
    """A file of the same size, which a digest of sizes could not distinguish."""
    manifest = open_dataset(small("knn").dataset, world)
    split, path = manifest.splits["test"], tmp_path / "torn.webm"
    content = split.samples[0].path.read_bytes()
    samples = (dataclasses.replace(split.samples[0], path=path), *split.samples[1:])
    torn = dataclasses.replace(manifest, splits=manifest.splits | {"test": dataclasses.replace(split, samples=samples)})
    path.write_bytes(bytes(len(content)))
    with pytest.raises(ValueError, match="1 samples cannot be decoded"):
        evaluated("knn", torn, tmp_path / "torn")
    path.write_bytes(content)
    assert evaluated("knn", torn, tmp_path / "torn").scores == evaluated("knn", manifest, tmp_path / "whole").scores


def test_a_still_is_a_clip_of_equal_frames(world: Path) -> None:
    task: Task = load_task("cifar100/linear")
    resolved = resolve(task)
    samples = open_dataset(resolved.dataset, world).splits["test"].samples[:3]
    for clip in EvaluationClips(samples, resolved.protocol.clip, num_frames=8, image_size=48):  # type: ignore[union-attr]
        assert isinstance(clip, torch.Tensor)
        assert clip.shape == (1, 8, 3, 48, 48)
        assert (clip == clip[:, :1]).all()
    assert "this is our choice" in task.note


def main(root: str, output: str) -> None:
    """The work of each process in the next test."""
    with joined_processes("cpu") as processes:
        for kind in OVERRIDES:
            evaluated(kind, Path(root), Path(output), processes)


def test_two_processes_give_the_records_of_one(world: Path, tmp_path: Path) -> None:
    in_two_processes(main, str(world), str(tmp_path / "two"))
    together = {r.task.protocol.kind: r for _, r in Store(tmp_path / "two").records()}
    assert together.keys() == OVERRIDES.keys()
    for kind, record in together.items():
        alone = evaluated(kind, world, tmp_path / "one")
        assert record.provenance.num_processes == 2
        assert record.model_dump(exclude={"provenance"}) == alone.model_dump(exclude={"provenance"}), kind
