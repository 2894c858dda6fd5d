"""segmentation: clusters follow features, frames follow tubelets, constant features do no harm."""

import numpy as np
import torch

from sigma_bench.data.catalogue import open_dataset
from sigma_bench.models.encoder import Features
from sigma_bench.models.zoo import load_encoder
from sigma_bench.protocols.segmentation import cluster_pixels, encode_frames, reduce_features, segment_sequence
from sigma_bench.specs.catalogue import load_dataset, load_task, resolve
from sigma_bench.specs.segmentation import SegmentationProtocol


def protocol(**changes: object) -> SegmentationProtocol:
    base = resolve(load_task("davis2017/clustering")).protocol
    assert isinstance(base, SegmentationProtocol)
    return base.model_copy(update=changes)


def test_two_clear_halves_become_two_clusters() -> None:
    feature = torch.randn(4, 8, 6, 6, generator=torch.Generator().manual_seed(0)) * 0.01
    feature[..., 3:] += 1
    cluster = cluster_pixels(feature, 2, 48, protocol(), seed=0)
    assert cluster.shape == (4, 48, 48)
    left, right = cluster[:, :, :20], cluster[:, :, 28:]
    assert len(np.unique(left)) == len(np.unique(right)) == 1
    assert left[0, 0, 0] != right[0, 0, 0]


def test_constant_dimensions_do_not_count() -> None:
    rng = np.random.default_rng(0)
    token = rng.normal(size=(60, 5)).astype(np.float32)
    padded = np.concatenate([token, np.full((60, 7), 3.0, np.float32)], axis=1)
    assert np.allclose(np.abs(reduce_features(token, 5)), np.abs(reduce_features(padded, 5)), atol=1e-4)
    assert np.allclose(reduce_features(np.ones((9, 4), np.float32), 3), 0)


def test_principal_components_equal_a_second_implementation() -> None:
    rng = np.random.default_rng(0)
    token = rng.normal(size=(80, 6)) @ rng.normal(size=(6, 6))
    standard = (token - token.mean(0)) / token.std(0)
    u, s, _ = np.linalg.svd(standard - standard.mean(0), full_matrices=False)
    ours = reduce_features(token.astype(np.float32), 3)
    assert np.allclose(np.abs(ours), np.abs(u[:, :3] * s[:3]), atol=1e-3)


class _FrameCounter:
    """An encoder of 4-frame clips whose token is the mean grey of its two frames."""

    card = load_encoder("statistics:mini_videomae").card.model_copy(update={"num_frames": 4})

    def encode(self, clip_BCTHW: torch.Tensor) -> Features:
        assert clip_BCTHW.shape[2] <= 4
        grey = clip_BCTHW.mean((1, 3, 4)).reshape(1, -1, 2).mean(2)
        return Features(grey[:, :, None].repeat_interleave(4, 1), (grey.shape[1], 2, 2))


def test_a_long_clip_is_encoded_window_by_window_in_order() -> None:
    frames = (torch.arange(16) * 10).to(torch.uint8)[:, None, None, None].expand(16, 3, 8, 8)
    feature = encode_frames(_FrameCounter(), frames)
    grey = (feature[:, 0, 0, 0] * 0.5 + 0.5) * 255
    assert torch.allclose(grey, torch.arange(8) * 20 + 5.0, atol=1e-3)


def test_a_draw_depends_on_seed_and_sequence_only(world: object) -> None:
    samples = open_dataset(load_dataset("davis2017"), world).splits["test"].samples  # type: ignore[arg-type]
    encoder = load_encoder("random:mini_videomae")
    first = segment_sequence(encoder, samples[1], protocol(), seed=0)
    again = segment_sequence(encoder, samples[1], protocol(), seed=0)
    assert [clip.miou for clip in first] == [clip.miou for clip in again]
    assert [clip.id for clip in first] == [f"{samples[1].id}#{draw}" for draw in range(3)]
    assert all(np.array_equal(c.cluster_THW[0::2], c.cluster_THW[1::2]) for c in first)
    assert all(c.all_background_miou < c.oracle_tube_miou <= 1 for c in first)
