"""Batches of a frozen pass: bounded by memory, halved when it does not suffice, and without influence on features."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from sigma_bench.data.workers import resolved_workers
from sigma_bench.evaluation.session import SINGLE_PROCESS, open_session
from sigma_bench.models.encoder import Encoder, Features
from sigma_bench.models.zoo import load_encoder
from sigma_bench.protocols.clip_batches import MAX_CLIPS, BatchEncoder, BatchSize
from sigma_bench.protocols.feature_cache import FeatureCache
from sigma_bench.specs.catalogue import load_task, resolve
from sigma_bench.specs.passes import Pass


class SmallMemory:
    """An encoder whose device holds a few clips only."""

    def __init__(self, inner: Encoder, room: int) -> None:
        self.inner, self.card, self.room, self.sizes = inner, inner.card, room, []

    def encode(self, clip_BCTHW: Tensor) -> Features:
        if len(clip_BCTHW) > self.room:
            raise torch.OutOfMemoryError("tried to allocate 29.00 GiB")
        self.sizes.append(len(clip_BCTHW))
        return self.inner.encode(clip_BCTHW)


def frames(number: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (number, 8, 3, 48, 48), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("batch_size", [1, 3, "auto"])
def test_features_do_not_depend_on_the_batches(batch_size: BatchSize) -> None:
    encoder = load_encoder("random:mini_videomae")
    whole = torch.cat(list(BatchEncoder(encoder, "float32", 10).tokens(frames(10))))
    parts = torch.cat(list(BatchEncoder(encoder, "float32", batch_size).tokens(frames(10))))
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-5)


def test_a_batch_that_does_not_fit_is_halved_and_said(caplog: pytest.LogCaptureFixture) -> None:
    encoder = SmallMemory(load_encoder("random:mini_videomae"), room=3)
    with caplog.at_level(logging.WARNING):
        tokens = torch.cat(list(BatchEncoder(encoder, "float32", "auto").tokens(frames(10))))
    assert len(tokens) == 10 and encoder.sizes == [3, 3, 3, 1]
    assert "10 clips do not fit into memory; 5 at once from now on" in caplog.text
    with pytest.raises(ValueError, match=r"one clip of 8 frames x 48 px does not fit into the memory .*29\.00 GiB"):
        list(BatchEncoder(SmallMemory(encoder.inner, room=0), "float32", 2).tokens(frames(2)))


def test_automatic_batches_are_whole_blocks_for_small_models_and_single_clips_for_large_ones() -> None:
    small = load_encoder("random:mini_videomae")
    assert BatchEncoder(small, "float32", "auto").num_clips == MAX_CLIPS
    giant = SmallMemory(small, 0)
    giant.card = small.card.model_copy(update={"num_frames": 64, "image_size": 384, "feature_width": 1408})
    assert BatchEncoder(giant, "float32", "auto").num_clips == 1


def test_workers_are_the_cores_but_one_shared_among_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(16)), raising=False)
    assert resolved_workers("auto", 100) == 15
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "8")
    assert resolved_workers("auto", 100) == 1
    assert resolved_workers("auto", 2) == 0
    assert resolved_workers(0, 100) == 0 and resolved_workers(3, 1) == 3


@pytest.mark.parametrize("num_workers", [0, 2])
def test_bfloat16_is_another_entry_and_close_to_float32(world: Path, tmp_path: Path, num_workers: int) -> None:
    encoder, task = load_encoder("random:mini_videomae"), resolve(load_task("ssv2/knn"))
    session = open_session(encoder.card, task, world, seed=0)
    split, clip = replace(session.splits[-1], samples=session.splits[-1].samples[:12]), session.passes[-1].clip
    cache = FeatureCache(tmp_path, num_workers=num_workers)
    found = {}
    for precision in ("float32", "bfloat16"):
        pass_ = Pass(split.name, clip, precision=precision)
        found[precision] = cache.features(encoder, split, pass_, SINGLE_PROCESS, report=lambda *_: None).feature_SD
    assert len(list(tmp_path.iterdir())) == 2
    distance = np.abs(found["float32"] - found["bfloat16"]).max()
    assert 0 < distance < 0.1 * found["float32"].std()
