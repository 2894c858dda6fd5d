"""Pictures show the objects that clusters were matched to, in the pool they were matched in."""

from pathlib import Path

import numpy as np
import pytest

from sigma_bench.evaluation.overlays import matched_clip, segmentation_overlays
from sigma_bench.evaluation.run import find_or_evaluate
from sigma_bench.models.zoo import load_encoder
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
    pictures = segmentation_overlays(Store(tmp_path), {"colours": record}, world, num_sequences=2)
    assert len({png for _, png in pictures}) == 2
    assert all(png.startswith(b"\x89PNG") and name in caption for caption, png in pictures)
    split = record.data.splits["test"].model_copy(update={"manifest_sha256": "0" * 64})
    elsewhere = record.model_copy(update={"data": record.data.model_copy(update={"splits": {"test": split}})})
    with pytest.raises(ValueError, match=r"colours was not measured on the .* that is here"):
        segmentation_overlays(Store(tmp_path), {"colours": elsewhere}, world, num_sequences=2)
