"""Conditions of test clips: frame orders by hand, measured strengths, and the same result at every call."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from sigma_bench.data.conditions import lower_rate, shuffled, under_condition, with_drops
from sigma_bench.data.datasets import open_dataset
from sigma_bench.data.evaluation_clips import EvaluationClips
from sigma_bench.protocols.knn.spec import KnnProtocol
from sigma_bench.specs.catalogue import load_dataset, load_task, load_variants, resolve
from sigma_bench.specs.condition import Reversal

KINDS = ("frame_rate", "shuffle", "frame_drops", "blur", "noise", "compression", "occlusion")
PICTURES = KINDS[3:]


def clips(num_clips: int = 2, num_frames: int = 8, side: int = 48) -> torch.Tensor:
    """Smooth pictures that differ from frame to frame, between 40 and 200."""
    place = torch.arange(side) / side
    wave_TSS = torch.stack([torch.sin(6 * (place[:, None] + t / 8)) * torch.cos(5 * place) for t in range(num_frames)])
    grey = (120 + 80 * wave_TSS)[None, :, None].expand(num_clips, num_frames, 3, side, side)
    return grey.round().to(torch.uint8)


def disturbed(kind: str, severity: int, name: str = "a video", clip: torch.Tensor | None = None) -> torch.Tensor:
    protocol = resolve(load_task(f"ssv2/knn+{kind}-{severity}")).protocol
    assert isinstance(protocol, KnnProtocol) and protocol.test_condition is not None
    return under_condition(clips() if clip is None else clip, protocol.test_condition, name)


def declared(kind: str, key: str) -> list[float]:
    """The values of the five severities."""
    overrides = load_variants("conditions").overrides
    return [overrides[f"{kind}-{severity}"]["test_condition"][key] for severity in range(1, 6)]


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_reversal_runs_backwards() -> None:
    clip = clips()
    back = under_condition(clip, Reversal(kind="reversal"), "a video")
    assert torch.equal(back[:, 0], clip[:, 7])
    assert torch.equal(back[:, 7], clip[:, 0])
    assert torch.equal(under_condition(back, Reversal(kind="reversal"), "a video"), clip)


def test_a_lower_frame_rate_shows_every_frame_until_the_next() -> None:
    shares = declared("frame_rate", "kept_share")
    assert [lower_rate(8, share).tolist() for share in shares] == [
        [0, 0, 2, 3, 4, 4, 6, 7],
        [0, 0, 2, 2, 4, 4, 6, 6],
        [0, 0, 0, 3, 3, 3, 6, 6],
        [0, 0, 0, 0, 4, 4, 4, 4],
        [0] * 8,
    ]
    assert [len(set(lower_rate(16, share).tolist())) for share in shares] == [12, 8, 6, 4, 2]


def test_shuffled_frames_are_all_there_and_further_from_home_the_worse_it_is() -> None:
    reaches = (0.25, 0.5, 1.0, 2.0, "anywhere")
    orders = [[shuffled(16, reach, np.random.default_rng(seed)) for seed in range(50)] for reach in reaches]  # type: ignore[arg-type]
    assert all(sorted(order) == list(range(16)) for level in orders for order in level)
    away = [float(np.mean([np.abs(order - np.arange(16)) for order in level])) for level in orders]
    assert away == sorted(away)
    assert away[0] > 0
    # A frame 4 or more places before another still comes before it when the greatest delay is 4.
    assert all((np.diff([np.flatnonzero(o == i)[0] for i in (0, 4, 8, 12)]) > 0).all() for o in orders[0])
    assert away[4] == pytest.approx((16 * 16 - 1) / (3 * 16), rel=0.1)  # of a permutation drawn evenly


def test_lost_frames_are_replaced_by_the_one_before_and_a_worse_line_loses_the_same_and_more() -> None:
    shares = (1 / 8, 1 / 4, 3 / 8, 1 / 2, 3 / 4)
    shown = [[with_drops(16, share, np.random.default_rng(seed)) for seed in range(200)] for share in shares]
    for one in shown:
        assert all(order[0] == 0 and (np.diff(order) >= 0).all() and (order <= np.arange(16)).all() for order in one)
    lost = np.array([[order != np.arange(16) for order in level] for level in shown])
    assert (lost[1:] >= lost[:-1]).all()
    assert lost.mean((1, 2)) == pytest.approx(np.array(shares) * 15 / 16, abs=0.03)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_is_disturbed_the_same_way_every_time_and_another_one_otherwise(kind: str) -> None:
    once = disturbed(kind, 5)
    assert once.shape == clips().shape and once.dtype == torch.uint8
    assert torch.equal(once, disturbed(kind, 5))
    assert not torch.equal(once, clips())
    is_random = kind in ("shuffle", "frame_drops", "noise", "occlusion")
    assert torch.equal(once, disturbed(kind, 5, "another")) != is_random


@pytest.mark.parametrize("side", [48, 224])
def test_clips_get_worse_from_severity_to_severity_at_both_sizes(world: Path, side: int) -> None:
    """Mean absolute change of a pixel of mini world clips; every severity changes more than the last."""
    samples = open_dataset(load_dataset("ssv2"), world).splits["test"].samples[:: 20 if side == 224 else 2]
    spec = resolve(load_task("ssv2/knn")).protocol.clip  # type: ignore[union-attr]
    clean = EvaluationClips(samples, spec, num_frames=8, image_size=side)
    named = [(sample.id, clip) for sample, clip in zip(samples, clean, strict=True) if isinstance(clip, torch.Tensor)]

    def changed(kind: str, severity: int) -> float:
        pairs = ((disturbed(kind, severity, name, clip), clip) for name, clip in named)
        return float(np.mean([(seen.float() - clip.float()).abs().mean() for seen, clip in pairs]))

    for kind in KINDS if side == 48 else PICTURES:  # what the order is does not depend on the size
        change = [changed(kind, severity) for severity in range(1, 6)]
        assert change[0] > 2, kind
        assert all(more > 1.03 * less for less, more in pairwise(change)), kind


def test_noise_has_the_strength_it_says_and_differs_from_frame_to_frame() -> None:
    grey = torch.full((1, 8, 3, 48, 48), 128, dtype=torch.uint8)
    noise = disturbed("noise", 1, clip=grey).float() - 128
    assert noise.std().item() / 255 == pytest.approx(0.08, rel=0.02)
    assert abs(torch.corrcoef(noise[0].flatten(1))[0, 1].item()) < 0.05


def test_blur_spreads_a_point_as_far_as_it_says() -> None:
    line = torch.zeros((1, 1, 3, 112, 112), dtype=torch.uint8)
    line[..., 56] = 255
    seen = disturbed("blur", 3, clip=line)[0, 0, 0, 50].double()
    place = torch.arange(112) - 56
    assert ((seen * place**2).sum() / seen.sum()).sqrt().item() == pytest.approx(0.02 * 112, rel=0.03)


def test_a_square_hides_the_same_place_of_all_frames_and_grows_where_it_is() -> None:
    white = torch.full((2, 4, 3, 100, 100), 255, dtype=torch.uint8)
    hidden = [disturbed("occlusion", severity, clip=white) == 127 for severity in range(1, 6)]
    for each, share in zip(hidden, declared("occlusion", "hidden_share"), strict=True):
        assert each.float().mean().item() == pytest.approx(share, abs=0.01)
        assert (each == each[:1, :1]).all()
    for less, more in pairwise(hidden):
        assert (less & ~more).float().mean() < 0.01  # up to a pixel of rounding
