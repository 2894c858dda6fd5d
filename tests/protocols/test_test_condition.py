"""A condition of the test clips and a reduced training set: what changes and what must not change."""

from pathlib import Path

import numpy as np
import pytest

from sigma_bench.data.datasets import open_dataset
from sigma_bench.data.identity import identified
from sigma_bench.evaluation.run import find_or_evaluate
from sigma_bench.evaluation.session import open_session
from sigma_bench.models.encoder import Encoder
from sigma_bench.models.zoo import load_encoder
from sigma_bench.protocols.feature_cache import FeatureCache
from sigma_bench.records.record import Record
from sigma_bench.specs.catalogue import load_task, resolve
from sigma_bench.specs.task import ResolvedTask
from tests.protocols.test_frozen import quiet, whole
from tests.protocols.tiny_training import tiny_encoder

SMALL = {"neighbours": 5, "uncertainty": {"replicates": 20}}


def task(name: str, **changes: object) -> ResolvedTask:
    return resolve(load_task(name), SMALL | changes)


def entries(output: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in (output / "features").rglob("feature.npy")}


def evaluated(name: str, world: Path, output: Path, encoder: Encoder | None = None) -> Record:
    encoder = encoder or load_encoder("statistics:mini_videomae")
    return find_or_evaluate(encoder, task(name), world, output, seed=0, report=quiet).record


def test_only_the_scored_clips_are_under_the_condition(world: Path, tmp_path: Path) -> None:
    evaluated("ssv2/knn", world, tmp_path)
    clean = entries(tmp_path)
    evaluated("ssv2/knn+occlusion-5", world, tmp_path)
    both = entries(tmp_path)
    assert (len(clean), len(both)) == (2, 3)  # the bank's features are found again
    assert all(both[name] == content for name, content in clean.items())
    (new,) = both.keys() - clean.keys()
    assert both[new] not in clean.values()


def test_a_model_of_single_frames_knows_no_arrow_of_time_and_one_of_motion_does(world: Path, tmp_path: Path) -> None:
    """Up to rounding: the mean over frames that are encoded one by one does not depend on their order."""
    away = {}
    for name, encoder in (("still", load_encoder("random:mini_dino")), ("moving", tiny_encoder())):
        output = tmp_path / name
        evaluated("ssv2/knn", world, output, encoder)
        clean = {path: np.load(path) for path in (output / "features").rglob("feature.npy")}
        evaluated("ssv2/knn+reversal", world, output, encoder)
        (reversed_SD,) = (np.load(path) for path in (output / "features").rglob("feature.npy") if path not in clean)
        (clean_SD,) = (feature_SD for feature_SD in clean.values() if len(feature_SD) == len(reversed_SD))
        away[name] = np.abs(reversed_SD - clean_SD).max() / clean_SD.std()
    assert away["still"] < 1e-4 and away["moving"] > 0.1, away


def test_folds_train_on_clean_clips_too(world: Path, tmp_path: Path) -> None:
    """One split with two kinds of clips: training features equal those of a run without a condition, byte for byte."""
    manifest = whole(open_dataset(task("ssv2/knn").dataset, world))
    encoder = load_encoder("statistics:mini_videomae")
    folded = task("ssv2/knn+occlusion-5").model_copy(update={"folds": "leave_one_group_out"})
    manifest = identified(manifest, manifest.splits.values())
    session = open_session(encoder.card, folded, manifest, seed=0)
    keys = {FeatureCache.key(encoder.card, session.split(one), one) for one in session.passes}
    find_or_evaluate(encoder, folded, manifest, tmp_path, seed=0, report=quiet)
    assert keys == entries(tmp_path).keys()
    clean = folded.model_copy(update={"protocol": task("ssv2/knn").protocol})
    find_or_evaluate(encoder, clean, manifest, tmp_path / "clean", seed=0, report=quiet)
    (bank,) = entries(tmp_path / "clean").items()
    assert len(entries(tmp_path)) == 2 and bank in entries(tmp_path).items()


def test_few_of_every_class_are_trained_on_and_all_of_the_test_is_scored(world: Path, tmp_path: Path) -> None:
    few = evaluated("ssv2/knn+5-per-class", world, tmp_path)
    assert {name: split.expected for name, split in few.data.splits.items()} == {"train": 40, "test": 40}
    assert few.data.splits["test"] == evaluated("ssv2/knn", world, tmp_path).data.splits["test"]


def test_few_of_every_class_need_a_train_split(world: Path, tmp_path: Path) -> None:
    manifest = whole(open_dataset(task("ssv2/knn").dataset, world))
    folded = task("ssv2/knn+5-per-class").model_copy(update={"folds": "leave_one_group_out"})
    with pytest.raises(ValueError, match=r"train_per_class needs a train split, not folds"):
        find_or_evaluate(load_encoder("statistics:mini_videomae"), folded, manifest, tmp_path, seed=0, report=quiet)
