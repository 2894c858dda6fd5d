"""segmentation: clusters of known features, units of a pool, shared passes, error messages."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sigma_bench.data.datasets import open_dataset
from sigma_bench.data.manifest import Manifest
from sigma_bench.models.encoder import Features
from sigma_bench.models.zoo import load_encoder
from sigma_bench.protocols.interface import Evaluation, Predictions
from sigma_bench.protocols.segmentation.run import reduced_clips, run
from sigma_bench.records.scoring import score
from sigma_bench.specs.catalogue import load_dataset, load_task, resolve
from tests.metrics.unit_score import miou
from tests.protocols.opened import opened
from tests.protocols.twins import run_by_two

QUICK = {"kmeans_restarts": 1, "kmeans_iterations": 10}


class Counting:
    """Image statistics that count their clips; ``spoil`` changes the features."""

    def __init__(self, spoil=lambda features: features) -> None:  # type: ignore[no-untyped-def]
        self._inner, self._spoil = load_encoder("statistics:mini_videomae"), spoil
        self.card, self.clips = self._inner.card, 0

    def encode(self, clip_BCTHW: torch.Tensor) -> Features:
        self.clips += len(clip_BCTHW)
        return self._spoil(self._inner.encode(clip_BCTHW))


def make_evaluation(
    manifest: Manifest, folder: Path, encoder: object = None, task: str = "davis2017/clustering", **changes: object
) -> Evaluation[Any]:
    return opened(encoder or Counting(), resolve(load_task(task), QUICK | changes), manifest, folder)  # type: ignore[arg-type]


def predictions_of(*args: object, **changes: object) -> Predictions:
    predictions = run(make_evaluation(*args, **changes))  # type: ignore[arg-type]
    assert predictions is not None
    return predictions


@pytest.fixture(scope="module")
def davis(world: Path) -> Manifest:
    return open_dataset(load_dataset("davis2017"), world)


def test_rows_are_all_draws_of_all_sequences_and_scores_are_those_of_the_stored_clusters(
    davis: Manifest, tmp_path: Path
) -> None:
    predictions = predictions_of(davis, tmp_path)
    stored = predictions.arrays
    names = davis.splits["test"].ids
    assert stored["ids"].tolist() == [f"{name}#{draw}" for name in names for draw in range(3)]
    assert (np.diff(stored["frame_index"], axis=1) > 0).all()
    assert len({tuple(row) for row in stored["frame_index"].tolist()}) == len(stored["ids"])
    for truth, cluster, value in zip(stored["truth"], stored["clusters"], stored["miou"], strict=True):
        assert miou(truth, cluster) == value
    controls = predictions.controls
    assert controls["all_background"] < controls["oracle_tubes_16x3x3"] < 1
    assert controls["void_share"] == 0
    measured = score("miou", make_evaluation(davis, tmp_path).task.protocol, stored, 0)
    by_draw = stored["miou"].reshape(-1, 3).mean(0)
    assert measured.value == pytest.approx(by_draw.mean())
    assert measured.spread == pytest.approx(by_draw.std(ddof=1))


def test_one_pass_serves_both_clusterings_and_every_pool(davis: Manifest, tmp_path: Path) -> None:
    encoder = Counting()
    one_draw = {"num_draws": 1}
    predictions_of(davis, tmp_path, encoder, **one_draw)
    clips_of_pass, grid_probe = 2 * 2, 2  # two sequences in two windows of 8 frames; the grid costs one grey clip
    assert encoder.clips == clips_of_pass + grid_probe
    for task in ("davis2017/clustering", "davis2017/overclustering"):
        for pool in ("frame", "clip"):
            predictions_of(davis, tmp_path, encoder, task, pool=pool, **one_draw)
    assert encoder.clips == clips_of_pass + 5 * grid_probe
    assert len(list(tmp_path.glob("*/token.npy"))) == 1
    predictions_of(davis, tmp_path, encoder, num_draws=2)
    assert len(list(tmp_path.glob("*/token.npy"))) == 2  # only the second draw was new


def test_the_frame_pool_matches_frame_by_frame(davis: Manifest, tmp_path: Path) -> None:
    stored = predictions_of(davis, tmp_path, num_draws=1, pool="frame").arrays
    expected = [
        np.mean([miou(t, c) for t, c in zip(truth, cluster, strict=True)])
        for truth, cluster in zip(stored["truth"], stored["clusters"], strict=True)
    ]
    np.testing.assert_allclose(stored["miou"], expected)
    for truth, cluster in zip(stored["truth"][0], stored["clusters"][0], strict=True):
        assert len(np.unique(cluster)) <= len(np.unique(truth))


def test_the_dataset_pool_matches_once_and_adds_pixels_up(davis: Manifest, tmp_path: Path) -> None:
    changes = {"pool": "dataset", "feature_scope": "dataset", "num_draws": 2, "clusters": 4}
    evaluation = make_evaluation(davis, tmp_path, **changes)
    stored = predictions_of(davis, tmp_path, **changes).arrays
    expected = [
        miou(stored["truth"][stored["repetition"] == draw], stored["clusters"][stored["repetition"] == draw])
        for draw in (0, 1)
    ]
    measured = score("miou", evaluation.task.protocol, stored, 0)
    assert measured.value == pytest.approx(np.mean(expected), abs=1e-12)
    assert measured.spread == pytest.approx(np.std(expected, ddof=1), abs=1e-12)


@pytest.mark.parametrize(
    "changes",
    [{}, {"feature_scope": "batch", "batch_clips": 2}, {"pool": "dataset", "feature_scope": "dataset"}],
    ids=["clip", "batch", "dataset"],
)
def test_two_processes_give_the_arrays_of_one(davis: Manifest, tmp_path: Path, changes: dict[str, object]) -> None:
    alone = predictions_of(davis, tmp_path / "one", num_draws=2, **changes)
    together, nothing = run_by_two(run, make_evaluation(davis, tmp_path / "two", num_draws=2, **changes))
    assert nothing is None
    assert together is not None
    assert together.controls == alone.controls
    assert together.arrays.keys() == alone.arrays.keys()
    for name, rows in alone.arrays.items():
        np.testing.assert_array_equal(together.arrays[name], rows)


def test_youtube_vos_takes_four_frames_of_an_encoder_of_eight(world: Path, tmp_path: Path) -> None:
    manifest = open_dataset(load_dataset("youtube_vos"), world)
    encoder = load_encoder("random:mini_videomae")
    predictions = predictions_of(manifest, tmp_path, encoder, "youtube_vos/clustering")
    assert predictions.arrays["clusters"].shape[1] == 4
    assert np.load(next(tmp_path.glob("*/token.npy"))).shape[1:4] == (2, 6, 6)
    assert (predictions.arrays["clusters"][:, 0::2] == predictions.arrays["clusters"][:, 1::2]).all()


def test_twins_are_one_category_or_two_instances(world: Path, tmp_path: Path) -> None:
    manifest = open_dataset(load_dataset("youtube_vos"), world)
    task = "youtube_vos/clustering"
    number_of_labels = {}
    for labels in ("dataset", "instances"):
        stored = predictions_of(manifest, tmp_path, None, task, labels=labels).arrays
        number_of_labels[labels] = [len(np.unique(truth_THW)) for truth_THW in stored["truth"]]
    assert max(number_of_labels["dataset"]) == 3
    assert max(number_of_labels["instances"]) == 4
    assert len(list(tmp_path.glob("*/token.npy"))) == 3  # one pass per draw for both


def test_windows_are_told_apart_by_shared_statistics_and_not_by_their_own() -> None:
    rng = np.random.default_rng(0)
    content = rng.normal(size=(4, 6, 6, 8)).astype(np.float32)
    content[2:] += 100.0 * rng.normal(size=8)
    windows = [slice(0, 2), slice(2, 4)]
    protocol = resolve(load_task("davis2017/clustering")).protocol
    for statistics, apart in (("shared", True), ("own", False)):
        (reduced,) = reduced_clips([content], windows, protocol.model_copy(update={"window_statistics": statistics}))
        between = np.abs(reduced[:2].mean((0, 1, 2)) - reduced[2:].mean((0, 1, 2))).max()
        assert (between > 1) == apart


SPOILT = {
    "not finite": lambda f: replace(f, token_BND=f.token_BND * np.nan),
    "for the grid": lambda f: replace(f, grid=(f.grid[0], f.grid[1], 4)),
    "too large for half precision": lambda f: replace(f, token_BND=f.token_BND * 1e30),
    "8 frames in tubelets of 1 make other time slots": lambda f: Features(f.token_BND[:, :27], (3, 3, 3)),
}


@pytest.mark.parametrize("sentence", SPOILT)
def test_features_that_break_the_contract_are_refused(davis: Manifest, tmp_path: Path, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        run(make_evaluation(davis, tmp_path, Counting(SPOILT[sentence])))


def test_more_clusters_than_points_are_refused(davis: Manifest, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"shapes-val-00', frames \[\d+\]: .* 10 clusters asked of 9 points"):
        run(
            make_evaluation(davis, tmp_path, task="davis2017/overclustering", pool="frame", upsampling="tokens_nearest")
        )


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"frame_draw": "linspace"}, "set num_draws to 1"),
        ({"pool": "dataset"}, "set feature_scope to 'dataset' as well"),
    ],
)
def test_keys_that_contradict_each_other_are_refused(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        resolve(load_task("davis2017/clustering"), changes)


def rewritten(davis: Manifest, folder: Path, value: int) -> Manifest:
    """The test sequences, whose masks show one label everywhere."""
    split = davis.splits["test"]
    samples = []
    for sample in split.samples:
        (folder / sample.id).mkdir(parents=True)
        for path in sample.path.iterdir():
            Image.fromarray(np.full((96, 96), value, np.uint8)).save(folder / sample.id / f"{path.stem}.png")
        samples.append(replace(sample, mask_folder=folder / sample.id))
    return replace(davis, splits={"test": replace(split, samples=tuple(samples))})


def test_a_sequence_without_objects_is_one_cluster_of_background(davis: Manifest, tmp_path: Path) -> None:
    predictions = predictions_of(rewritten(davis, tmp_path / "masks", 0), tmp_path, num_draws=1)
    assert (predictions.arrays["miou"] == 1).all()
    assert (predictions.arrays["clusters"] == 0).all()


def test_a_clip_of_void_cannot_be_scored(davis: Manifest, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"sequence 'shapes-val-00', frames .* every pixel of this unit is void"):
        run(make_evaluation(rewritten(davis, tmp_path / "masks", 255), tmp_path))


def test_a_missing_mask_is_named(davis: Manifest, tmp_path: Path) -> None:
    manifest = rewritten(davis, tmp_path / "masks", 0)
    (tmp_path / "masks" / "shapes-val-01" / "00003.png").unlink()
    with pytest.raises(ValueError, match=r"scores every sequence: .*shapes-val-01/00003.png: the mask of this frame"):
        run_by_two(
            run, make_evaluation(manifest, tmp_path)
        )  # the process that reads the other sequence says so as well


def test_an_encoder_of_fixed_length_is_refused_before_anything_is_read(davis: Manifest, tmp_path: Path) -> None:
    encoder = Counting()
    encoder.card = encoder.card.model_copy(update={"num_frames": 4, "min_frames": 4})
    with pytest.raises(ValueError, match=r"takes clips of 4 frames, and a sequence of 6 frames leaves 2 for its last"):
        make_evaluation(davis, tmp_path, encoder, num_frames=6)
    make_evaluation(davis, tmp_path, encoder, num_frames=8)
