"""Pictures show the objects that clusters were matched to, in the pool they were matched in."""

import io
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from sigma_bench.evaluation.run import find_or_evaluate
from sigma_bench.models.zoo import load_encoder
from sigma_bench.palette import tint, voc_palette
from sigma_bench.pictures.overlays import matched_clip, overlays_of, segmentation_overlay, segmentation_overlays
from sigma_bench.protocols.segmentation.spec import SegmentationProtocol
from sigma_bench.records.store import Store
from sigma_bench.specs.catalogue import load_task, resolve

TRUTH = np.array([[[0, 0, 0, 1]], [[0, 0, 2, 2]]], np.uint8)
CLUSTERS = np.array([[[0, 0, 0, 1]], [[1, 1, 0, 0]]], np.uint8)
"""Two frames whose clusters have swapped their names, or two clips of one frame each."""


def protocol(pool: str) -> SegmentationProtocol:
    base = resolve(load_task("davis2017/clustering")).protocol
    assert isinstance(base, SegmentationProtocol)
    return base.model_copy(update={"pool": pool})


def test_frames_are_matched_one_by_one_or_together() -> None:
    stored = {"truth": TRUTH[None], "clusters": CLUSTERS[None], "repetition": np.zeros(1)}
    assert matched_clip(stored, 0, protocol("frame"))[:, 0].tolist() == [[0, 0, 0, 1], [0, 0, 2, 2]]
    # Together: 0 has 3 of 5 + 2 background pixels, 1 has 1 of 3 + 1: cluster 0 is background, 1 is background or 1.
    together = matched_clip(stored, 0, protocol("clip"))[:, 0]
    assert set(together[CLUSTERS[:, 0] == 0].tolist()) != set(together[CLUSTERS[:, 0] == 1].tolist())
    assert len(np.unique(together)) == 2


def test_clips_of_one_draw_of_a_dataset_are_matched_together() -> None:
    """The other draw's clip, which stands between them, has no say."""
    other = np.full_like(TRUTH[0], 3)
    stored = {
        "truth": np.stack([TRUTH[:1], other[None], TRUTH[1:]]),
        "clusters": np.stack([CLUSTERS[:1], other[None], CLUSTERS[1:]]),
        "repetition": np.array([0, 1, 0]),
    }
    alone = {"truth": TRUTH[None], "clusters": CLUSTERS[None], "repetition": np.zeros(1)}
    together = matched_clip(alone, 0, protocol("clip"))
    np.testing.assert_array_equal(matched_clip(stored, 0, protocol("dataset"))[0], together[0])
    np.testing.assert_array_equal(matched_clip(stored, 2, protocol("dataset"))[0], together[1])


@pytest.mark.parametrize("name", ["youtube_vos/clustering", "davis2016/propagation"])
def test_there_is_a_picture_per_sequence(world: Path, tmp_path: Path, name: str) -> None:
    encoder = load_encoder("statistics:mini_videomae")
    record = find_or_evaluate(
        encoder, resolve(load_task(name)), world, tmp_path, seed=0, report=lambda phase, done, total: None
    ).record
    store = Store(tmp_path)
    pictures = segmentation_overlays(store, {"colours": record}, world, num_sequences=2)
    assert len({png for _, png in pictures}) == 2
    assert all(png.startswith(b"\x89PNG") and name in caption for caption, png in pictures)
    assert [png for _, png in overlays_of(store, [record], world, {record.id: "colours"})] == [p for _, p in pictures]
    reduced = Store(tmp_path / "reduced")
    reduced.add_reduced(record.predictions, store.load_predictions(record.predictions))
    assert overlays_of(reduced, [record], world, {}) == [], "reduced predictions have no masks"
    split = record.data.splits["test"].model_copy(update={"manifest_sha256": "0" * 64})
    elsewhere = record.model_copy(update={"data": record.data.model_copy(update={"splits": {"test": split}})})
    with pytest.raises(ValueError, match=r"colours was not measured on the .* that is here"):
        segmentation_overlays(Store(tmp_path), {"colours": elsewhere}, world, num_sequences=2)


def test_voc_palette_is_the_devkits() -> None:
    palette = voc_palette()
    assert palette.shape == (256, 3) and len(np.unique(palette, axis=0)) == 256
    expected = {
        0: (0, 0, 0),
        1: (128, 0, 0),
        2: (0, 128, 0),
        3: (128, 128, 0),
        15: (192, 128, 128),
        255: (224, 224, 192),
    }
    assert {label: tuple(palette[label].tolist()) for label in expected} == expected


def test_tint_blends_labels_and_leaves_zero_alone() -> None:
    frame = np.full((1, 1, 2, 3), 100, dtype=np.uint8)
    label = np.array([[[0, 1]]], dtype=np.uint8)
    assert tint(frame, label, 0.5)[0, 0].tolist() == [[100, 100, 100], [114, 50, 50]]


def test_overlay_is_a_png_and_comes_out_the_same_twice() -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (3, 24, 32, 3), dtype=np.uint8)
    truth = np.zeros((3, 24, 32), dtype=np.uint8)
    truth[:, 5:15, 5:15] = 1
    png = segmentation_overlay(frames, truth, {"mini_sigma_mlp": truth, "mini_videomae": 1 - truth})
    assert png == segmentation_overlay(frames, truth, {"mini_sigma_mlp": truth, "mini_videomae": 1 - truth})
    height, width = imread(io.BytesIO(png), format="png").shape[:2]
    assert png.startswith(b"\x89PNG") and width > 400 and height > 400


def test_overlay_refuses_wrong_shapes_and_types() -> None:
    frames, truth = np.zeros((2, 8, 8, 3), dtype=np.uint8), np.zeros((2, 8, 8), dtype=np.uint8)
    with pytest.raises(ValueError, match=r"mini_x: expected uint8 of shape \(2, 8, 8\), got uint8 of .*4"):
        segmentation_overlay(frames, truth, {"mini_x": truth[..., :4]})
    with pytest.raises(ValueError, match="frames: expected uint8"):
        segmentation_overlay(frames.astype(np.float32), truth, {})
